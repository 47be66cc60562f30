"""Time continues where the clock of a file leaps, equally for frames and audio; valid gaps stay."""

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Discard

from avsync.media.audio_reader import read_audio
from avsync.media.probe import last_audio_packet_end_s, probe_media
from avsync.media.read_log import ReadLog
from avsync.media.seek import AudioSeeker, VideoSeeker
from avsync.media.timestamps.continuous_clock import ContinuousClock
from avsync.media.video_reader import read_frames

FLV_HEADER = 13
FIRST = (0.4, 1.2, 1.6)
SECOND = (0.28, 0.8, 1.44)
WRAP_S = 2**33 / 90000


@pytest.fixture
def joined(make_clip, tmp_path):
    """`joined("ts", late_s=0.3)`: two clips of 2 s, the clicks of the second one late."""

    def made(suffix, late_s=0.0, change=lambda clip: clip, **options):
        first = make_clip(f"first.{suffix}", duration_s=2.0, flashes=FIRST, clicks=FIRST)
        second = make_clip(
            f"second.{suffix}",
            **{"flashes": SECOND, "clicks": [at + late_s for at in SECOND], **options},
        )
        second = change(second)
        path = tmp_path / f"joined.{suffix}"
        skipped = FLV_HEADER if suffix == "flv" else 0
        path.write_bytes(first.read_bytes() + second.read_bytes()[skipped:])
        return path

    return made


def restamped(shift_s: float, kept: Callable[[str, float], bool] = lambda kind, time_s: True):
    """Returns a function that copies a clip with its clock shifted, without some packets."""

    def change(clip):
        target = clip.with_name(f"restamped{clip.suffix}")
        with av.open(clip) as source, av.open(target, "w") as copy:
            copies = [copy.add_stream_from_template(stream) for stream in source.streams]
            for packet in source.demux():
                if packet.dts is None or not kept(
                    packet.stream.type, packet.pts * packet.time_base
                ):
                    continue
                shift = round(Fraction(shift_s) / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = copies[packet.stream_index]
                copy.mux(packet)
        return target

    return change


def patched(clip, change: Callable[[int, int], int]):
    """Replaces presentation and decoding times in the PES headers of a TS file.

    Args:
        change: maps the stream's byte in the PES header (0xE0 video, 0xC0 audio) and a time.
    """
    data = bytearray(clip.read_bytes())
    for at in range(0, len(data), 188):
        starts = data[at + 1] & 0x40
        pes = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        if not starts or bytes(data[pes : pes + 3]) != b"\0\0\1":
            continue
        for field in range(bin(data[pes + 7] >> 6).count("1")):
            where = pes + 9 + 5 * field
            a, b, c, d, e = data[where : where + 5]
            time = (a & 14) << 29 | b << 22 | (c & 254) << 14 | d << 7 | e >> 1
            time = change(data[pes + 3], time) % 2**33
            data[where] = a & 0xF1 | time >> 29 & 14
            data[where + 1 : where + 5] = bytes(
                (time >> 22 & 255, time >> 14 & 254 | 1, time >> 7 & 255, time << 1 & 254 | 1)
            )
    clip.write_bytes(data)
    return clip


def lit(frames):
    return [frame.time_s - frames[0].time_s for frame in frames if frame.image.mean() > 200]


@pytest.mark.parametrize("late_s", [0.0, 0.32])
@pytest.mark.parametrize("suffix", ["ts", "mpg", "flv", "mkv", "webm"])
def test_the_clock_goes_on_and_keeps_the_offset_of_each_part(joined, clip_sync, suffix, late_s):
    path = joined(suffix, late_s)
    log = ReadLog()
    frames = list(read_frames(path, log=log))
    assert len(frames) == 100
    # The audio of the first part may end after its frames: these go on after it.
    begin_s = frames[50].time_s - frames[0].time_s
    assert 2.0 - 1e-3 <= begin_s <= 2.08
    np.testing.assert_allclose(lit(frames), [*FIRST, *(begin_s + np.array(SECOND))], atol=2e-3)
    expected = [0, 0, 0, *[1000 * late_s] * 3]
    assert np.abs(clip_sync(path) - expected).max() < 1.1
    ((time_s, leap_s),) = log.jumps
    assert time_s == pytest.approx(begin_s, abs=0.1)
    assert leap_s == pytest.approx(-2.0, abs=0.1)
    assert log.gaps == log.undecoded == []
    assert log.end_s == pytest.approx(begin_s + 2.0, abs=0.03)
    assert log.expected_end_s == pytest.approx(log.end_s, abs=0.1 + late_s)


@pytest.mark.parametrize("hours", [3, -3])
def test_a_clock_that_leaps_by_hours_is_followed(joined, clip_sync, make_clip, tmp_path, hours):
    change = restamped(3600.0 * hours + (20000 if hours < 0 else 0))
    path = joined("ts", change=change)
    if hours < 0:  # A program stream would not fit before time 0: shift the first part instead.
        first = restamped(20000)(tmp_path / "first.ts").read_bytes()
        path.write_bytes(first + (tmp_path / "second.ts").read_bytes())
    log, audio_log = ReadLog(), ReadLog()
    assert len(list(read_frames(path, log=log))) == 100
    wav = np.concatenate(list(read_audio(path, probe_media(path).video_start_s, log=audio_log)))
    assert len(wav) / 16000 == pytest.approx(4.0, abs=0.1)
    assert audio_log.jumps == log.jumps
    assert len(log.jumps) == 1
    assert np.abs(clip_sync(path)).max() < 1


def test_a_clock_that_wraps_does_not_leap(make_clip, clip_sync):
    clip = restamped(WRAP_S - 2.4)(make_clip("clip.ts"))
    log = ReadLog()
    times = [frame.time_s for frame in read_frames(clip, log=log)]
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-6)
    assert log.jumps == []
    assert np.abs(clip_sync(clip)).max() < 1


