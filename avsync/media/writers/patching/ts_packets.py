"""Shift audio of an MPEG transport stream by its timestamps; programs and tables stay as they are.

The packets of a shifted stream move to where audio of their new time was, so that they arrive as
long before they are played as they did. Freed packets become null packets.
Source: ISO/IEC 13818-1, 2.4.3.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.media.writers.patching.boxes import UnknownStructure

CLOCK = 90_000
WRAP = 1 << 33
# Sizes of a packet, and where its first byte is: plain, and with the arrival time of M2TS.
LAYOUTS = {188: 0, 192: 4}
PACKET, SYNC = 188, 0x47
M2TS = (".m2ts", ".mts")
NULL = np.array([SYNC, 0x1F, 0xFF, 0x10, *[0xFF] * (PACKET - 4)], np.uint8)
# A larger step of the timestamps begins another recording.
MAX_STEP = 10 * CLOCK
# A PES packet up to this long is kept before the first audible one, for its decoder.
MAX_LEAD_IN = CLOCK // 20
ROWS = 1 << 15


class AudioPackets(NamedTuple):
    """The packets of one audio stream.

    Args:
        rows: numbers of the packets in the file, `(N,)`.
        pes: for each packet the number of the PES packet it belongs to, `(N,)`.
        pts: unwrapped timestamps of the PES packets, `(M,)`.
        segment: number of the recording of each PES packet, `(M,)`.
    """

    rows: np.ndarray
    pes: np.ndarray
    pts: np.ndarray
    segment: np.ndarray


class Move(NamedTuple):
    """Changes to one stream: packets of the source by the row they go to, or follow.

    Args:
        audio: the packets.
        ticks: the shift.
        target: for each packet the row it replaces, -1 to drop it, `(N,)`.
        behind: for each packet the row it is inserted behind, -1 for none, `(N,)`.
    """

    audio: AudioPackets
    ticks: int
    target: np.ndarray
    behind: np.ndarray


def shift_timestamps(
    source: Path, partial: Path, shifts_s: Mapping[int, Fraction], start_s: Fraction
) -> None:
    """Write a copy of a transport stream with the audio of PIDs shifted.

    Args:
        source: the file.
        partial: the new file.
        shifts_s: shifts in seconds by PID, positive = later.
        start_s: time of the first frame or audio sample; audio before it is dropped.

    Raises:
        UnknownStructure: if the file must be remuxed.
    """
    rows, first = packet_rows(source, partial)
    moves = [move for pid, s in shifts_s.items() if (move := _plan(rows, first, pid, s, start_s))]
    with partial.open("wb") as file:
        for block in _moved(rows, first, moves):
            file.write(block)
        with source.open("rb") as original:
            original.seek(rows.size)
            file.write(original.read())  # The rest is less than a packet.


def packet_rows(source: Path, destination: Path) -> tuple[np.ndarray, int]:
    """Return the packets of a file `(N, size)`, memory-mapped, and the offset of their first byte.

    Raises:
        UnknownStructure: if it is not made of packets of one size, or of another for the
            destination's extension.
    """
    content = np.memmap(source, np.uint8, "r")
    for size, first in LAYOUTS.items():
        count = len(content) // size
        rows = content[: count * size].reshape(count, size)
        if count and all(
            bool((rows[at : at + ROWS, first] == SYNC).all()) for at in range(0, count, ROWS)
        ):
            if (first > 0) != (destination.suffix.lower() in M2TS):
                raise UnknownStructure("the extension is that of another packet size")
            return rows, first
    raise UnknownStructure("the file is not made of transport packets")


def check_timestamps(
    source: Path, destination: Path, pids: Mapping[int, Fraction], start_s: Fraction
) -> None:
    """Check that `shift_timestamps` can shift PIDs of a file; nothing is written.

    Raises:
        UnknownStructure: if it cannot.
    """
    rows, first = packet_rows(source, destination)
    for pid, shift_s in pids.items():
        _plan(rows, first, pid, shift_s, start_s)


def _plan(
    rows: np.ndarray, first: int, pid: int, shift_s: Fraction, start_s: Fraction
) -> Move | None:
    ticks = round(shift_s * CLOCK)
    if not ticks:
        return None
    audio = _audio_packets(rows, first, pid)
    target = np.full(len(audio.rows), -1)
    behind = np.full(len(audio.rows), -1)
    times = _packet_times(audio)
    for segment in np.unique(audio.segment):
        inside = np.flatnonzero(audio.segment[audio.pes] == segment)
        slots, when = audio.rows[inside], times[inside]
        pes = np.unique(audio.pes[inside])
        begin = float(audio.pts[pes[0]])
        if segment == 0:
            # The clock may have wrapped between the start of the file and of this stream.
            begin += _signed(round(start_s * CLOCK) - round(begin))
        kept = inside[np.isin(audio.pes[inside], _kept(audio.pts[pes], pes, ticks, begin))]
        wanted = np.searchsorted(when, times[kept] + ticks, "left" if ticks > 0 else "right")
        wanted = np.maximum(wanted - (ticks < 0), 0)
        # No two packets may go to the same row.
        order = np.arange(len(kept))
        wanted = np.maximum.accumulate(wanted - order) + order
        fits = wanted < len(slots)
        target[kept[fits]] = slots[wanted[fits]]
        behind[kept[~fits]] = slots[-1]
    return Move(audio, ticks, target, behind)


def _kept(pts: np.ndarray, pes: np.ndarray, ticks: int, begin: float) -> np.ndarray:
    """Return the numbers of the PES packets of a recording that play after its begin."""
    ends = np.append(pts[1:], pts[-1] + (pts[-1] - pts[-2] if len(pts) > 1 else 0)) + ticks
    heard = np.flatnonzero((ends > begin) & (pts + ticks >= 0))
    if not len(heard):
        raise UnknownStructure("nothing of the audio would remain")
    low = int(heard[0])
    if low and ends[low - 1] - pts[low - 1] - ticks <= MAX_LEAD_IN and pts[low - 1] + ticks >= 0:
        low -= 1
    return pes[low:]


def _audio_packets(rows: np.ndarray, first: int, pid: int) -> AudioPackets:
    found = []
    for at in range(0, len(rows), ROWS):
        head = rows[at : at + ROWS, first + 1 : first + 3].astype(np.int32)
        found.append(at + np.flatnonzero((head[:, 0] & 0x1F) << 8 | head[:, 1] == pid))
    numbers = np.concatenate(found)
    if not len(numbers):
        raise UnknownStructure(f"there is no packet of PID {pid}")
    heads = rows[numbers, first : first + 6]
    fields = (heads[:, 3] & 0x20 > 0) & (heads[:, 4] > 0)
    if (heads[:, 3] & 0xC0).any() or (fields & (heads[:, 5] & 0x10 > 0)).any():
        raise UnknownStructure("the audio is scrambled, or its packets hold the program's clock")
    starts = heads[:, 1] & 0x40 > 0
    pes = np.cumsum(starts) - 1
    numbers, pes = numbers[pes >= 0], pes[pes >= 0]
    raw = [_pts(rows[row, first:]) for row in numbers[np.diff(pes, prepend=-1) > 0]]
    if len(raw) < 2 or raw[0] is None:
        raise UnknownStructure("the audio has no timestamps")
    pts, segment = [raw[0]], [0]
    for stamp in raw[1:]:
        step = 0 if stamp is None else _signed(stamp - pts[-1])
        fresh = not 0 <= step <= MAX_STEP
        pts.append(pts[-1] + step if not fresh else int(stamp or 0))
        segment.append(segment[-1] + fresh)
    return AudioPackets(numbers, pes, np.array(pts, np.int64), np.array(segment))


def _packet_times(audio: AudioPackets) -> np.ndarray:
    """Return the time of each packet: that of its PES packet, or between two of them."""
    starts = np.flatnonzero(np.diff(audio.pes, prepend=-1) > 0)
    times = np.empty(len(audio.rows))
    for segment in np.unique(audio.segment):
        pes = np.flatnonzero(audio.segment == segment)
        inside = np.flatnonzero(audio.segment[audio.pes] == segment)
        times[inside] = np.interp(inside, starts[pes], audio.pts[pes])
    return times


def _moved(rows: np.ndarray, first: int, moves: list[Move]) -> Iterator[bytes]:
    """Yield the bytes of the new file."""
    for at in range(0, len(rows), ROWS):
        block = np.array(rows[at : at + ROWS])
        inserted: dict[int, list[np.ndarray]] = {}
        end = at + len(block)
        for move in moves:
            own = move.audio.rows[_between(move.audio.rows, at, end)]
            block[own - at, first:] = NULL
            for number in _numbers(move.target, at, end):
                block[move.target[number] - at, first:] = _content(rows, first, move, number)
            for number in _numbers(move.behind, at, end):
                row = np.array(rows[move.behind[number]])
                row[first:] = _content(rows, first, move, number)
                inserted.setdefault(int(move.behind[number]) - at, []).append(row)
        start = 0
        for row_number in sorted(inserted):
            yield block[start : row_number + 1].tobytes()
            yield np.stack(inserted[row_number]).tobytes()
            start = row_number + 1
        yield block[start:].tobytes()


def _numbers(rows: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return the indices of rows from `start` to `end`; -1 stands for none."""
    known = np.flatnonzero(rows >= 0)
    return known[_between(rows[known], start, end)]


