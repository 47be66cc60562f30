"""Packets of an MPEG transport stream (ISO/IEC 13818-1): sections, PES headers, clocks."""

from collections.abc import Callable, Iterator
from random import Random

from benchmarks.media.structure.element import Element, Field, Format, crc32, no_trailer, root

PACKET = 188
PAT, PMT = 0, 0x1000  # FFmpeg's muxer puts the program map there.
PID = Field("PID", 1, 2, bits=13)
COUNTER = Field("continuity counter", 3, 1, bits=4)
SCRAMBLING = Field("scrambling", 3, 1, shift=6, bits=2)
UNIT_START = Field("unit start", 1, 1, shift=6, bits=1)
TICKS_PER_MS = 90


def parse(data: bytes) -> Element:
    """Read the packets of a file; each is a leaf without a header of its own."""
    packets = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    return root([Element(_name(packet), packet, header=b"") for packet in packets])


def _name(packet: bytes) -> str:
    pid, unit = PID.get(packet), UNIT_START.get(packet)
    if pid in (PAT, PMT):
        return "PAT" if pid == PAT else "PMT"
    clock = "PCR, " if _has_clock(packet) else ""
    return f"{clock}{'start' if unit else 'rest'} of {pid}"


def _has_clock(packet: bytes) -> bool:
    return bool(packet[3] & 0x20) and packet[4] >= 7 and bool(packet[5] & 0x10)


def _payload_at(packet: bytes) -> int:
    return 4 + (1 + packet[4] if packet[3] & 0x20 else 0)


def _stamps(packet: bytes) -> Iterator[Field]:
    """Yield PTS and DTS of a packet that starts a PES packet (2.4.3.6)."""
    at = _payload_at(packet)
    if UNIT_START.get(packet) and packet[at : at + 3] == b"\0\0\1" and at + 19 <= len(packet):
        if packet[at + 7] & 0x80:
            yield Field("PTS", at + 9, 5, coding="stamp")
        if packet[at + 7] & 0xC0 == 0xC0:
            yield Field("DTS", at + 14, 5, coding="stamp")


def fields(element: Element) -> list[Field]:
    """Return the fields of a packet that have a meaning."""
    packet = element.body
    if len(packet) < PACKET:
        return []
    found = [PID, COUNTER, SCRAMBLING, UNIT_START, Field("sync byte", 0, 1)]
    found.append(Field("error indicator", 1, 1, shift=7, bits=1))
    found.append(Field("adaptation control", 3, 1, shift=4, bits=2))
    if packet[3] & 0x20:
        found.append(Field("adaptation length", 4, 1))
        found.append(Field("adaptation flags", 5, 1))
    if _has_clock(packet):
        found.append(Field("PCR", 6, 6, coding="clock"))
    at = _payload_at(packet)
    if element.name in ("PAT", "PMT") and at + 17 <= len(packet):
        table = at + 1 + packet[at] if at < len(packet) else len(packet)
        for name, offset, width in (("ID", 0, 1), ("number", 3, 2), ("version", 5, 1)):
            found.append(Field(f"{element.name} {name}", table + offset, width))
        found.append(Field(f"{element.name} length", table + 1, 2, bits=12))
        found.append(Field(f"{element.name} section number", table + 6, 2))
        found += [Field(f"{element.name} byte", table + k, 1) for k in range(8, 40)]
    elif UNIT_START.get(packet) and packet[at : at + 3] == b"\0\0\1":
        found += [Field("stream ID", at + 3, 1), Field("PES length", at + 4, 2)]
        found += [Field("PES flags", at + 6, 2), Field("PES header length", at + 8, 1)]
        found += _stamps(packet)
    return [field for field in found if field.at + field.width <= len(packet)]


def _seal(element: Element) -> None:
    """Renew the checksum of a section."""
    packet = element.body
    if element.name not in ("PAT", "PMT") or len(packet) < PACKET:
        return
    at = _payload_at(packet)
    if at >= PACKET or at + 1 + packet[at] + 3 > PACKET:
        return
    start = at + 1 + packet[at]
    end = start + 3 + (int.from_bytes(packet[start + 1 : start + 3]) & 0xFFF)
    if start + 7 <= end <= PACKET:
        crc = crc32(packet[start : end - 4], 0xFFFFFFFF)
        element.body = packet[: end - 4] + crc.to_bytes(4) + packet[end:]


def _resized(element: Element, contents: bytes, rng: Random) -> bytes:
    """Return bytes before the packet, after which packets are no longer at multiples of 188."""
    return rng.randbytes(rng.choice((1, 4, 16, 187, 188)))


