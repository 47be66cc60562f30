"""Shift the audio of a file against its video without re-encoding.

An MP4, MOV or MXF that stays one is patched (`patching`); other files are remuxed.
"""

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer

from avsync.media.container import open_media
from avsync.media.writers.atomic_output import (
    atomic_output,
    check_destination,
    explain_write_errors,
)
from avsync.media.writers.comparison.differences import compare_streams, refuse_loss
from avsync.media.writers.comparison.forecast import check_positions, forecast_copy
from avsync.media.writers.copied_packets import copied_packets
from avsync.media.writers.output_container import (
    container_format,
    output_file,
    supported_streams,
)
from avsync.media.writers.patching.shift import shift_by_patching

MAX_SHIFT_MS = 3_600_000.0
# One shift for all audio streams, or one per position among the audio streams, from 0.
Shifts = float | Mapping[int, float]


def shift_audio(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    shift_ms: Shifts,
    *,
    overwrite: bool = False,
    allow_loss: bool = False,
) -> tuple[str, ...]:
    """Copy a media file with its audio shifted by `shift_ms` against its video.

    An MP4, MOV, MXF or transport stream that stays one is copied byte by byte, apart from its edit
    lists, timestamps or PCM samples. Other files are remuxed: the packets of all streams are
    copied, with metadata, chapters, dispositions, rotation and records such as Dolby Vision. Audio
    that would precede the start of the file is hidden or dropped, except for the few packets that
    the first one needs to decode completely. The shift is exact to 1 ms. An AVI has no timestamps:
    silent packets are inserted, or the first packets dropped, which is exact for PCM and within
    half a packet (16 ms) for compressed audio. The copy is compared with the source, and written
    atomically.

    Args:
        source: the file to copy, never written to.
        destination: the new file; its extension selects the container.
        shift_ms: shift in milliseconds, positive = later; at most an hour. A mapping shifts single
            streams, by their positions among the audio streams, from 0; the others are not moved.
        overwrite: replace an existing destination.
        allow_loss: accept a copy that lacks something that matters: a video, audio or subtitle
            stream, rotation, HDR or Dolby Vision metadata, timecode, chapters.

    Returns:
        Descriptions of what the copy lacks: fonts, metadata and the like.

    Raises:
        UnreadableMedia: if the source is not a media file.
        ValueError: if the destination is the source itself, also through a link.
        FileExistsError: if the destination exists and `overwrite` is not set.
        RuntimeError: if the container cannot hold something that matters.
    """
    source, destination = Path(source), Path(destination)
    check_destination(source, destination, overwrite=overwrite)
    with atomic_output(destination) as partial:
        return write_shifted(source, partial, destination, shift_ms, allow_loss=allow_loss)


def write_shifted(
    source: Path,
    partial: Path,
    destination: Path,
    shift_ms: Shifts,
    *,
    allow_loss: bool = False,
) -> tuple[str, ...]:
    """Write the file of `shift_audio` to `partial`; errors name `destination`."""
    with open_media(source) as reading:
        shifts_s = shifts_by_index(reading, shift_ms)
        with explain_write_errors(source, destination):
            kind = container_format(partial)
            patched = shift_by_patching(reading, source, partial, kind, shifts_s)
            if not patched:
                # Refused before the whole file is copied.
                forecast_copy(source, destination, encode=False, allow_loss=allow_loss)
                wanted, _ = supported_streams(reading, kind, None)
                spread_s = max(map(abs, shifts_s.values()), default=Fraction(0))
                with output_file(reading, partial, kind, wanted, spread_s=spread_s) as new:
                    for packet in copied_packets(reading, new, shifts_s):
                        new.writing.mux_one(packet)
        found = compare_streams(source, partial, shifts_s=shifts_s, count_packets=not patched)
    return refuse_loss(source, destination, found, allow_loss=allow_loss)


def shifts_by_index(reading: InputContainer, shift_ms: Shifts) -> dict[int, Fraction]:
    """Return the shifts of audio streams in seconds, by stream index.

    Raises:
        ValueError: if a shift is longer than an hour, or the file lacks a stream that is named.
    """
    audio = reading.streams.audio
    check_positions("shift_ms", shift_ms if isinstance(shift_ms, Mapping) else (), len(audio))
    if not isinstance(shift_ms, Mapping):
        _check_shift(shift_ms)
        shift_ms = dict.fromkeys(range(len(audio)), shift_ms)
    for shift in shift_ms.values():
        _check_shift(shift)
    return {audio[at].index: Fraction(shift) / 1000 for at, shift in shift_ms.items()}


def _check_shift(shift_ms: float) -> None:
    if not abs(shift_ms) <= MAX_SHIFT_MS:
        raise ValueError(f"shift_ms must lie within an hour, got {shift_ms}")
