"""Read which program each stream of an MPEG-TS file belongs to (ISO 13818-1, 2.4.4).

FFmpeg knows it too, but PyAV does not give it.
"""

import os
from collections.abc import Iterator

# Packets are 188 bytes; of Blu-ray and AVCHD with 4 bytes before, of broadcast with 16 after.
PACKET, SIZES, SYNC = 188, (188, 192, 204), 0x47
# Tables are repeated several times per second: they are near the beginning.
READ_BYTES = 2 << 20
MAX_SECTION = 1024
PAT, PMT = 0x00, 0x02


def stream_programs(path: str | os.PathLike[str]) -> dict[int, int]:
    """Return the program number of each PID that a program map lists; of several the first."""
    with open(path, "rb") as file:
        data = file.read(READ_BYTES)
    maps: dict[int, int] = {}
    programs: dict[int, int] = {}
    sections: dict[int, bytes] = {}
    for pid, starts, payload in _payloads(data):
        if pid and pid not in maps:
            continue
        if starts:
            sections[pid] = payload[1 + payload[0] :] if payload else b""
        elif pid in sections and len(sections[pid]) < MAX_SECTION:
            sections[pid] += payload
        section = sections.get(pid, b"")
        length = 3 + (int.from_bytes(section[1:3]) & 0xFFF) if len(section) > 3 else MAX_SECTION
        if len(section) < length:
            continue
        if pid == 0 and section[0] == PAT:
            for at in range(8, length - 4 - 3, 4):
                number, map_pid = _words(section, at)
                if number:  # 0 is the network information.
                    maps.setdefault(map_pid & 0x1FFF, number)
        elif pid and section[0] == PMT:
            for stream_pid in _listed(section[:length]):
                programs.setdefault(stream_pid, int.from_bytes(section[3:5]))
    return programs


def _payloads(data: bytes) -> Iterator[tuple[int, bool, bytes]]:
    """Yield PID, whether a section or PES packet starts, and payload of each packet."""
    for size in SIZES:
        at = next((i for i in range(size) if _is_synced(data[i:], size)), None)
        if at is not None:
            break
    else:
        return
    for start in range(at, len(data) - PACKET + 1, size):
        packet = data[start : start + PACKET]
        if packet[0] != SYNC or not packet[3] & 0x10:
            continue
        begin = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        yield int.from_bytes(packet[1:3]) & 0x1FFF, bool(packet[1] & 0x40), packet[begin:]


def _is_synced(data: bytes, size: int) -> bool:
    marks = data[: 5 * size : size]
    return len(marks) > 1 and marks.count(SYNC) == len(marks)


def _listed(section: bytes) -> Iterator[int]:
    """Yield the PIDs of a program map section."""
    at = 12 + (int.from_bytes(section[10:12]) & 0xFFF)
    while at + 5 <= len(section) - 4:
        yield int.from_bytes(section[at + 1 : at + 3]) & 0x1FFF
        at += 5 + (int.from_bytes(section[at + 3 : at + 5]) & 0xFFF)


def _words(section: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(section[at : at + 2]), int.from_bytes(section[at + 2 : at + 4])
