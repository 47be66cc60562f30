"""Frames come at their times, upright, in the size asked for; ticks follow time, not count."""

import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from avsync.media.container import UnreadableMedia
from avsync.media.probe import probe_media
from avsync.media.video_reader import BLEND_S, VideoFrame, at_rate, read_frames

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
        near = [t for t in ticks if abs(t.index - seen.index) <= 1 and t.image.mean() > 120]
        # At 60 fps a single bright frame may fall between two ticks.
        assert near or fps > 50
        assert all(abs(tick.time_s - flash) <= 0.5 / 25 + 0.5 / fps + 1e-3 for tick in near)


def shown_at(times, end_s):
    """Frames at such times whose frames say the middle of the time they are on display."""
    middles = (np.asarray(times) + np.append(times[1:], end_s)) / 2
    return [
        VideoFrame(time_s, np.full((1, 1, 3), middle))
        for time_s, middle in zip(times, middles, strict=True)
    ]


@pytest.mark.parametrize(
    "fps", [NTSC_FILM, 24, 25, Fraction(30000, 1001), 30, 50, NTSC_60, 60, 100, 120]
)
def test_ticks_show_on_average_the_middle_of_their_time_at_every_rate(fps):
    # 125 seconds, in which the beat of 24 / 1.001 against 25 comes round.
    times = np.arange(int(125 * fps)) / float(fps)
    ticks = list(at_rate(shown_at(times, 125.0), 25))
    shown_s = np.array([tick.image[0, 0, 0] for tick in ticks])
    late_s = np.array([tick.time_s for tick in ticks]) + 0.02 - shown_s
    assert abs(len(ticks) - 3125) <= 1
    assert abs(late_s.mean()) < 0.0002
    assert np.abs(late_s).max() <= 0.5 / float(fps) + BLEND_S


@pytest.mark.parametrize("fps", [50, 100])
def test_frames_that_change_in_the_middle_of_a_tick_share_it(fps):
    ticks = list(at_rate(shown_at(np.arange(2 * fps) / fps, 2.0), 25))
    shown_s = np.array([tick.image[0, 0, 0] for tick in ticks])
    np.testing.assert_allclose(shown_s, [tick.time_s + 0.02 for tick in ticks], atol=1e-9)


def test_times_rounded_to_milliseconds_move_no_tick():
    times = np.arange(300) / 30
    exact = [tick.image[0, 0, 0] for tick in at_rate(shown_at(times, 10.0), 25)]
    rounded = [tick.image[0, 0, 0] for tick in at_rate(shown_at(times.round(3), 10.0), 25)]
    assert np.abs(np.array(exact) - rounded).max() < 0.003


def test_a_variable_rate_is_read_by_its_times_not_its_count(make_clip):
    times = [0.0, 0.04, 0.08, 0.31, 0.33, 0.4, 0.44, 0.9, 1.2, 1.24, 1.5, 1.6, 1.64, 1.96]
    frames = list(read_frames(make_clip("clip.mp4", times=times)))
    np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=1e-4)
    ticks = list(at_rate(shown_at(times, 2.0), 25))
    assert [tick.index for tick in ticks] == list(range(50))
    # Frames are at most one usual display time early, and late only where they come too close.
    shown = {frame.image[0, 0, 0]: k for k, frame in enumerate(shown_at(times, 2.0))}
    whole = [tick for tick in ticks if tick.image[0, 0, 0] in shown]
    assert len(whole) > 40
    for tick in whole:
        k = shown[tick.image[0, 0, 0]]
        until_s = times[k + 1] if k + 1 < len(times) else 2.0
        assert times[k] - 0.08 <= tick.time_s + 0.02 <= until_s + 0.02


def test_frames_that_are_left_out_do_not_make_the_others_late():
    rng = np.random.default_rng(0)
    times = np.sort(rng.choice(3000, 2250, replace=False)) / 30
    frames = [VideoFrame(time_s, np.full((1, 1, 3), time_s + 1 / 60)) for time_s in times]
    ticks = list(at_rate(frames, 25))
    taken_s = np.array([tick.image[0, 0, 0] for tick in ticks])
    shown_s = times[0] + np.array([tick.time_s for tick in ticks]) + 0.02
    assert abs((shown_s - taken_s).mean()) < 0.002


