"""Audio that drifts or jumps lies on the frames afterwards; all else is what it was."""

import av
import numpy as np
import pytest

from avsync.media.audio_reader import read_audio
from avsync.media.probe import probe_media
from avsync.media.writers.retime import forecast_copy, retime_audio
from avsync.media.writers.time_map import AudioSegment

FLASHES = (0.8, 1.6, 2.4, 3.2)
# Up to 2 s the audio is early by 120 ms, from there on late by 80 ms.
JUMP = {
    "duration_s": 4.0,
    "flashes": FLASHES,
    "clicks": [t - 0.12 if t < 2 else t + 0.08 for t in FLASHES],
}
REPAIR = [AudioSegment(0, 2, 120, 0), AudioSegment(2, 4, -80, 0)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "aac"),
        ("clip.mp4", "libmp3lame"),
        ("clip.mov", "pcm_s16le"),
        ("clip.mkv", "flac"),
        ("clip.mkv", "aac"),
        ("clip.webm", "libopus"),
        ("clip.mpg", "mp2"),
        ("clip.avi", "pcm_s16le"),
    ],
)
def test_jumps_are_taken_back_in_every_container(make_clip, clip_sync, tmp_path, name, codec):
    clip, new = make_clip(name, audio_codec=codec, **JUMP), tmp_path / f"new.{name[5:]}"
    retime_audio(clip, new, REPAIR)
    np.testing.assert_allclose(clip_sync(new), 0, atol=1.5)
    before, after = probe_media(clip), probe_media(new)
    assert [s.codec for s in after.audio] == [s.codec for s in before.audio]
    assert [s.sample_rate for s in after.audio] == [s.sample_rate for s in before.audio]


def test_a_drift_is_taken_back(make_clip, clip_sync, tmp_path):
    # The clock of the audio runs fast by 10000 ppm, and it begins 50 ms early.
    clicks = [0.99 * t - 0.05 for t in FLASHES]
    clip = make_clip("clip.mp4", duration_s=4.0, flashes=FLASHES, clicks=clicks)
    retime_audio(clip, tmp_path / "new.mp4", [AudioSegment(0, 4, 50, 10000)])
    np.testing.assert_allclose(clip_sync(tmp_path / "new.mp4"), 0, atol=0.5)


def test_seconds_count_from_the_first_frame(make_clip, clip_sync, tmp_path):
    shown = [t + 1 for t in FLASHES]
    clicks = [t - 0.12 if t < 3 else t + 0.08 for t in shown]
    clip = make_clip("clip.mkv", duration_s=5.0, video_start_s=1.0, flashes=shown, clicks=clicks)
    retime_audio(clip, tmp_path / "new.mkv", REPAIR)
    np.testing.assert_allclose(clip_sync(tmp_path / "new.mkv"), 0, atol=1.5)
    # Audio from before the frames is still there.
    assert probe_media(tmp_path / "new.mkv").video_start_s == pytest.approx(1.0, abs=0.002)


def test_no_sample_on_the_timeline_is_lost(make_clip, tmp_path):
    clip = make_clip("clip.mkv", audio_codec="flac", **JUMP)
    retime_audio(clip, tmp_path / "new.mkv", [AudioSegment(0, 2, 0, 0), AudioSegment(2, 4, 250, 0)])
    before, after = samples(clip), samples(tmp_path / "new.mkv")
    cut, gap, fade = 96000, 12000, 480
    np.testing.assert_array_equal(after[: cut - fade], before[: cut - fade])
    np.testing.assert_array_equal(after[cut + gap + fade :], before[cut + fade :])


def test_frames_are_copied_and_tracks_keep_their_names(make_clip, clip_sync, tmp_path):
    clip, named, new = (
        make_clip("clip.mkv", tracks=2, **JUMP),
        tmp_path / "n.mkv",
        tmp_path / "r.mkv",
    )
    with av.open(clip) as source, av.open(named, "w") as container:
        copies = [container.add_stream_from_template(stream) for stream in source.streams]
        copies[1].metadata["language"], copies[2].metadata["language"] = "deu", "fra"
        copies[2].disposition = av.stream.Disposition.comment
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    retime_audio(named, new, REPAIR)
    with av.open(named) as before, av.open(new) as after:
        assert [s.language for s in after.streams] == [s.language for s in before.streams]
        assert [s.disposition for s in after.streams] == [s.disposition for s in before.streams]
        frames = [[(p.pts, bytes(p)) for p in c.demux(video=0) if p.size] for c in (before, after)]
    assert frames[0] == frames[1]
    for track in (0, 1):
        np.testing.assert_allclose(clip_sync(new, track), 0, atol=1.5)


