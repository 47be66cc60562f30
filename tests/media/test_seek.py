"""Frames and audio at chosen times are those of the whole file, in every container."""

import time
from itertools import pairwise

import av
import numpy as np
import pytest

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.seek import AUDIO_LEAD_S, LATE_S, AudioSeeker, VideoSeeker
from avsync.media.video_reader import read_frames

SUFFIXES = ["mp4", "mkv", "webm", "mpg", "avi", "ts", "flv"]


@pytest.fixture
def whole(make_clip):
    """`whole(suffix)`: a clip of 6 s that starts late where its container can say so."""

    def made(suffix):
        clip = make_clip(f"clip.{suffix}", duration_s=6.0, flashes=(1.0, 4.0), b_frames=2)
        return clip, list(read_frames(clip))

    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_frame_is_the_one_on_display(whole, suffix):
    clip, frames = whole(suffix)
    with VideoSeeker(clip) as video:
        assert video.first_s == frames[0].time_s
        # Forwards and backwards, on a frame and between two of them.
        for index, later_s in ((100, 0.0), (12, 0.02), (140, 0.02), (0, 0.0)):
            found = video.frame_at(frames[index].time_s + later_s)
            np.testing.assert_array_equal(found, frames[index].image)
        assert video.frame_at(frames[-1].time_s + 2.0) is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_range_holds_the_frames_that_come_on_display_in_it(whole, suffix):
    clip, frames = whole(suffix)
    start_s = frames[70].time_s - 0.01
    with VideoSeeker(clip) as video:
        found = list(video.frames_in(start_s, 1.0))
        thinned = list(video.frames_in(start_s, 1.0, min_gap_s=0.07))
    # Streams without an index are entered up to LATE_S late rather than sought in again.
    lost = 25 - len(found)
    assert 0 <= lost <= (LATE_S * 25 if suffix in ("mpg", "ts") else 0)
    assert [frame.time_s for frame in found] == [f.time_s for f in frames[70 + lost : 95]]
    for ours, theirs in zip(found, frames[70 + lost : 95], strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
    assert [frame.time_s for frame in thinned] == [frame.time_s for frame in found[::2]]


def test_nothing_is_decoded_past_the_deadline(make_clip):
    with VideoSeeker(make_clip("clip.mp4"), deadline_s=time.monotonic()) as video:
        assert video.frame_at(0.5) is None
        assert list(video.frames_in(0.5, 1.0)) == []


@pytest.mark.parametrize("rate", [None, 16000])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mpg", "ts"])
def test_audio_blocks_lie_where_their_times_say(make_clip, hear_clicks, suffix, rate):
    clip = make_clip(f"clip.{suffix}", duration_s=6.0, clicks=(1.0, 4.4))
    with AudioSeeker(clip) as audio:
        blocks = list(audio.blocks_from(4.0, rate))
        rate = rate or audio.rate
    begin_s = blocks[0][0]
    assert 4.0 - AUDIO_LEAD_S - 1.0 < begin_s <= 4.0
    for (first_s, wav), (next_s, _) in pairwise(blocks):
        assert next_s == pytest.approx(first_s + len(wav) / rate, abs=0.002)
    (whole,) = [t for t in hear_clicks(np.concatenate(list(read_audio(clip, 0.0)))) if t > 3]
    (found,) = hear_clicks(np.concatenate([wav for _, wav in blocks]), rate)
    assert begin_s + found == pytest.approx(whole, abs=0.002)


def test_a_file_that_lacks_the_stream_says_so(make_clip, tmp_path):
    with pytest.raises(UnreadableMedia, match="the file has no audio stream"):
        AudioSeeker(make_clip("mute.mp4", audio=False))
    with pytest.raises(UnreadableMedia, match="the file has no video stream"):
        VideoSeeker(make_clip("blind.mp4", video=False))
    with pytest.raises(UnreadableMedia, match="does not exist"):
        VideoSeeker(tmp_path / "gone.mp4")


def test_a_time_that_no_container_has_is_unreadable(make_clip):
    clip = make_clip("clip.mp4")
    with AudioSeeker(clip) as audio, VideoSeeker(clip) as video:
        with pytest.raises(UnreadableMedia, match="seeking in the file failed"):
            next(audio.blocks_from(1e30))
        assert video.frame_at(1e30) is None


def test_a_closed_seeker_lets_go_of_its_file(make_clip):
    clip = make_clip("clip.mp4")
    with VideoSeeker(clip) as video, AudioSeeker(clip) as audio:
        containers = (video._container, audio._container)
    for container in containers:
        with pytest.raises((AssertionError, av.error.FFmpegError, ValueError)):
            container.seek(0)
