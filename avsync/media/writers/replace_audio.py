"""A file whose first audio is another one; everything else is copied."""

import os
from pathlib import Path

import av

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia, open_media
from avsync.media.writers.atomic_output import becoming, plain_errors, refuse_destination
from avsync.media.writers.audio_encoder import plan_audio_streams
from avsync.media.writers.output_container import EncodedAudio, begin, container_format, fitting
from avsync.media.writers.remux import copied


def replace_sound(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    audio: str | os.PathLike[str],
    start_s: float,
    *,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Copy a media file with `sound` in the place of its first audio; it has no other.

    The audio is encoded as the one before: codec, rate, channels and bit rate, or the nearest there
    are. All other streams are copied as they are. Memory does not grow with the file.

    Args:
        source: the file to copy, never written to; UnreadableMedia where it has no audio.
        destination: the new file; its extension names the container, as in `shift_audio`, whose
            errors hold.
        audio: an audio file, of as many channels as the one it takes the place of.
        start_s: when its first sample is heard, on the clock of `source`.
        overwrite: replace an existing destination, which else is a FileExistsError.

    Returns what the new container has no place for, in words.
    """
    source, destination = Path(source), Path(destination)
    refuse_destination(source, destination, overwrite=overwrite)
    with becoming(destination) as partial:
        return write_replaced(source, partial, destination, Path(audio), start_s)


def write_replaced(
    source: Path, partial: Path, destination: Path, audio: Path, start_s: float
) -> tuple[str, ...]:
    """Write the file of `replace_sound` to `partial`; `destination` is named in errors."""
    with open_media(source) as reading, plain_errors(source, destination):
        kind = container_format(partial)
        with av.open(f"file:{partial}", "w", format=kind) as unwritten:
            plans = plan_audio_streams(source, unwritten)
        if not plans:
            raise UnreadableMedia("no_audio_stream", "the file has no audio stream")
        first = min(plans)
        wanted, left_out = fitting(reading, kind, plans)
        kept = [index for index in wanted if index == first or index not in plans]
        new = begin(reading, partial, kind, kept, {first: plans[first]})
        blocks = read_audio(audio, 0.0, plans[first].rate, mono=False)
        with new.writing:
            made = EncodedAudio(new, first, plans[first], blocks, start_s)
            for packet in copied(reading, new):
                made.write_until((packet.dts or 0) * packet.time_base)
                new.writing.mux_one(packet)
            made.write_until(None)
    return tuple(left_out)