def test_streams_are_retimed_shifted_or_left_each_by_itself(make_clip, clip_sync, tmp_path):
    clip, new = make_clip("clip.mkv", tracks=3, **JUMP), tmp_path / "new.mkv"
    done = retime_audio(clip, new, {1: REPAIR}, shifts_ms={2: 120.0})
    assert len(done.encoded) == 1
    np.testing.assert_allclose(clip_sync(new, 0), clip_sync(clip), atol=1.05)
    np.testing.assert_allclose(clip_sync(new, 1), 0, atol=1.5)
    np.testing.assert_allclose(clip_sync(new, 2), clip_sync(clip) + 120, atol=1.05)
    copied = [{bytes(p) for p in av.open(path).demux(audio=2) if p.size} for path in (clip, new)]
    assert copied[0] == copied[1]
    assert forecast_copy(clip, tmp_path / "other.mkv", encode=[1]) == done
    with pytest.raises(ValueError, match="either segments or a shift, got both for 1"):
        retime_audio(clip, tmp_path / "b.mkv", {1: REPAIR}, shifts_ms={1: 120.0})
    with pytest.raises(ValueError, match="encode must name one of the file's 3 audio streams"):
        forecast_copy(clip, tmp_path / "b.mkv", encode={3})


def test_six_channels_stay_six(make_clip, clip_sync, tmp_path):
    clip = make_clip("clip.mp4", layout="5.1", **JUMP)
    done = retime_audio(clip, tmp_path / "new.mp4", REPAIR)
    assert probe_media(tmp_path / "new.mp4").audio[0].channels == 6
    np.testing.assert_allclose(clip_sync(tmp_path / "new.mp4"), 0, atol=1.5)
    assert done.encoded[0].startswith("aac at ")


def test_the_prospect_is_what_is_done_and_writes_nothing(make_clip, tmp_path):
    clip = make_clip("clip.mkv", audio_codec="pcm_s16le", **JUMP)
    for name, encoded in (("new.mkv", "pcm_s16le"), ("new.mp4", "pcm_s16le"), ("new.ts", None)):
        seen = forecast_copy(clip, tmp_path / name, encode=True)
        assert not (tmp_path / name).exists()
        assert seen == retime_audio(clip, tmp_path / name, REPAIR)
        assert encoded is None or seen.encoded == (encoded,)


def test_audio_without_an_encoder_for_its_container_takes_the_nearest(
    make_clip, clip_sync, tmp_path
):
    clip = make_clip("clip.mkv", video_codec="libvpx", audio_codec="pcm_s16le", **JUMP)
    done = retime_audio(clip, tmp_path / "new.webm", REPAIR)
    assert done.encoded == ("pcm_s16le as opus at 192 kb/s",)
    np.testing.assert_allclose(clip_sync(tmp_path / "new.webm"), 0, atol=1.5)


def test_what_cannot_be_done_is_said_and_leaves_nothing(make_clip, tmp_path):
    clip = make_clip("clip.mp4")
    with pytest.raises(RuntimeError, match=r"clip\.mp4 cannot be copied into \.webm"):
        retime_audio(clip, tmp_path / "new.webm", REPAIR)
    with pytest.raises(ValueError, match="segments must hold at least one"):
        retime_audio(clip, tmp_path / "new.mp4", [])
    with pytest.raises(FileExistsError):
        retime_audio(clip, clip.with_name("clip.mp4").rename(tmp_path / "b.mp4"), REPAIR)
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]


def samples(path):
    info = probe_media(path)
    return np.concatenate(list(read_audio(path, info.video_start_s, None)))