def test_three_parts_of_which_one_has_no_audio(make_clip, tmp_path, hear_clicks):
    parts = [make_clip(f"{n}.ts", audio=n != 1, flashes=(1.0,), clicks=(1.0,)) for n in range(3)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    log = ReadLog()
    frames = list(read_frames(path, log=log))
    wav = np.concatenate(list(read_audio(path, frames[0].time_s, log=log)))
    flashes = lit(frames)
    assert len(frames) == 150
    assert len(log.jumps) == 2
    np.testing.assert_allclose(hear_clicks(wav), [flashes[0], flashes[2]], atol=1e-3)
    assert log.audio_end_s == pytest.approx(log.end_s, abs=0.1)
    assert last_audio_packet_end_s(path) == pytest.approx(frames[-1].time_s, abs=0.1)


def test_the_log_says_where_the_audio_ends_if_the_second_part_has_none(joined):
    log = ReadLog()
    path = joined("ts", audio=False)
    assert len(list(read_frames(path, log=log))) == 100
    list(read_audio(path, probe_media(path).video_start_s, log=log))
    assert log.audio_end_s == pytest.approx(2.0, abs=0.1)
    assert log.end_s == pytest.approx(4.0, abs=0.1)


def test_a_second_part_of_another_size_and_sample_rate_is_followed(joined, clip_sync):
    path = joined(
        "ts", 0.2, size=(128, 80), sample_rate=44100, layout="mono", fps=30, flashes=(0.5, 1.5),
        clicks=(0.7, 1.7),
    )  # fmt: skip
    assert {frame.image.shape for frame in read_frames(path)} == {(64, 96, 3)}
    np.testing.assert_allclose(clip_sync(path), [0, 0, 0, 200, 200], atol=1)


def test_streams_that_change_their_identifiers_are_said_to_end(joined):
    def moved(clip):
        data = bytearray(clip.read_bytes())
        # FFmpeg's muxer: the PMT, with PIDs 0x100 and 0x101, is on PID 0x1000.
        with av.open(clip) as source, av.open(clip.with_name("moved.ts"), "w") as copy:
            copies = [copy.add_stream_from_template(stream) for stream in source.streams]
            for number, stream in enumerate(copies):
                stream.id = 0x200 + number
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = copies[packet.stream_index]
                    copy.mux(packet)
        assert clip.with_name("moved.ts").read_bytes() != bytes(data)
        return clip.with_name("moved.ts")

    path, log = joined("ts", change=moved), ReadLog()
    assert len(list(read_frames(path, log=log))) == 50
    assert len(probe_media(path).videos) == 2
    assert log.unread_bytes > 0.4 * path.stat().st_size


def test_a_gap_in_all_streams_stays_where_it_is(make_clip, clip_sync):
    clip = make_clip("clip.ts", duration_s=8.0, flashes=(0.4, 7.2), clicks=(0.4, 7.2))
    lost = restamped(0.0, lambda kind, time_s: not 2.0 <= time_s < 6.0)(clip)
    log = ReadLog()
    frames = list(read_frames(lost, log=log))
    np.testing.assert_allclose(lit(frames), [0.4, 7.2], atol=1e-3)
    assert np.abs(clip_sync(lost)).max() < 1
    ((start_s, end_s),) = log.gaps
    assert (start_s, end_s) == pytest.approx((2.0, 6.0), abs=0.05)
    assert log.undecoded == log.jumps == []


def test_a_pause_of_the_frames_alone_stays_where_it_is(make_clip, clip_sync):
    times = [*np.arange(0, 2, 0.04), *np.arange(14, 16, 0.04)]
    flashes = (0.4, 15.0)
    clip = make_clip("clip.ts", times=times, duration_s=16.0, flashes=flashes, clicks=flashes)
    log = ReadLog()
    np.testing.assert_allclose(lit(list(read_frames(clip, log=log))), flashes, atol=1e-3)
    assert np.abs(clip_sync(clip)).max() < 1
    assert log.jumps == []
    assert np.round(log.gaps, 2).tolist() == [[2.0, 14.0]]


@pytest.mark.parametrize("by_s", [3600, -3600, 11, -1.5])
@pytest.mark.parametrize("kind", [0xE0, 0xC0])
def test_damaged_timestamps_are_no_leap(make_clip, clip_sync, by_s, kind):
    seen = []

    def change(stream, time):
        seen.append(stream)
        return time + round(90000 * by_s) * (stream == kind and seen.count(kind) in (6, 7))

    # Two PES packets of one frame each, or of several audio packets.
    clip = patched(make_clip("clip.ts", flashes=(1.2, 1.6), clicks=(1.2, 1.6)), change)
    log = ReadLog()
    assert len(list(read_frames(clip, log=log))) >= 48
    assert log.jumps == []
    assert np.abs(clip_sync(clip)).max() < 3


def test_a_stream_that_leaps_alone_keeps_its_times(make_clip):
    clip = make_clip("clip.ts", duration_s=12.0, flashes=(), clicks=())
    threshold = 6 * 90000
    late = patched(clip, lambda stream, t: t - 2 * 90000 * (stream == 0xC0 and t > threshold))
    log = ReadLog()
    times = [frame.time_s for frame in read_frames(late, log=log)]
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-6)
    assert log.jumps == []


