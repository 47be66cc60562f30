"""Seeded mutations of files for fuzzing: a seed and a number always give the same mutation."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

# Names that are followed by header fields: atoms of mp4 and mov, chunks of AVI, ...
NAMES = [
    *(b"mvhd", b"tkhd", b"mdhd", b"elst", b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"stss"),
    *(b"avc1", b"avcC", b"mp4v", b"mp4a", b"esds", b"trun", b"moov", b"mdat", b"stsd"),
    *(b"avih", b"strh", b"strf", b"LIST", b"idx1", b"movi", b"00dc", b"01wb", b"FLV"),
]
# ... IDs of Matroska: sizes, rates, scales and times of tracks, clusters, blocks, codec data ...
NAMES += [
    bytes.fromhex(name)
    for name in (
        *("1A45DFA3", "18538067", "1549A966", "1654AE6B", "1F43B675", "1C53BB6B", "2AD7B1"),
        *("4489", "23E383", "56AA", "56BB", "63A2", "6264", "54B0", "54BA", "78B5"),
        *("B0", "BA", "B5", "9F", "E7", "A3", "A0", "A1", "9B", "E0", "E1", "D7"),
    )
]
# ... and start codes of MPEG: pack, sequence, picture, streams; sync bytes of a transport stream.
NAMES += [
    bytes.fromhex(name)
    for name in ("000001BA", "000001B3", "000001B5", "00000100", "000001E0", "000001C0", "47")
]
FIELD_BYTES = (1, 2, 4, 8)
MAX_FLIPS = 64
MAX_RUN = 5000
MAX_BLOCK = 20_000

Bytes = bytearray


class Mutation(NamedTuple):
    """A mutated file: the kinds of its mutations, joined by `+`, and its bytes."""

    kind: str
    data: bytes


def mutate(data: bytes, donors: Sequence[bytes], seed: int, number: int) -> Mutation:
    """Mutate the bytes of a file in one to three ways.

    Args:
        data: bytes of an intact file.
        donors: bytes of other files, from which blocks are spliced in.
        seed: seed of a run.
        number: number of the mutation in the run.
    """
    rng = np.random.default_rng([seed, number])
    mutated, kinds = bytearray(data), []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        kind = list(KINDS)[int(rng.integers(len(KINDS)))]
        kinds.append(kind)
        mutated = KINDS[kind](mutated, donors, rng)
    return Mutation("+".join(kinds), bytes(mutated))


def _position(data: Bytes, rng: np.random.Generator) -> int:
    """Draw a position; half of the draws are near the beginning or end, where headers are."""
    length = max(1, len(data))
    near = int(rng.integers(min(4096, length)))
    return (int(rng.integers(length)), int(rng.integers(length)), near, length - 1 - near)[
        int(rng.integers(4))
    ]


def _flips(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    for _ in range(int(rng.integers(1, MAX_FLIPS))):
        if data:
            data[_position(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _run(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    at, length = _position(data, rng), int(rng.integers(1, MAX_RUN))
    length = min(length, len(data) - at)
    noise = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    data[at : at + length] = (noise, bytes(length), b"\xff" * length)[int(rng.integers(3))]
    return data


def _truncation(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    at = _position(data, rng)
    return data[:at] if rng.random() < 0.75 else data[at:]


def _splice(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    """Overwrite or insert a block of another file, often its whole header."""
    donor = bytearray(donors[int(rng.integers(len(donors)))])
    start = 0 if rng.random() < 0.3 else _position(donor, rng)
    block = donor[start : start + int(rng.integers(1, MAX_BLOCK))]
    at = 0 if rng.random() < 0.2 else _position(data, rng)
    data[at : at + (len(block) if rng.random() < 0.5 else 0)] = block
    return data


def _extreme_field(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    """Overwrite header fields (rates, sizes, durations, counts) with extreme values."""
    present = [name for name in NAMES if name in data]
    for _ in range(int(rng.integers(1, 6))):
        if not present:
            return _run(data, donors, rng)
        name = present[int(rng.integers(len(present)))]
        found = _find_all(data, name, limit=50)
        positions = [at for at in found if at + len(name) + 40 < len(data)]
        if not positions:
            continue
        # The size precedes the name of an atom, all other fields follow it.
        at = positions[int(rng.integers(len(positions)))] + len(name)
        at = at - 8 if rng.random() < 0.15 and at >= 8 else at + int(rng.integers(40))
        width = FIELD_BYTES[int(rng.integers(len(FIELD_BYTES)))]
        top = 256**width
        values = (0, 1, top - 1, top // 2, top // 2 - 1, 1 << int(rng.integers(8 * width)))
        data[at : at + width] = values[int(rng.integers(len(values)))].to_bytes(width, "big")
    return data


def _duplicate(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    at, length = _position(data, rng), int(rng.integers(1, MAX_BLOCK))
    data[at:at] = data[at : at + length] * int(rng.choice([1, 1, 1, 20]))
    return data


def _swap(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    length = int(min(rng.integers(1, MAX_BLOCK), len(data) // 3))
    a, b = sorted(_position(data, rng) for _ in range(2))
    b = max(b, a + length)
    if length and b + length <= len(data):
        data[a : a + length], data[b : b + length] = data[b : b + length], data[a : a + length]
    return data


def _find_all(data: Bytes, name: bytes, limit: int) -> list[int]:
    positions, at = [], data.find(name)
    while at >= 0 and len(positions) < limit:
        positions.append(at)
        at = data.find(name, at + 1)
    return positions


Mutator = Callable[[Bytes, Sequence[bytes], np.random.Generator], Bytes]
KINDS: dict[str, Mutator] = {
    "flips": _flips,
    "run": _run,
    "truncation": _truncation,
    "splice": _splice,
    "absurd": _extreme_field,
    "duplicate": _duplicate,
    "swap": _swap,
}