def _pids(tree: Element) -> list[int]:
    """Return the PIDs with PES packets."""
    packets = tree.children or []
    return sorted({PID.get(p.body) for p in packets if p.name.startswith(("start", "PCR, start"))})


def _move_stamps(
    tree: Element, first: int, ticks: int, pids: list[int], names: tuple[str, ...]
) -> None:
    for element in (tree.children or [])[first:]:
        if len(element.body) == PACKET and PID.get(element.body) in pids:
            for field in fields(element):
                if field.name in names:
                    element.body = field.put(element.body, field.get(element.body) + ticks)


def _leap(which: str) -> Callable[[Element, Random], bool]:
    """Return a mutation that moves the times of a stream, of all, or the clock, from one packet."""

    def leap(tree: Element, rng: Random) -> bool:
        pids = _pids(tree)
        if not pids:
            return False
        first = rng.choice((0, rng.randrange(len(tree.children or []))))
        ticks = TICKS_PER_MS * rng.choice((-10_000, -300, -40, 40, 300, 2000, 10_000, 5_000_000))
        if which == "stream":
            _move_stamps(tree, first, ticks, [rng.choice(pids)], ("PTS", "DTS"))
        elif which == "clock":
            _move_stamps(tree, first, ticks, pids, ("PCR",))
        else:
            _move_stamps(tree, first, ticks, pids, ("PTS", "DTS", "PCR"))
        return True

    return leap


def _wrap(tree: Element, rng: Random) -> bool:
    """Move all times so that the 33 bits wrap within the file."""
    ticks = (1 << 33) - TICKS_PER_MS * rng.randrange(1000, 6000)
    _move_stamps(tree, 0, ticks, _pids(tree), ("PTS", "DTS", "PCR"))
    return True


def _scramble(tree: Element, rng: Random) -> bool:
    """Mark the packets of a stream as scrambled, from one on or for a while."""
    pids, packets = _pids(tree), tree.children or []
    if not pids:
        return False
    pid, first = rng.choice(pids), rng.choice((0, rng.randrange(len(packets))))
    for element in packets[first : rng.choice((len(packets), first + 200))]:
        if len(element.body) == PACKET and PID.get(element.body) == pid:
            element.body = SCRAMBLING.put(element.body, rng.choice((1, 2, 3)))
    return True


def _lose(tree: Element, rng: Random) -> bool:
    """Lose packets, as a bad reception does, evenly or in bursts."""
    packets, share = tree.children or [], rng.choice((0.002, 0.02, 0.2))
    if rng.random() < 0.5:
        packets[:] = [packet for packet in packets if rng.random() > share]
    else:
        first = rng.randrange(max(1, len(packets)))
        del packets[first : first + max(1, round(share * len(packets)))]
    return True


def _count(tree: Element, rng: Random) -> bool:
    """Break the continuity counters of a stream."""
    pids = _pids(tree)
    if not pids:
        return False
    pid = rng.choice(pids)
    for element in tree.children or []:
        if len(element.body) == PACKET and PID.get(element.body) == pid and rng.random() < 0.3:
            element.body = COUNTER.put(element.body, rng.randrange(16))
    return True


def _renumber(tree: Element, rng: Random) -> bool:
    """Move a stream to another PID in the middle of the file, with or without a new PMT."""
    pids, packets = _pids(tree), tree.children or []
    if not pids:
        return False
    old, new, first = rng.choice(pids), rng.randrange(0x200, 0x300), rng.randrange(len(packets))
    announced = rng.random() < 0.7
    for element in packets[first:]:
        if len(element.body) != PACKET:
            continue
        if PID.get(element.body) == old:
            element.body = PID.put(element.body, new)
        elif announced and element.name == "PMT":
            body = element.body.replace((0xE000 | old).to_bytes(2), (0xE000 | new).to_bytes(2))
            element.body = body
            for field in fields(element):
                if field.name == "PMT version":
                    element.body = field.put(element.body, field.get(element.body) + 2)
            _seal(element)
    return True


MPEGTS = Format(
    parse,
    lambda element, contents: b"",
    no_trailer,
    fields,
    _resized,
    {
        "stream leap": _leap("stream"),
        "leap of all": _leap("all"),
        "clock leap": _leap("clock"),
        "wrap": _wrap,
        "scrambling": _scramble,
        "lost packets": _lose,
        "counters": _count,
        "new PID": _renumber,
    },
    _seal,
    renames=False,
)