@pytest.mark.parametrize("suffix", ["ts", "mpg", "flv", "mkv"])
def test_seeking_finds_the_frames_and_audio_of_every_part(joined, hear_clicks, suffix):
    path = joined(suffix)
    frames = list(read_frames(path))
    wav = np.concatenate(list(read_audio(path, 0.0)))
    with VideoSeeker(path) as video:
        assert video.first_s == frames[0].time_s
        for index in (3, 70, 20, 95, 48, 52):
            np.testing.assert_array_equal(
                video.frame_at(frames[index].time_s + 0.005), frames[index].image
            )
        found = [frame.time_s for frame in video.frames_in(frames[60].time_s - 0.01, 0.4)]
    np.testing.assert_allclose(found, [frame.time_s for frame in frames[60:70]], atol=1e-6)
    last_s = hear_clicks(wav)[-1]
    with AudioSeeker(path) as audio:
        blocks = list(audio.blocks_from(last_s - 0.3, 16000))
        (found_s,) = hear_clicks(np.concatenate([block for _, block in blocks]))[-1:]
        assert blocks[0][0] + found_s == pytest.approx(last_s, abs=0.003)


def test_the_frame_rate_is_that_of_the_frames(joined):
    assert probe_media(joined("ts")).fps == pytest.approx(25, abs=0.3)


def test_containers_that_cannot_leap_are_read_stream_by_stream(make_clip):
    with av.open(make_clip("clip.mp4", flashes=())) as container:
        ContinuousClock(container, container.streams.video[0])
        read = {stream.type for stream in container.streams if stream.discard == Discard.default}
    assert read == {"video"}


@pytest.mark.parametrize("suffix", ["ts", "mkv", "flv"])
def test_the_earliest_start_of_a_part_follows_the_latest_end_before(joined, suffix):
    starts: dict[int, list[float]] = {0: [], 1: []}
    ends: dict[int, list[float]] = {0: [], 1: []}
    # With B-frames, the first packet in the file is not the one that is presented first.
    path = joined(suffix, b_frames=2, video_start_s=0.12, audio_start_s=0.09, flashes=(), clicks=())
    with av.open(path) as container:
        clock = ContinuousClock(container, *container.streams)
        for packet in clock.packets():
            if packet is not None and packet.pts is not None:
                segment = clock.segment_of(packet.stream)
                starts[segment].append(float(packet.pts * packet.time_base))
                ends[segment].append(float((packet.pts + packet.duration) * packet.time_base))
    assert min(starts[1]) == pytest.approx(max(ends[0]), abs=1e-6)
    assert clock.jumps[0].time_s == pytest.approx(min(starts[1]), abs=1e-6)
