"""Audio of a transport stream moves by its timestamps; all other packets stay where they are."""

import av
import numpy as np
import pytest

from avsync.media.writers.patching.boxes import UnknownStructure
from avsync.media.writers.patching.ts_packets import (
    _read_stamp,
    _write_stamp,
    check_timestamps,
)
from avsync.media.writers.remux import shift_audio

LATE = {"flashes": (0.8, 1.2, 1.6), "clicks": (0.8, 1.2, 1.6)}
NULL_PID = 0x1FFF


def rows_of(path, size=188, first=0):
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, size)[:, first:]


def pids_of(rows):
    return (rows[:, 1].astype(int) & 0x1F) << 8 | rows[:, 2]


def audio_pids(path):
    with av.open(path) as container:
        return [stream.id for stream in container.streams.audio]


def contents(path, position):
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=position) if packet.size]


@pytest.mark.parametrize("shift_ms", [-333.0, 120.0])
@pytest.mark.parametrize("codec", ["aac", "mp2", "ac3"])
def test_audio_moves_and_other_packets_stay(make_clip, clip_sync, tmp_path, codec, shift_ms):
    clip, new = make_clip("clip.ts", audio_codec=codec, tracks=2, **LATE), tmp_path / "new.ts"
    zero = clip_sync(clip, 1)
    assert shift_audio(clip, new, {1: shift_ms}) == ()
    np.testing.assert_allclose(clip_sync(new, 1) - zero, shift_ms, atol=0.1)
    np.testing.assert_allclose(clip_sync(new, 0), clip_sync(clip, 0), atol=0.1)
    moved = audio_pids(clip)[1]
    before, after = rows_of(clip), rows_of(new)
    others = [
        rows[(pids_of(rows) != moved) & (pids_of(rows) != NULL_PID)] for rows in (before, after)
    ]
    np.testing.assert_array_equal(*others)
    one, other = contents(clip, 1), contents(new, 1)
    assert one[len(one) - len(other) :] == other
    # Audio that would precede the file is dropped, in whole packets of the stream.
    assert len(one) - len(other) == 0 if shift_ms > 0 else 0 < len(one) - len(other) < 18


def test_the_counters_of_the_moved_packets_have_no_gap(make_clip, tmp_path):
    clip, new = make_clip("clip.ts"), tmp_path / "new.ts"
    shift_audio(clip, new, -300.0)
    rows = rows_of(new)
    own = rows[pids_of(rows) == audio_pids(clip)[0]]
    assert set(np.diff(own[:, 3].astype(int) & 0x0F) % 16) == {1}


def test_audio_arrives_as_long_before_it_plays_as_it_did(make_clip, tmp_path):
    def leads(path):
        """Rows of video that follow each audio packet until the frame of its time, on average."""
        rows = rows_of(path)
        times = {}
        for pid in (0x100, 0x101):
            own = np.flatnonzero((pids_of(rows) == pid) & (rows[:, 1] & 0x40 > 0))
            times[pid] = [(_stamp(rows[at]), at) for at in own]
        video = np.array(times[0x100])
        audio = [item for item in times[0x101] if video[0, 0] < item[0] < video[-1, 0]]
        return np.mean([np.interp(pts, video[:, 0], video[:, 1]) - at for pts, at in audio])

    clip, new = make_clip("clip.ts", duration_s=6.0), tmp_path / "new.ts"
    per_second = len(rows_of(clip)) / 6
    for shift_ms in (-500.0, 500.0):
        shift_audio(clip, new, shift_ms, overwrite=True)
        assert abs(leads(new) - leads(clip)) < 0.1 * per_second  # 50 ms of 500.


def _stamp(packet):
    offset = 4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0)
    return _read_stamp(packet[offset + 9 : offset + 14])


def test_packets_with_arrival_times_keep_them(make_clip, clip_sync, tmp_path):
    clip, m2ts, new = make_clip("clip.ts", **LATE), tmp_path / "clip.m2ts", tmp_path / "new.m2ts"
    rows = rows_of(clip)
    arrival = np.arange(len(rows), dtype=">u4").view(np.uint8).reshape(-1, 4)
    m2ts.write_bytes(np.hstack([arrival, rows]).tobytes())
    shift_audio(m2ts, new, -120.0)
    np.testing.assert_allclose(clip_sync(new) - clip_sync(clip), -120, atol=0.1)
    np.testing.assert_array_equal(rows_of(new, 192)[:, :4], arrival)


@pytest.mark.parametrize("shift_ms", [-200.0, 120.0])
def test_a_clock_that_wraps_goes_on(make_clip, clip_sync, tmp_path, shift_ms):
    clip, wrapping, new = make_clip("clip.ts", **LATE), tmp_path / "wrap.ts", tmp_path / "new.ts"
    # 33 bits at 90 kHz last 95443.7 s.
    options = {"output_ts_offset": "95442.7"}
    with av.open(clip) as source, av.open(wrapping, "w", container_options=options) as target:
        copies = [target.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                target.mux(packet)
    stamps = [_stamp(row) for row in rows_of(wrapping) if row[1] & 0x40 and row[2] and row[1] & 1]
    assert min(stamps) < 90_000 < 2**33 - 90_000 < max(stamps)
    shift_audio(wrapping, new, shift_ms)
    np.testing.assert_allclose(clip_sync(new) - clip_sync(clip), shift_ms, atol=0.1)


def test_a_timestamp_is_read_as_it_was_written():
    packet = np.zeros(10, np.uint8)
    packet[2] = 0x21
    for stamp in (0, 1, 90_000, 2**33 - 1, 0x155555555):
        _write_stamp(packet, 2, stamp)
        assert _read_stamp(packet[2:7]) == stamp
        assert packet[2] >> 4 == 2
    # ISO/IEC 13818-1, table 2-21: marker bits behind bits 30, 15 and 0.
    assert (packet[[2, 4, 6]] & 1).all()


def test_recordings_one_after_the_other_are_shifted_each(make_clip, clip_sync, tmp_path):
    clip, new, part = make_clip("clip.ts", **LATE), tmp_path / "new.ts", tmp_path / "part.ts"
    size = clip.stat().st_size
    zero = clip_sync(clip)
    clip.write_bytes(clip.read_bytes() * 2)
    shift_audio(clip, new, 120.0)
    # The second recording begins with the tables that the first one begins with.
    at = new.read_bytes().index(clip.read_bytes()[: 2 * 188], size // 2)
    part.write_bytes(new.read_bytes()[at:])
    np.testing.assert_allclose(clip_sync(part) - zero, 120, atol=0.1)


def test_what_is_no_transport_stream_is_left_to_the_remuxer(make_clip, tmp_path):
    clip = make_clip("clip.ts")
    with pytest.raises(UnknownStructure, match="there is no packet of PID 5"):
        check_timestamps(clip, tmp_path / "new.ts", {5: 1}, 0)
    with pytest.raises(UnknownStructure, match="that of another packet size"):
        check_timestamps(clip, tmp_path / "new.m2ts", {0x101: 1}, 0)
    rows = np.array(rows_of(clip))
    rows[pids_of(rows) == 0x101, 3] |= 0x80
    clip.write_bytes(rows.tobytes())
    with pytest.raises(UnknownStructure, match="the audio is scrambled"):
        check_timestamps(clip, tmp_path / "new.ts", {0x101: 1}, 0)
    clip.write_bytes(clip.read_bytes()[1:])
    with pytest.raises(UnknownStructure, match="not made of transport packets"):
        check_timestamps(clip, tmp_path / "new.ts", {0x101: 1}, 0)
