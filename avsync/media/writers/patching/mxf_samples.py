"""Move or replace the PCM samples of an MXF file; everything else stays as it is.

An MXF has no offset per track that players agree on: audio and video of one edit unit are stored
together. So the samples are moved within the audio elements of a copy, whose structure, timecode,
index tables and metadata are unchanged. Source: SMPTE ST 377-1, ST 379-1.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer

from avsync.media.container import packets
from avsync.media.writers.patching.boxes import UnknownStructure
from avsync.media.writers.patching.patched_copy import copy_with_patches

PCM = re.compile(r"pcm_s(16|24|32)le")
KEY_BYTES = 16
UNIVERSAL_LABEL = bytes.fromhex("060e2b34")


def shift_samples(
    reading: InputContainer, source: Path, partial: Path, shifts_s: Mapping[int, Fraction]
) -> None:
    """Write a copy of an MXF file with the PCM of audio streams shifted.

    The gap is filled with silence, and samples beyond the start or end are cut off.

    Args:
        reading: the file, opened.
        source: its path.
        partial: the new file.
        shifts_s: shifts in seconds by stream index, positive = later.

    Raises:
        UnknownStructure: if the audio is not stored as plain PCM.
    """
    streams = {
        stream.index: stream for stream in reading.streams.audio if shifts_s.get(stream.index)
    }
    widths = {index: _frame_bytes(stream) for index, stream in streams.items()}
    elements = _elements(reading, source, list(streams.values()))
    copy_with_patches(source, partial, ())
    with source.open("rb") as original, partial.open("r+b") as copy:
        for index, stream in streams.items():
            samples = round(shifts_s[index] * stream.codec_context.sample_rate)
            _move(original, copy, elements[index], samples * widths[index])


def replace_samples(
    reading: InputContainer,
    source: Path,
    partial: Path,
    audio: Mapping[int, Iterable[np.ndarray]],
) -> None:
    """Write a copy of an MXF file with other PCM in its audio streams.

    Args:
        reading: the file, opened.
        source: its path.
        partial: the new file.
        audio: the samples from the start of the file by stream index, blocks `(C, n)` float32; cut
            off or filled with silence to the length of the stream.

    Raises:
        UnknownStructure: if the audio is not stored as plain PCM.
    """
    streams = {stream.index: stream for stream in reading.streams.audio if stream.index in audio}
    packed = {index: _packed(audio[index], _bits(stream)) for index, stream in streams.items()}
    elements = _elements(reading, source, list(streams.values()))
    copy_with_patches(source, partial, ())
    with partial.open("r+b") as copy:
        for index, content in packed.items():
            held = b""
            for at, size in elements[index].tolist():
                while len(held) < size and (more := next(content, b"")):
                    held += more
                copy.seek(at)
                copy.write(held[:size].ljust(size, b"\0"))
                held = held[size:]


def _packed(blocks: Iterable[np.ndarray], bits: int) -> Iterator[bytes]:
    """Yield blocks `(C, n)` as little-endian integers of a number of bits."""
    top = 2 ** (bits - 1)
    for block in blocks:
        scaled = np.clip(np.round(block.T.astype(np.float64) * top), -top, top - 1)
        octets = scaled.astype("<i4").reshape(-1, 1).view(np.uint8)
        yield octets[:, : bits // 8].tobytes()


def check_samples(reading: InputContainer, source: Path) -> None:
    """Check that the audio of an MXF file can be shifted, by its first packets.

    Raises:
        UnknownStructure: if it cannot.
    """
    streams = list(reading.streams.audio)
    for stream in streams:
        _frame_bytes(stream)
    with source.open("rb") as file:
        for packet in islice(packets(reading, *streams), len(streams)) if streams else ():
            if packet is not None and packet.size:
                _payload_offset(file, packet)


def _frame_bytes(stream: av.AudioStream) -> int:
    """Return the bytes of one sample of all channels."""
    return _bits(stream) // 8 * stream.codec_context.channels


def _bits(stream: av.AudioStream) -> int:
    context = stream.codec_context
    found = PCM.fullmatch(context.name) if context else None
    if found is None:
        raise UnknownStructure("its audio is not linear PCM of 16 to 32 bits")
    return int(found[1])


def _elements(
    reading: InputContainer, source: Path, streams: list[av.AudioStream]
) -> dict[int, np.ndarray]:
    """Return the offsets and sizes `(N, 2)` of the audio of each stream, by stream index."""
    found: dict[int, list[tuple[int, int]]] = {stream.index: [] for stream in streams}
    with source.open("rb") as file:
        for packet in packets(reading, *streams) if streams else ():
            if packet is not None and packet.size:
                at = _payload_offset(file, packet)
                found[packet.stream_index].append((at, packet.size))
    if not all(found.values()):
        raise UnknownStructure("an audio stream is empty")
    return {index: np.array(extents, np.int64) for index, extents in found.items()}


def _payload_offset(file: BinaryIO, packet: av.Packet) -> int:
    """Return where the content of a packet is in the file: a packet may name its key's offset."""
    at = packet.pos
    if at is None or at < 0:
        raise UnknownStructure("a packet has no offset in the file")
    file.seek(at)
    head = file.read(KEY_BYTES + 9)
    if head.startswith(UNIVERSAL_LABEL):
        # The length is one byte, or as many as the low bits of the first byte say.
        length = head[KEY_BYTES]
        at += KEY_BYTES + 1 + (length & 0x7F if length & 0x80 else 0)
    file.seek(at)
    if file.read(packet.size) != bytes(packet):
        raise UnknownStructure("its audio is not stored as plain PCM")
    return at


def _move(original: BinaryIO, copy: BinaryIO, elements: np.ndarray, by: int) -> None:
    """Write the audio of one stream `by` bytes later into its elements."""
    starts = np.concatenate([[0], np.cumsum(elements[:, 1])])
    for (at, size), start in zip(elements.tolist(), starts.tolist(), strict=False):
        content = b"".join(_read(original, elements, starts, start - by, start - by + size))
        copy.seek(at)
        copy.write(content)


def _read(
    original: BinaryIO, elements: np.ndarray, starts: np.ndarray, first: int, last: int
) -> Iterator[bytes]:
    """Yield the bytes of a stream from `first` to `last`, zeros outside of it."""
    end = int(starts[-1])
    if first < 0:
        yield bytes(min(-first, last - first))
        first = 0
    while first < min(last, end):
        index = int(np.searchsorted(starts, first, "right")) - 1
        count = min(last, int(starts[index + 1])) - first
        original.seek(int(elements[index, 0]) + first - int(starts[index]))
        yield original.read(count)
        first += count
    if last > max(first, end):
        yield bytes(last - max(first, end))
