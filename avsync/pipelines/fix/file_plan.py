"""Plan and write the repair of a file: each audio stream by its own offset.

A stream whose offset is not known stays as it is, unless it is to move with the stream by which the
file is judged. A stream in tolerance stays too, if another one is out of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from avsync.media.probe import probe_media
from avsync.media.writers.remux import write_shifted
from avsync.media.writers.retime import cut_at_silence, forecast_copy, write_retimed
from avsync.media.writers.time_map import AudioSegment
from avsync.pipelines.fix.plan import MIN_CONFIDENCE, Repair, plan_repair, repair_doubt
from avsync.scoring.result import CheckResult, OffsetSegment, StreamResult

# Repairs of audio streams by their positions.
Repairs = Mapping[int, Repair]


def plan_repairs(
    result: CheckResult,
    streams: int,
    *,
    together: bool = False,
    min_confidence: float = MIN_CONFIDENCE,
    force: bool = False,
) -> dict[int, Repair]:
    """Plan the repairs of the audio streams of a file from the result of its check.

    Args:
        result: result of the file, with an offset.
        streams: number of its audio streams.
        together: also move the streams whose offset is not known, with that of the file.
        min_confidence: streams with a lower confidence stay, except for the file's own.
        force: repair streams whatever `repair_doubt` says.

    Returns:
        Repairs by position, that of the stream by which the file is judged first.
    """
    own = plan_repair(result)
    judge = 0 if result.audio is None else result.audio
    if not result.streams:
        # A result without streams speaks for all of them.
        return {judge: own} | dict.fromkeys(range(streams), own)
    repairs = {judge: own}
    for stream in result.streams:
        if stream.audio == judge:
            continue
        if stream.status != "ok":
            if together:
                repairs[stream.audio] = own
        elif _moves(stream, result) and (force or not repair_doubt(stream, min_confidence)):
            repairs[stream.audio] = plan_repair(stream, result.duration_s)
    if together:
        compared = {stream.audio for stream in result.streams}
        repairs |= {at: own for at in range(streams) if at not in compared}
    return repairs


def _moves(stream: StreamResult, result: CheckResult) -> bool:
    """Return whether a stream with an offset is repaired: not if only others are out of it."""
    return stream.verdict != "in_sync" or result.verdict == "in_sync"


def complete_repairs(
    source: Path, destination: Path, repairs: Repairs, *, video: int = 0, allow_loss: bool = False
) -> dict[int, Repair]:
    """Fill in what is re-encoded and left out, and move the cuts between segments to silence.

    Args:
        source: the file to repair.
        destination: the repaired file; nothing is written.
        repairs: repairs by position among the audio streams.
        video: position of the video stream from whose first frame the segments count.
        allow_loss: whether a loss that matters is accepted.

    Raises:
        RuntimeError: if the repaired file cannot be written.
    """
    encoded = [at for at, repair in repairs.items() if repair.kind != "constant"]
    forecast = forecast_copy(source, destination, encode=encoded, allow_loss=allow_loss)
    words = dict(zip(sorted(encoded), forecast.encoded, strict=False))
    origin_s = probe_media(source, video).video_start_s
    complete = {}
    for at, repair in repairs.items():
        pieces = repair.pieces
        if repair.kind == "jumps":
            segments = [AudioSegment(*segment) for segment in pieces]
            moved = cut_at_silence(source, origin_s, segments, stream=at)
            pieces = tuple(OffsetSegment(*segment) for segment in moved)
        how = (words[at],) if at in words else ()
        complete[at] = replace(repair, pieces=pieces, encoded=how, left_out=forecast.left_out)
    return complete


def write_repaired(
    source: Path,
    partial: Path,
    destination: Path,
    repairs: Repairs,
    *,
    video: int = 0,
    allow_loss: bool = False,
) -> tuple[str, ...]:
    """Write the repaired file to `partial`; errors name `destination`.

    Returns:
        What the new container cannot hold, in words.
    """
    # Audio that leads is delayed by its offset.
    constant = {at: repair for at, repair in repairs.items() if repair.kind == "constant"}
    shifts_ms = {at: repair.pieces[0].offset_ms for at, repair in constant.items()}
    segments = {
        at: [AudioSegment(*segment) for segment in repair.pieces]
        for at, repair in repairs.items()
        if at not in constant
    }
    if not segments:
        return write_shifted(source, partial, destination, shifts_ms, allow_loss=allow_loss)
    written = write_retimed(
        source,
        partial,
        destination,
        segments,
        shifts_ms=shifts_ms,
        video=video,
        allow_loss=allow_loss,
    )
    return written.left_out
