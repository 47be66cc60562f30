"""Audio is encoded as it was, or with the nearest codec that its new container holds."""

import av
import pytest

from avsync.media.writers.audio_encoder import AudioPlan, plan_audio_streams


def planned(source, target) -> AudioPlan:
    with av.open(str(target), "w") as writing:
        (plan,) = plan_audio_streams(source, writing).values()
    return plan


def with_format_tag(content: bytes, tag: bytes) -> bytes:
    """Return the bytes of an AVI with another format tag of its audio."""
    at = content.index(b"strf", content.index(b"auds")) + 8
    return content[:at] + tag + content[at + 2 :]


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("new.mkv", "flac"),
        ("new.webm", "libopus"),
        ("new.avi", "libmp3lame"),
        ("new.mpg", "mp2"),
        ("new.mp4", "aac"),
        ("new.mov", "aac"),
        ("new.ts", "aac"),
    ],
)
def test_a_codec_without_an_encoder_is_replaced_by_that_of_the_container(
    make_clip, tmp_path, name, encoder
):
    clip = make_clip("clip.avi", audio_codec="pcm_s16le", duration_s=0.4)
    content = clip.read_bytes()
    # The format tag of the audio: 0x0031 is GSM 6.10, which FFmpeg itself only decodes (RFC 2361).
    clip.write_bytes(with_format_tag(content, b"\x31\0"))
    plan = planned(clip, tmp_path / name)
    assert (plan.codec, plan.encoder) == ("gsm_ms", encoder)
    assert plan.describe().startswith("gsm_ms as ")


def test_audio_whose_samples_have_no_known_format_cannot_be_decoded(make_clip, tmp_path):
    clip = make_clip("clip.avi", audio_codec="pcm_s16le", duration_s=0.4)
    # TrueSpeech without its parameters.
    clip.write_bytes(with_format_tag(clip.read_bytes(), b"\x22\0"))
    with pytest.raises(ValueError, match=r"its audio \(stream 1\) cannot be decoded"):
        planned(clip, tmp_path / "new.mkv")


def test_rate_channels_and_bit_rate_are_those_of_the_source(make_clip, tmp_path):
    clip = make_clip("clip.mkv", audio_codec="ac3", sample_rate=44100, layout="5.1")
    plan = planned(clip, tmp_path / "new.mkv")
    assert (plan.codec, plan.encoder, plan.rate) == ("ac3", "ac3", 44100)
    assert av.AudioLayout(plan.layout).nb_channels == 6
    assert plan.bit_rate == pytest.approx(384_000, rel=0.01)


def test_the_bit_rate_is_at_least_32_kilobits_per_channel(tmp_path):
    with av.open(str(tmp_path / "thin.mp4"), "w") as container:
        audio = container.add_stream("aac", rate=48000, layout="stereo")
        audio.bit_rate = 24_000
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=48000)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate = 48000
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    assert planned(tmp_path / "thin.mp4", tmp_path / "new.mp4").bit_rate == 64_000
