"""What would repair a file: how its audio has to move, why that may be in doubt, all in words."""

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal

from avsync.media.probe import probe_media
from avsync.media.writers.remux import write_shifted
from avsync.media.writers.retime import cut_at_silence, forecast_copy, write_retimed
from avsync.media.writers.time_map import AudioSegment
from avsync.scoring.result import CheckResult, OffsetSegment, TimelinePoint

MIN_CONFIDENCE = 0.8
# A moment further than this from the whole file's offset is not repaired by the same shift.
CONSTANT_MS = 80.0
# So much of the timeline, weighted by confidence, may lie off: single moments are misjudged.
MAX_SHARE_OFF = 0.2
# A stretch off to one side for this long is no misjudged moment, however long the file.
MAX_STRETCH_S = 6.0
# An offset between two jumps that held for less than this was hardly measured.
MIN_PIECE_S = 3.0
# A drift that one shift brings this close to zero at either end is not worth encoding for: it is
# the narrowest limit of the tolerance profiles.
LEAVES_MS = 15.0
# Beyond this the voice would be heard to change: 5000 ppm are 9 hundredths of a semitone.
MAX_PPM = 5000.0

RepairKind = Literal["constant", "drift", "jumps"]


@dataclass(frozen=True)
class Repair:
    """What is done to the audio of a file. All else is copied.

    Args:
        kind: `constant`: one shift, nothing is encoded anew. `drift`: the audio is resampled.
            `jumps`: it is moved piece by piece.
        pieces: by how much the audio is early, from when to when, and so made later by.
        ppm: of a drift, by how much it is slowed down.
        encoded: how each audio is encoded anew, in words; empty where it is copied.
        left_out: what the new container has no place for, in words.
    """

    kind: RepairKind
    pieces: tuple[OffsetSegment, ...]
    ppm: float | None = None
    encoded: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def sentence(self, *, would: bool = False) -> str:
        """Return what was done, or would be: `moved the sound by +120 ms, without re-encoding`."""
        first, last = self.pieces[0], self.pieces[-1]
        if self.kind == "constant":
            words = [f"{'move' if would else 'moved'} the audio by {_ms(first.offset_ms)}"]
            words.append("without re-encoding")
        else:
            if self.kind == "drift":
                ppm = self.ppm or 0.0
                words = [
                    f"{'resample' if would else 'resampled'} the audio by {ppm:+.0f} ppm "
                    f"({abs(ppm) * 0.06:.1f} ms a minute)",
                    f"moving it by {_ms(first.offset_ms)} at first and by "
                    f"{_ms(last.at(last.end_s))} at the end",
                ]
            else:
                moves = [f"{_ms(first.offset_ms)} up to {_clock(first.end_s)}"]
                moves += [f"{_ms(p.offset_ms)} from {_clock(p.start_s)}" for p in self.pieces[1:]]
                words = [f"{'move' if would else 'moved'} the audio by {', '.join(moves)}"]
                words.append("with short fades where it is cut")
            words.append(f"and re-encode{'' if would else 'd'} it ({', '.join(self.encoded)})")
            words.append("the frames are copied as they are")
        text = ", ".join(words).replace(", and", " and")
        if self.left_out:
            text += f"; left out, for want of a place: {', '.join(self.left_out)}"
        return f"would {text}" if would else text


def plan_repair(result: CheckResult) -> Repair:
    """Return what repairs a file by what was measured of it; ValueError where there is no offset."""
    if result.offset_ms is None:
        raise ValueError("result must have an offset, got offset_ms None")
    fault = result.fault
    if fault is not None and fault.kind == "drift" and fault.pieces:
        piece = fault.pieces[0]
        middle_ms = piece.at((piece.start_s + piece.end_s) / 2)
        if abs(middle_ms - piece.offset_ms) > LEAVES_MS:
            return Repair("drift", fault.pieces[:1], piece.ppm)
        return Repair("constant", (piece._replace(offset_ms=middle_ms, ppm=0.0),))
    if fault is not None and fault.kind == "jumps" and len(fault.pieces) > 1:
        return Repair("jumps", tuple(piece._replace(ppm=0.0) for piece in fault.pieces))
    # A fault that comes and goes is, where that is forced, moved by what holds for most of it.
    return Repair(
        "constant", (OffsetSegment(0.0, result.duration_s or 0.0, result.offset_ms, 0.0),)
    )


