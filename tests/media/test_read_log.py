"""The log of a pass over a file names gaps, undecodable segments, and where the frames end."""

import av
import numpy as np
import pytest

from avsync.media.audio_reader import read_audio
from avsync.media.read_log import ClockJump, ReadLog, VideoProgress
from avsync.media.video_reader import read_frames


def times(start_s, end_s):
    return np.arange(round(25 * start_s), round(25 * end_s)) / 25


def logged(packets, frames, expected_end_s=None):
    """The log of frames at such times, of packets that come 0.2 s before their frames."""
    log = ReadLog()
    progress = VideoProgress(log, [ClockJump(3.0, 5.0)], 0.04)
    events = [(at - 0.2, "packet", at) for at in packets] + [(at, "frame", at) for at in frames]
    for _, kind, time_s in sorted(events):
        (progress.on_packet if kind == "packet" else progress.on_frame)(float(time_s))
    progress.on_end(expected_end_s)
    return log


def test_an_undisturbed_video_has_neither_gaps_nor_undecoded_segments():
    log = logged(times(1, 5), times(1, 5), 5.0)
    assert log.gaps == log.undecoded == []
    assert (log.end_s, log.expected_end_s) == pytest.approx((4.0, 4.0))
    assert log.jumps == [ClockJump(2.0, 5.0)]


def test_lost_packets_are_a_gap():
    both = [*times(1, 3), *times(6, 8)]
    log = logged(both, both)
    assert np.round(log.gaps, 6).tolist() == [[2, 5]]
    assert log.undecoded == []


def test_packets_without_frames_are_a_gap_and_undecoded():
    log = logged(times(1, 8), [*times(1, 3), *times(6, 8)])
    assert np.round(log.gaps, 6).tolist() == np.round(log.undecoded, 6).tolist() == [[2, 5]]


def test_a_gap_whose_end_cannot_be_decoded_is_undecoded_from_the_first_packet():
    log = logged([*times(1, 3), *times(5, 8)], [*times(1, 3), *times(7, 8)])
    assert np.round(log.gaps, 6).tolist() == [[2, 6]]
    assert np.round(log.undecoded, 6).tolist() == [[4, 6]]


def test_a_beginning_and_a_tail_that_cannot_be_decoded_are_undecoded():
    log = logged(times(1, 9), times(3, 5), 9.0)
    assert np.round(log.undecoded, 6).tolist() == [[-2, 0], [2, 6]]
    assert log.gaps == []
    assert (log.end_s, log.expected_end_s) == pytest.approx((2.0, 6.0))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "flv"])
def test_a_truncated_file_ends_before_it_should(make_clip, suffix):
    clip = make_clip(f"clip.{suffix}", duration_s=4.0)
    if suffix == "mp4":  # With its index at the front.
        front = clip.with_name("front.mp4")
        with av.open(clip) as source, av.open(front, "w", options={"movflags": "faststart"}) as to:
            copies = [to.add_stream_from_template(stream) for stream in source.streams]
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = copies[packet.stream_index]
                    to.mux(packet)
        clip = front
    whole, cut = ReadLog(), ReadLog()
    assert len(list(read_frames(clip, log=whole))) == 100
    assert whole.end_s == pytest.approx(4.0, abs=0.01)
    assert whole.expected_end_s == pytest.approx(4.0, abs=0.1)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    count = len(list(read_frames(clip, log=cut)))
    assert cut.end_s == pytest.approx(count / 25, abs=0.05)
    assert cut.end_s < 3.5
    assert cut.expected_end_s == pytest.approx(4.0, abs=0.1)


def test_frames_that_cannot_be_decoded_are_in_the_log(make_clip):
    clip = make_clip("clip.mkv", duration_s=8.0, b_frames=2)
    data = bytearray(clip.read_bytes())
    with av.open(clip) as container:
        for packet in container.demux(video=0):
            if packet.size and 2.0 <= packet.pts * packet.time_base < 5.0:
                at = data.index(bytes(packet), packet.pos)
                data[at : at + packet.size] = bytes(packet.size)
    clip.write_bytes(data)
    log = ReadLog()
    frames = list(read_frames(clip, log=log))
    assert len(frames) < 140
    ((start_s, end_s),) = log.undecoded
    # Up to the next key frame, at most 12 frames later.
    assert start_s == pytest.approx(2.0, abs=0.1)
    assert 4.9 < end_s < 5.6
    assert log.gaps == [(start_s, end_s)]


def test_audio_that_ends_early_says_when(make_clip):
    clip = make_clip("clip.mkv", duration_s=4.0, audio_codec="pcm_s16le", silence=(2.0, 9.0))
    log = ReadLog()
    list(read_audio(clip, 0.0, log=log))
    assert log.audio_end_s == pytest.approx(2.0, abs=0.05)
    assert log.samples == pytest.approx(2 * 48000 * log.audio_end_s, abs=100)


def test_a_second_file_that_its_container_hides_is_counted(make_clip):
    for suffix in ("mp4", "flv"):
        clip = make_clip(f"clip.{suffix}")
        whole = clip.read_bytes()
        log, joined_log = ReadLog(), ReadLog()
        list(read_frames(clip, log=log))
        assert log.unread_bytes < 100
        clip.write_bytes(whole + whole)
        assert len(list(read_frames(clip, log=joined_log))) == 50
        assert abs(joined_log.unread_bytes - len(whole)) < 100