def test_at_rate_takes_the_frame_on_display_and_counts_from_the_first():
    images = [np.full((1, 1, 3), value, np.uint8) for value in range(4)]
    frames = [VideoFrame(10 + t, im) for t, im in zip((0, 0.05, 0.1, 0.15), images, strict=True)]
    ticks = list(at_rate(frames, 25))
    assert [int(tick.image[0, 0, 0]) for tick in ticks] == [0, 1, 2, 2, 3]
    assert [tick.time_s for tick in ticks] == [0, 1 / 25, 2 / 25, 3 / 25, 4 / 25]


def test_a_frame_that_stands_for_long_has_ticks_for_half_a_second_only():
    times = [0.0, 0.04, 3000.08, 3000.12]
    ticks = list(at_rate(shown_at(times, 3000.16), 25))
    held = [tick.time_s for tick in ticks if tick.time_s < 100]
    assert max(held) == pytest.approx(0.54, abs=0.041)
    assert [tick.index for tick in ticks[len(held) :]] == [75001, 75002, 75003]


def test_pixels_that_are_not_square_are_made_square(make_clip):
    clip = make_clip("clip.mkv", pixel_ratio=Fraction(4, 3))
    assert next(read_frames(clip)).image.shape == (64, 128, 3)
    assert (probe_media(clip).width, probe_media(clip).height) == (128, 64)
    assert next(read_frames(clip, 64)).image.shape == (32, 64, 3)


def test_pixels_of_an_absurd_shape_are_taken_for_square(make_clip):
    clip = make_clip("clip.mkv", pixel_ratio=Fraction(1000))
    assert next(read_frames(clip)).image.shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))]
)
def test_a_turned_frame_stands_upright(make_clip, rotation, corner):
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


def test_a_damaged_segment_is_passed_over(make_clip):
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


@pytest.mark.parametrize(
    ("broken", "by_ms"), [(5, 600_000), (0, 10**9), (1, 10**9), (5, 10**9), (0, -(10**8))]
)
def test_one_damaged_timestamp_swallows_at_most_its_neighbour(make_clip, tmp_path, broken, by_ms):
    damaged = tmp_path / "damaged.mkv"
    # Without B-frames the container's order is that of the frames.
    with av.open(make_clip("clip.mkv")) as source, av.open(damaged, "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None:
                packet.pts += 10**8 + (by_ms if index == broken else 0)
                packet.dts = min(packet.pts, packet.dts + 10**8)
                packet.stream = copy
                target.mux(packet)
    times = np.array([frame.time_s for frame in read_frames(damaged)])
    whole = [k / 25 for k in range(50)]
    assert len(times) >= 48
    assert all(np.abs(whole - (time_s - times[-1] + whole[-1])).min() < 2e-3 for time_s in times)


def test_closing_early_stops_the_decoding_thread(make_clip):
    frames = read_frames(make_clip("clip.mp4"))
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "avsync-decode"]


def test_a_file_without_frames_says_so(make_clip):
    with pytest.raises(UnreadableMedia, match="no video stream") as caught:
        next(read_frames(make_clip("clip.mp4", video=False)))
    assert caught.value.reason == "no_video_stream"


@pytest.mark.parametrize("wrong", [0, -1, 1])
def test_a_max_side_without_a_frame_is_refused(wrong):
    with pytest.raises(ValueError, match=f"max_side must be at least 2 pixels, got {wrong}"):
        read_frames("any.mp4", wrong)


def test_a_rate_that_is_none_is_refused():
    with pytest.raises(ValueError, match="fps must be positive, got 0"):
        next(at_rate([], 0))


def test_frames_of_an_mxf_without_an_index_are_not_a_frame_late(tmp_path):
    whole, cut = tmp_path / "whole.mxf", tmp_path / "cut.mxf"
    with av.open(whole, "w") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv422p"
        for index in range(25):
            image = np.full((64, 96, 3), 10 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    data = whole.read_bytes()
    # The index and the closing partition come last: without them, FFmpeg counts decoding times.
    cut.write_bytes(data[: int(0.8 * len(data))])
    intact = [frame.time_s for frame in read_frames(whole)]
    assert intact[:3] == pytest.approx([0.0, 0.04, 0.08])
    assert [frame.time_s for frame in read_frames(cut)][:3] == pytest.approx([0.0, 0.04, 0.08])