def _between(rows: np.ndarray, start: int, end: int) -> slice:
    """Return the slice of sorted rows from `start` to `end`."""
    return slice(int(np.searchsorted(rows, start)), int(np.searchsorted(rows, end)))


def _content(rows: np.ndarray, first: int, move: Move, number: int) -> np.ndarray:
    """Return a packet with its new timestamps; counters of a stream without gaps stay so."""
    packet = np.array(rows[move.audio.rows[number], first:])
    if packet[1] & 0x40:
        offset = _pes_offset(packet)
        flags = packet[offset + 7] >> 6
        for at in (9, 14) if flags == 3 else (9,) if flags == 2 else ():
            stamp = _read_stamp(packet[offset + at : offset + at + 5])
            _write_stamp(packet, offset + at, (stamp + move.ticks) % WRAP)
    return packet


def _pes_offset(packet: np.ndarray) -> int:
    return 4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0)


def _pts(packet: np.ndarray) -> int | None:
    """Return the timestamp of the PES packet that starts in a packet, None if it has none."""
    offset = _pes_offset(packet)
    if offset + 19 > PACKET or bytes(packet[offset : offset + 3]) != b"\0\0\1":
        raise UnknownStructure("a PES header is cut off")
    if packet[offset + 7] >> 6 < 2:
        return None
    return _read_stamp(packet[offset + 9 : offset + 14])


def _read_stamp(field: np.ndarray) -> int:
    """Return a timestamp of 33 bits, which have a marker bit behind bits 30, 15 and 0."""
    high, b, c, d, e = (int(value) for value in field)
    return (high >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1


def _write_stamp(packet: np.ndarray, at: int, stamp: int) -> None:
    prefix = int(packet[at]) & 0xF0
    packet[at : at + 5] = (
        prefix | stamp >> 30 << 1 | 1,
        stamp >> 22 & 0xFF,
        (stamp >> 15 & 0x7F) << 1 | 1,
        stamp >> 7 & 0xFF,
        (stamp & 0x7F) << 1 | 1,
    )


def _signed(step: int) -> int:
    """Return a difference of timestamps without the wrap of the clock."""
    return (step + WRAP // 2) % WRAP - WRAP // 2
