"""Replace the audio of a file by other audio; everything else is copied."""

import os
from pathlib import Path

import av

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia, open_media
from avsync.media.writers.atomic_output import (
    atomic_output,
    check_destination,
    explain_write_errors,
)
from avsync.media.writers.audio_encoder import plan_audio_streams
from avsync.media.writers.comparison.differences import compare_streams, refuse_loss
from avsync.media.writers.copied_packets import copied_packets
from avsync.media.writers.encoded_audio import EncodedAudio
from avsync.media.writers.output_container import (
    container_format,
    output_file,
    supported_streams,
)


def replace_audio_stream(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    audio: str | os.PathLike[str],
    start_s: float,
    *,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Copy a media file with its first audio stream replaced; other audio streams are dropped.

    The audio is encoded like the original: codec, rate, channels and bit rate, or the nearest
    available. All other streams are copied. Memory does not grow with the file.

    Args:
        source: the file to copy, never written to.
        destination: the new file; its extension selects the container.
        audio: an audio file with as many channels as the original.
        start_s: time of its first sample, on the clock of `source`.
        overwrite: replace an existing destination.

    Returns:
        Descriptions of what the new container cannot hold.

    Raises:
        UnreadableMedia: if the source has no audio.
        ValueError, FileExistsError, RuntimeError: as `shift_audio`.
    """
    source, destination = Path(source), Path(destination)
    check_destination(source, destination, overwrite=overwrite)
    with atomic_output(destination) as partial:
        return write_replaced_audio(source, partial, destination, Path(audio), start_s)


def write_replaced_audio(
    source: Path, partial: Path, destination: Path, audio: Path, start_s: float
) -> tuple[str, ...]:
    """Write the file of `replace_audio_stream` to `partial`; errors name `destination`."""
    with open_media(source) as reading, explain_write_errors(source, destination):
        kind = container_format(partial)
        with av.open(f"file:{partial}", "w", format=kind) as unwritten:
            plans = plan_audio_streams(source, unwritten)
        if not plans:
            raise UnreadableMedia("no_audio_stream", "the file has no audio stream")
        first = min(plans)
        wanted, _ = supported_streams(reading, kind, plans)
        kept = [index for index in wanted if index == first or index not in plans]
        blocks = read_audio(audio, 0.0, plans[first].rate, mono=False)
        with output_file(reading, partial, kind, kept, {first: plans[first]}) as new:
            made = EncodedAudio(new, first, plans[first], blocks, start_s)
            for packet in copied_packets(reading, new):
                made.write_until((packet.dts or 0) * packet.time_base)
                new.writing.mux_one(packet)
            made.write_until(None)
    # Other audio is dropped on purpose.
    found = compare_streams(source, partial, encoded=plans, count_packets=False)
    found = tuple(difference for difference in found if difference.stream not in plans)
    return refuse_loss(source, destination, found, allow_loss=False)
