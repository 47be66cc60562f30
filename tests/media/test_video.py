"""Pictures come at their times, upright, in the size asked for; ticks follow time, not count."""

import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from avsync.media.container import UnreadableMedia
from avsync.media.video import VideoFrame, at_rate, read_frames

NTSC_FILM = Fraction(24000, 1001)
NTSC_60 = Fraction(60000, 1001)


def lit(frames):
    return [frame.time_s for frame in frames if frame.image.mean() > 200]


@pytest.mark.parametrize(
    "name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.webm", "clip.avi", "clip.mpg"]
)
def test_frames_come_at_their_times_from_any_container(make_clip, name):
    frames = list(read_frames(make_clip(name)))
    times = np.array([frame.time_s for frame in frames])
    assert len(frames) == 50
    np.testing.assert_allclose(times - times[0], np.arange(50) / 25, atol=1e-3)
    np.testing.assert_allclose(np.array(lit(frames)) - times[0], [0.4, 1.2, 1.6], atol=1e-3)


@pytest.mark.parametrize("fps", [NTSC_FILM, 24, 25, Fraction(30000, 1001), 30, 50, NTSC_60, 60])
def test_a_steady_clock_shows_each_flash_within_half_a_tick_of_the_source(make_clip, fps):
    ticks = list(at_rate(read_frames(make_clip("clip.mp4", fps=fps)), 25))
    assert [tick.index for tick in ticks] == list(range(len(ticks)))
    assert abs(len(ticks) - 50) <= 1
    for flash in (0.4, 1.2, 1.6):
        seen = min(ticks, key=lambda tick: abs(tick.time_s - flash))
        near = [t for t in ticks if abs(t.index - seen.index) <= 1 and t.image.mean() > 200]
        # At 60 fps a single bright frame may fall between two ticks.
        assert near or fps > 50
        assert all(abs(tick.time_s - flash) <= 0.5 / 25 + 0.5 / fps + 1e-3 for tick in near)


def test_a_variable_rate_is_read_by_its_times_not_its_count(make_clip):
    times = [0.0, 0.04, 0.08, 0.3, 0.32, 0.4, 0.44, 1.0, 1.2, 1.24, 1.5, 1.6, 1.64, 1.96]
    clip = make_clip("clip.mp4", times=times)
    frames = list(read_frames(clip))
    np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=1e-4)
    ticks = list(at_rate(frames, 25))
    assert len(ticks) == 50
    for tick in ticks:
        nearest = min(frames, key=lambda frame: abs(frame.time_s - tick.time_s))
        assert abs(nearest.time_s - tick.time_s) <= 0.281
        assert tick.image is nearest.image or np.array_equal(tick.image, nearest.image)


def test_at_rate_takes_the_nearest_frame_and_counts_from_the_first():
    images = [np.full((1, 1, 3), value, np.uint8) for value in range(4)]
    frames = [VideoFrame(10 + t, im) for t, im in zip((0, 0.05, 0.07, 0.18), images, strict=True)]
    ticks = list(at_rate(frames, 25))
    assert [int(tick.image[0, 0, 0]) for tick in ticks] == [0, 1, 2, 2, 3]
    assert [tick.time_s for tick in ticks] == [0, 1 / 25, 2 / 25, 3 / 25, 4 / 25]


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))]
)
def test_a_turned_picture_stands_upright(make_clip, rotation, corner):
    image = next(read_frames(make_clip("clip.mp4", rotation=rotation))).image
    assert image.shape == ((64, 96, 3) if rotation % 180 == 0 else (96, 64, 3))
    assert image.flags.c_contiguous
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    quarters = {
        (y, x): image[:rows, :] if y == 0 else image[rows:, :] for y in (0, -1) for x in (0, -1)
    }
    red = {
        (y, x): float((half[:, :columns] if x == 0 else half[:, columns:])[..., 0].mean())
        for (y, x), half in quarters.items()
    }
    assert max(red, key=lambda key: red[key]) == corner


@pytest.mark.parametrize("size", [(98, 66), (97, 65), (2, 2), (1000, 16)])
def test_odd_sizes_are_kept(make_clip, size):
    # MPEG-4 and VP8 store odd sizes, 4:2:0 x264 does not.
    clip = make_clip("clip.webm", size=size, duration_s=0.2, flashes=(), clicks=())
    assert next(read_frames(clip)).image.shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("max_side", "shape"), [(48, (32, 48, 3)), (500, (64, 96, 3)), (31, (21, 31, 3))]
)
def test_the_longer_side_is_held_to_max_side(make_clip, max_side, shape):
    assert next(read_frames(make_clip("clip.mp4"), max_side)).image.shape == shape


def test_a_truncated_file_gives_the_frames_it_has(make_clip):
    clip = make_clip("clip.mkv", duration_s=4.0)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert 20 < len(list(read_frames(clip))) < 90


def test_a_damaged_stretch_is_passed_over(make_clip):
    clip = make_clip("clip.mpg", duration_s=4.0)
    data = bytearray(clip.read_bytes())
    rng = np.random.default_rng(0)
    middle = len(data) // 2
    data[middle : middle + 4000] = rng.integers(0, 256, 4000, dtype=np.uint8).tobytes()
    clip.write_bytes(data)
    times = [frame.time_s for frame in read_frames(clip)]
    assert times == sorted(times)
    assert len(times) > 80
    assert times[-1] - times[0] > 3.8


def test_one_damaged_timestamp_swallows_only_its_own_frame(make_clip, tmp_path):
    damaged = tmp_path / "damaged.mkv"
    with av.open(make_clip("clip.mkv")) as source, av.open(damaged, "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None:
                packet.pts += 600_000 if index == 5 else 0
                packet.stream = copy
                target.mux(packet)
    times = [frame.time_s for frame in read_frames(damaged)]
    np.testing.assert_allclose(times, [k / 25 for k in range(50) if k != 5], atol=1e-3)


def test_closing_early_stops_the_decoding_thread(make_clip):
    frames = read_frames(make_clip("clip.mp4"))
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "avsync-decode"]


def test_a_file_without_pictures_says_so(make_clip):
    with pytest.raises(UnreadableMedia, match="no video stream") as caught:
        next(read_frames(make_clip("clip.mp4", video=False)))
    assert caught.value.reason == "no_video_stream"


@pytest.mark.parametrize("wrong", [0, -1, 1])
def test_a_max_side_without_a_picture_is_refused(wrong):
    with pytest.raises(ValueError, match=f"max_side must be at least 2 pixels, got {wrong}"):
        read_frames("any.mp4", wrong)


def test_a_rate_that_is_none_is_refused():
    with pytest.raises(ValueError, match="fps must be positive, got 0"):
        next(at_rate([], 0))
