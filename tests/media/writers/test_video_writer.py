"""A new video keeps its frames' times, carries its audio, and says that it was generated."""

from fractions import Fraction

import av
import numpy as np
import pytest
from pipelines.painters import texture, write_pictures, write_voice

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia, open_media, video_stream
from avsync.media.video_reader import decode_video_frames
from avsync.media.writers.video_writer import (
    NewAudio,
    TimedFrame,
    check_suffix,
    encoder_formats,
    write_video,
)
from avsync.media.yuv import YuvConverter

WORDS = {"comment": "Generated.", "generated_by": "a test", "digital_source_type": "http://x/y"}
SUFFIXES = [".mp4", ".m4v", ".mov", ".mkv", ".webm"]


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    wav = 0.3 * np.sin(2 * np.pi * 300 * np.arange(16000) / 16000 + np.arange(16000) ** 2 / 4e6)
    return write_voice(tmp_path_factory.mktemp("voice") / "voice.wav", wav)


def copied_packets(source, destination, voice, length_s=1.0):
    formats, odd = encoder_formats(destination)
    painter = YuvConverter(formats, odd)
    with open_media(source) as container:
        frames = list(decode_video_frames(container, video_stream(container)))
        pictures = [TimedFrame(time_s - frames[0][0], painter(f)) for time_s, f in frames]
    audio = NewAudio(str(voice), 0.0, length_s)
    write_video(source, destination, destination, pictures, audio, WORDS)
    return destination


def times_of(path):
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_it_says_of_itself_can_be_read_in_every_container(tmp_path, voice, suffix):
    told = {"title": "A video", "comment": "old"}
    source = write_pictures(tmp_path / "a.mp4", [texture(64, 48)] * 5, metadata=told)
    with av.open(str(copied_packets(source, tmp_path / f"new{suffix}", voice))) as container:
        read = {key.lower(): value for key, value in container.metadata.items()}
    assert WORDS.items() <= read.items()
    assert read["title"] == "A video"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "times",
    [
        [k / 25 for k in range(9)],
        [float(k * Fraction(1001, 30000)) for k in range(9)],
        [0, 0.03, 0.11, 0.15, 0.2, 0.9, 0.94],
        [0.5, 0.54, 0.58, 0.62],
    ],
    ids=["25", "29.97", "variable", "late"],
)
def test_every_picture_is_shown_when_it_was(tmp_path, voice, suffix, times):
    source = write_pictures(tmp_path / "a.mp4", [texture(64, 48)] * len(times), times=times)
    found = times_of(copied_packets(source, tmp_path / f"new{suffix}", voice))
    # Matroska counts milliseconds.
    within = 0.0006 if suffix in (".mkv", ".webm") else 1e-6
    np.testing.assert_allclose([float(t) for t in found], np.array(times) - times[0], atol=within)


def test_pixels_that_are_not_square_stay_so(tmp_path, voice):
    images = [texture(64, 48)] * 3
    ratio = Fraction(4, 3)
    source = write_pictures(tmp_path / "a.mp4", images, sample_aspect_ratio=ratio)
    with av.open(str(copied_packets(source, tmp_path / "new.mp4", voice))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (64, 48, ratio)


def test_what_is_said_of_colours_is_kept(tmp_path, voice):
    told = {"colorspace": 1, "color_range": 2, "color_primaries": 1, "color_trc": 1}
    source = write_pictures(tmp_path / "a.mp4", [texture(64, 48)] * 3, **told)
    with av.open(str(copied_packets(source, tmp_path / "new.mp4", voice))) as container:
        frame = next(container.decode(video=0))
    assert {name: getattr(frame, name) for name in told} == told


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_pictures_look_as_they_did(tmp_path, voice, suffix, size):
    image = texture(*size)
    source = write_pictures(tmp_path / "a.mkv", [image] * 5, pix_fmt="yuv444p")
    with av.open(str(copied_packets(source, tmp_path / f"new{suffix}", voice))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 5
    for frame in frames:
        assert frame.shape == image.shape
        assert abs(frame.astype(int) - image).mean() < 3


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "pcm_s16le"), (".mov", "pcm_s16le")])
def test_a_sound_that_the_container_holds_is_kept_to_the_sample(tmp_path, voice, suffix, codec):
    source = write_pictures(tmp_path / "a.mp4", [texture(64, 48)] * 25)
    new = copied_packets(source, tmp_path / f"new{suffix}", voice, 0.75)
    with av.open(str(new)) as container:
        assert container.streams.audio[0].codec_context.name == codec
    old, kept = (np.concatenate(list(read_audio(path, 0.0))) for path in (voice, new))
    np.testing.assert_allclose(kept, old[:12000], atol=1e-6)


@pytest.mark.parametrize("suffix", [".mp4", ".m4v"])
def test_pcm_becomes_aac_in_mp4_and_stays_in_its_place(tmp_path, voice, suffix):
    source = write_pictures(tmp_path / "a.mp4", [texture(64, 48)] * 25)
    new = copied_packets(source, tmp_path / f"new{suffix}", voice)
    with av.open(str(new)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    old, kept = (np.concatenate(list(read_audio(path, 0.0)))[:16000] for path in (voice, new))
    assert np.corrcoef(old[500:15500], kept[500:15500])[0, 1] > 0.99


def test_a_rate_that_aac_does_not_know_is_brought_to_one(tmp_path):
    voice = write_voice(tmp_path / "v.wav", 0.1 * np.sin(np.arange(19200) / 20), 192000)
    source = write_pictures(tmp_path / "a.mp4", [texture(64, 48)] * 3)
    with av.open(str(copied_packets(source, tmp_path / "new.mp4", voice))) as container:
        assert container.streams.audio[0].codec_context.sample_rate == 96000


def test_a_container_without_times_or_words_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"output must end in .mp4, .m4v, .*, got video.avi"):
        check_suffix(tmp_path / "video.avi")
    check_suffix(tmp_path / "FILM.MP4")


def test_a_sound_that_is_none_is_said(tmp_path):
    source = write_pictures(tmp_path / "a.mp4", [texture(64, 48)] * 3)
    with pytest.raises((UnreadableMedia, RuntimeError), match="not a media file"):
        (tmp_path / "v.wav").write_bytes(b"no audio")
        copied_packets(source, tmp_path / "new.mp4", tmp_path / "v.wav")
