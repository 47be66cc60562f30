"""Files broken on purpose: the same seed and number break a file in the same way every time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

# Names that stand before numbers of a header: atoms of mp4 and mov, chunks of AVI, ...
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
WIDTHS = (1, 2, 4, 8)
MOST_FLIPS = 64
MOST_RUN = 5000
MOST_BLOCK = 20_000

Bytes = bytearray


class Mutation(NamedTuple):
    """A broken file: how it was broken, and what came of it."""

    kind: str
    data: bytes


def mutate(data: bytes, donors: Sequence[bytes], seed: int, number: int) -> Mutation:
    """Breaks a file's bytes in one to three ways, the `number`-th of a seed.

    Args:
        data: the bytes of a whole file.
        donors: bytes of other files, from which pieces are spliced in.
        seed: of all mutations of a run.
        number: of this one.
    """
    rng = np.random.default_rng([seed, number])
    broken, kinds = bytearray(data), []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        kind = list(KINDS)[int(rng.integers(len(KINDS)))]
        kinds.append(kind)
        broken = KINDS[kind](broken, donors, rng)
    return Mutation("+".join(kinds), bytes(broken))


def _place(data: Bytes, rng: np.random.Generator) -> int:
    """Somewhere in a file; every other time near its beginning or end, where the headers are."""
    length = max(1, len(data))
    near = int(rng.integers(min(4096, length)))
    return (int(rng.integers(length)), int(rng.integers(length)), near, length - 1 - near)[
        int(rng.integers(4))
    ]


def _flips(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    for _ in range(int(rng.integers(1, MOST_FLIPS))):
        if data:
            data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _run(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    at, length = _place(data, rng), int(rng.integers(1, MOST_RUN))
    length = min(length, len(data) - at)
    noise = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    data[at : at + length] = (noise, bytes(length), b"\xff" * length)[int(rng.integers(3))]
    return data


def _truncation(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    at = _place(data, rng)
    return data[:at] if rng.random() < 0.75 else data[at:]


def _splice(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    """A piece of another file, over this one's bytes or between them; often its whole header."""
    donor = bytearray(donors[int(rng.integers(len(donors)))])
    start = 0 if rng.random() < 0.3 else _place(donor, rng)
    piece = donor[start : start + int(rng.integers(1, MOST_BLOCK))]
    at = 0 if rng.random() < 0.2 else _place(data, rng)
    data[at : at + (len(piece) if rng.random() < 0.5 else 0)] = piece
    return data


def _absurd(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    """Rates, sizes, durations, dimensions and counts beyond all measure, after a header's name."""
    named = [name for name in NAMES if name in data]
    for _ in range(int(rng.integers(1, 6))):
        if not named:
            return _run(data, donors, rng)
        name = named[int(rng.integers(len(named)))]
        places = [at for at in _all(data, name, most=50) if at + len(name) + 40 < len(data)]
        if not places:
            continue
        # Sizes stand before the name of an atom, all else behind it.
        at = places[int(rng.integers(len(places)))] + len(name)
        at = at - 8 if rng.random() < 0.15 and at >= 8 else at + int(rng.integers(40))
        width = WIDTHS[int(rng.integers(len(WIDTHS)))]
        top = 256**width
        values = (0, 1, top - 1, top // 2, top // 2 - 1, 1 << int(rng.integers(8 * width)))
        data[at : at + width] = values[int(rng.integers(len(values)))].to_bytes(width, "big")
    return data


def _duplicate(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    at, length = _place(data, rng), int(rng.integers(1, MOST_BLOCK))
    data[at:at] = data[at : at + length] * int(rng.choice([1, 1, 1, 20]))
    return data


def _swap(data: Bytes, donors: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    length = int(min(rng.integers(1, MOST_BLOCK), len(data) // 3))
    a, b = sorted(_place(data, rng) for _ in range(2))
    b = max(b, a + length)
    if length and b + length <= len(data):
        data[a : a + length], data[b : b + length] = data[b : b + length], data[a : a + length]
    return data


def _all(data: Bytes, name: bytes, most: int) -> list[int]:
    places, at = [], data.find(name)
    while at >= 0 and len(places) < most:
        places.append(at)
        at = data.find(name, at + 1)
    return places


Mutator = Callable[[Bytes, Sequence[bytes], np.random.Generator], Bytes]
KINDS: dict[str, Mutator] = {
    "flips": _flips,
    "run": _run,
    "truncation": _truncation,
    "splice": _splice,
    "absurd": _absurd,
    "duplicate": _duplicate,
    "swap": _swap,
}
