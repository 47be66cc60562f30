"""Choose how a file is shifted by patching a copy: its edit lists, timestamps or samples."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.stream import Disposition

from avsync.media.writers.patching.boxes import UnknownStructure
from avsync.media.writers.patching.edit_lists import patches_of_edit_lists, shift_edit_lists
from avsync.media.writers.patching.mxf_samples import check_samples, shift_samples
from avsync.media.writers.patching.ts_packets import check_timestamps, shift_timestamps

TRIAL_SHIFT_S = Fraction(1, 1000)
ISO_BASE_MEDIA = ("mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v")


def shift_by_patching(
    reading: InputContainer,
    source: Path,
    partial: Path,
    kind: str,
    shifts_s: Mapping[int, Fraction],
) -> bool:
    """Write a shifted copy that differs from its source in nothing else, if the format allows it.

    Args:
        reading: the source, opened.
        source: its path.
        partial: the new file.
        kind: FFmpeg's name of the new container.
        shifts_s: shifts in seconds by stream index, positive = later.

    Returns:
        Whether it was written; else the file must be remuxed.
    """
    try:
        if kind in ISO_BASE_MEDIA and same_family(reading, source, partial):
            shift_edit_lists(
                source, partial, {reading.streams[i].id: s for i, s in shifts_s.items()}
            )
        elif kind == "mxf" and reading.format.name == "mxf":
            shift_samples(reading, source, partial, shifts_s)
        elif kind == reading.format.name == "mpegts":
            pids = {reading.streams[index].id: shift_s for index, shift_s in shifts_s.items()}
            shift_timestamps(source, partial, pids, first_time_s(reading))
        else:
            return False
    except UnknownStructure:
        return False
    return True


def can_be_patched(reading: InputContainer, source: Path, destination: Path, kind: str) -> bool:
    """Whether `shift_by_patching` can write a file; nothing is written."""
    try:
        if kind in ISO_BASE_MEDIA and same_family(reading, source, destination):
            tracks = {stream.id: TRIAL_SHIFT_S for stream in reading.streams.audio}
            patches_of_edit_lists(source, tracks)
        elif kind == "mxf" and reading.format.name == "mxf":
            check_samples(reading, source)
        elif kind == reading.format.name == "mpegts":
            pids = {stream.id: TRIAL_SHIFT_S for stream in reading.streams.audio}
            check_timestamps(source, destination, pids, first_time_s(reading))
        else:
            return False
    except UnknownStructure:
        return False
    return True


def first_time_s(reading: InputContainer) -> Fraction:
    """Return the start of a file on its clock: its first video frame or audio sample."""
    starts = [
        stream.start_time * (stream.time_base or Fraction(0))
        for stream in (*reading.streams.video, *reading.streams.audio)
        if stream.start_time is not None and not stream.disposition & Disposition.attached_pic
    ]
    return min(starts, default=Fraction(0))


def same_family(reading: InputContainer, source: Path, destination: Path) -> bool:
    """Whether a file can be copied byte by byte to a destination's extension."""
    if "mp4" not in reading.format.name:
        return False
    if source.suffix.lower() == destination.suffix.lower():
        return True
    quicktime = reading.metadata.get("major_brand", "qt  ") == "qt  "
    return quicktime == (destination.suffix.lower() in (".mov", ".qt"))