def complete_repair(source: Path, destination: Path, repair: Repair) -> Repair:
    """Return the repair with what is encoded and left out, and its cuts where it is quiet; RuntimeError
    where it cannot be written.
    """
    seen = forecast_copy(source, destination, encode=repair.kind != "constant")
    pieces = repair.pieces
    if repair.kind == "jumps":
        segments = [AudioSegment(*piece) for piece in pieces]
        moved = cut_at_silence(source, probe_media(source).video_start_s, segments)
        pieces = tuple(OffsetSegment(*stretch) for stretch in moved)
    return replace(repair, pieces=pieces, encoded=seen.encoded, left_out=seen.left_out)


def write_repaired(source: Path, partial: Path, destination: Path, repair: Repair) -> None:
    """Write the repaired file to `partial`; errors name `destination`."""
    if repair.kind == "constant":
        # Audio that leads by so many ms has to come so many ms later.
        write_shifted(source, partial, destination, repair.pieces[0].offset_ms)
    else:
        segments = [AudioSegment(*piece) for piece in repair.pieces]
        write_retimed(source, partial, destination, segments)


def repair_doubt(result: CheckResult, min_confidence: float = MIN_CONFIDENCE) -> str | None:
    """Why a measured offset should not be repaired, in plain words; None if it may."""
    if result.offset_ms is None:
        raise ValueError("result must have an offset, got offset_ms None")
    if result.confidence < min_confidence:
        reached = f"a confidence of {result.confidence:.2f}, below {min_confidence:.2f}"
        return f"the offset is known with {reached}"
    fault = result.fault
    if fault is None:
        return _not_constant(result)
    if fault.kind == "intermittent":
        return "the offset comes and goes over the file, and no shift repairs that"
    if fault.kind == "drift" and abs(fault.pieces[0].ppm) > MAX_PPM:
        return (
            f"the audio drifts by {fault.pieces[0].ppm:+.0f} ppm, and voices would be heard to "
            f"change beyond {MAX_PPM:.0f}"
        )
    for piece in fault.pieces if fault.kind == "jumps" else ():
        if piece.end_s - piece.start_s < MIN_PIECE_S:
            return (
                f"the offset jumps at {_clock(piece.start_s)} and again "
                f"{piece.end_s - piece.start_s:.1f} s later, too soon to be sure"
            )
    return None


def worst_ms(result: CheckResult) -> float:
    """Return the offset of a file where it is furthest from zero, as a distance in ms."""
    pieces = result.fault.pieces if result.fault is not None else ()
    ends = [piece.at(t_s) for piece in pieces for t_s in (piece.start_s, piece.end_s)]
    return max((abs(end) for end in ends), default=abs(result.offset_ms or 0.0))


def _not_constant(result: CheckResult) -> str | None:
    """For results that name no fault: what their timelines say against a single shift."""
    for track in result.tracks:
        points = [point for point in track.timeline if point.offset_ms is not None]
        if track.status == "ok" and (moment := _changes(points, result.offset_ms or 0.0)):
            return (
                f"the offset is not the same all along: {result.offset_ms:+.0f} ms on the whole, "
                f"{moment.offset_ms:+.0f} ms at {moment.t_s:.0f} s"
            )
    return None


def _changes(points: list[TimelinePoint], offset_ms: float) -> TimelinePoint | None:
    """Return a moment of a stretch that one shift would not repair, if there is one."""

    def side(point: TimelinePoint) -> int:
        away_ms = (point.offset_ms or 0.0) - offset_ms
        return 0 if abs(away_ms) <= CONSTANT_MS else 1 if away_ms > 0 else -1

    runs = [(which, list(run)) for which, run in groupby(points, side)]
    off = [run for which, run in runs if which != 0]
    if not off:
        return None
    longest = max(off, key=lambda run: run[-1].t_s - run[0].t_s)
    weight_off = sum(point.confidence for run in off for point in run)
    share = weight_off / max(sum(point.confidence for point in points), 1e-9)
    lasts_s = longest[-1].t_s - longest[0].t_s
    if share > MAX_SHARE_OFF or lasts_s > MAX_STRETCH_S:
        return longest[len(longest) // 2]
    return None


def _ms(offset_ms: float) -> str:
    return f"{offset_ms:+.0f} ms"


def _clock(t_s: float) -> str:
    minutes, seconds = divmod(round(t_s, 1), 60)
    return f"{int(minutes)}:{seconds:04.1f}"
