import base64
import time

import av
import numpy as np
import pytest

from avsync.report.preview_clips import REACH_S, read_clips
from avsync.report.thumbnails import MediaSource, Moment

FLASHES = [1.2, 2.0, 2.4]
BOX = (8.0, 8.0, 40.0, 40.0)


@pytest.fixture
def play(tmp_path):
    """`play(uri)`: the clip as a file."""

    def written(uri):
        kind, data = uri.split(",")
        assert kind == "data:video/mp4;base64"
        path = tmp_path / "played.mp4"
        path.write_bytes(base64.b64decode(data))
        return path

    return written


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "mpg", "avi"])
def test_a_clip_is_as_far_apart_as_its_file(make_clip, play, clip_sync, suffix):
    clicks = [flash - 0.2 for flash in FLASHES]
    clip = make_clip(f"clip.{suffix}", duration_s=4.0, flashes=FLASHES, clicks=clicks)
    (uri,) = read_clips(MediaSource(str(clip)), [Moment(1.8)])
    apart = clip_sync(clip)
    np.testing.assert_allclose(clip_sync(play(uri)), apart, atol=5)
    assert apart.mean() < -150


def test_a_clip_is_two_seconds_about_its_moment(make_clip, play, clip_sync):
    clip = make_clip("clip.mkv", duration_s=6.0, video_start_s=0.48, flashes=[3.48], clicks=[3.48])
    (uri,) = read_clips(MediaSource(str(clip)), [Moment(3.0)])
    with av.open(play(uri)) as container:
        times = [frame.time for frame in container.decode(video=0) if frame.to_ndarray().mean() > 0]
        (lit,) = clip_lit(container)
    assert times[0] == pytest.approx(0, abs=0.041)
    assert times[-1] == pytest.approx(2 * REACH_S, abs=0.081)
    assert lit == pytest.approx(REACH_S, abs=0.041)


def clip_lit(container):
    container.seek(0)
    frames = [(f.time, f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    return [time_s for time_s, light in frames if light > 190]


def test_a_clip_is_small_and_shows_the_face(make_clip, play):
    clip = make_clip("clip.mp4", duration_s=4.0, size=(640, 480))
    (uri,) = read_clips(MediaSource(str(clip)), [Moment(2.0, (100, 100, 200, 220))])
    with av.open(play(uri)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (240, 240)


def test_a_clip_at_the_edge_of_a_file_is_shorter(make_clip, play):
    clip = make_clip("clip.mp4", duration_s=2.0)
    for t_s in (0.1, 1.9):
        (uri,) = read_clips(MediaSource(str(clip)), [Moment(t_s, BOX)])
        with av.open(play(uri)) as container:
            assert 20 <= sum(1 for _ in container.decode(video=0)) <= 30


def test_a_file_without_audio_has_silent_clips(make_clip, play):
    (uri,) = read_clips(MediaSource(str(make_clip("clip.mp4", audio=False))), [Moment(1.0, BOX)])
    with av.open(play(uri)) as container:
        assert max(np.abs(f.to_ndarray()).max() for f in container.decode(audio=0)) < 1e-3


def test_no_clip_where_there_is_no_time_or_no_video(make_clip, tmp_path):
    clip = str(make_clip("clip.mp4"))
    assert read_clips(MediaSource(clip), [Moment(1.0)], budget_s=0.0) == [""]
    assert read_clips(MediaSource(clip), [Moment(60.0)]) == [""]
    assert read_clips(MediaSource(str(tmp_path / "gone.mp4")), [Moment(1.0)]) == [""]
    began_s = time.monotonic()
    (tmp_path / "text.mp4").write_text("not a video")
    assert read_clips(MediaSource(str(tmp_path / "text.mp4")), [Moment(1.0)] * 3) == [""] * 3
    assert time.monotonic() - began_s < 5
