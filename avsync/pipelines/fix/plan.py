"""Plan the repair of an audio stream from its check: its shifts, and reasons not to repair it."""

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from avsync.scoring.result import CheckResult, OffsetSegment, StreamResult, TimelinePoint

# Below this confidence an offset is not repaired.
MIN_CONFIDENCE = 0.8
# A moment whose offset differs from the file's by more than this is not repaired by one shift.
CONSTANT_MS = 80.0
# Share of the timeline, weighted by confidence, that may differ so: single moments are wrong.
MAX_SHARE_OFF = 0.2
# A segment that differs to one side for longer than this is no wrong moment, however long the file.
MAX_OFF_SEGMENT_S = 6.0
# The offset of a shorter segment between two jumps is uncertain.
MIN_SEGMENT_S = 3.0
# A drift that one shift brings this close to zero at either end is not worth re-encoding for: it is
# the narrowest limit of the tolerance profiles.
MAX_LEFT_MS = 15.0
# Beyond this the change of pitch is audible: 5000 ppm are 9 hundredths of a semitone.
MAX_PPM = 5000.0

RepairKind = Literal["constant", "drift", "jumps"]


@dataclass(frozen=True)
class Repair:
    """Repair of an audio stream; all other streams are copied.

    `pieces` holds the segments in which the audio is early, and by how much it is therefore
    delayed.

    Args:
        kind: `constant`: one shift, without re-encoding. `drift`: the audio is resampled. `jumps`:
            it is shifted segment by segment.
        ppm: by how much the audio of a drift is slowed down.
        encoded: how the stream is re-encoded, in words; empty if it is copied.
        left_out: what the new container cannot hold, in words.
    """

    kind: RepairKind
    pieces: tuple[OffsetSegment, ...]
    ppm: float | None = None
    encoded: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def describe(self, *, would: bool = False) -> str:
        """Describe the repair in words: `moved the audio by +120 ms, without re-encoding`."""
        first, last = self.pieces[0], self.pieces[-1]
        if self.kind == "drift":
            ppm, verb = self.ppm or 0.0, "resample" if would else "resampled"
            text = (
                f"{verb} the audio by {ppm:+.0f} ppm ({abs(ppm) * 0.06:.1f} ms a minute), "
                f"moving it by {_ms(first.offset_ms)} at first and by "
                f"{_ms(last.at(last.end_s))} at the end"
            )
        else:
            text = f"{'move' if would else 'moved'} the audio by {_ms(first.offset_ms)}"
        if self.kind == "jumps":
            text += f" up to {_clock(first.end_s)}, "
            text += ", ".join(
                f"{_ms(s.offset_ms)} from {_clock(s.start_s)}" for s in self.pieces[1:]
            )
            text += ", with short fades where it is cut"
        if self.kind == "constant":
            text += ", without re-encoding"
        else:
            text += f" and re-encode{'' if would else 'd'} it ({', '.join(self.encoded)})"
            text += ", the video is copied unchanged"
        if self.left_out:
            text += f"; left out, as the container cannot hold it: {', '.join(self.left_out)}"
        return f"would {text}" if would else text


def plan_repair(result: CheckResult | StreamResult, duration_s: float | None = None) -> Repair:
    """Plan the repair of an audio stream from the result of its check.

    Args:
        result: result of the stream, or of a file, which is that of the stream by which it is
            judged.
        duration_s: length of the video; by default that of the file's result.

    Raises:
        ValueError: if the result has no offset.
    """
    if result.offset_ms is None:
        raise ValueError("result must have an offset, got offset_ms None")
    fault = result.fault
    if fault is not None and fault.kind == "drift" and fault.pieces:
        drift = fault.pieces[0]
        middle_ms = drift.at((drift.start_s + drift.end_s) / 2)
        if abs(middle_ms - drift.offset_ms) > MAX_LEFT_MS:
            return Repair("drift", fault.pieces[:1], drift.ppm)
        return Repair("constant", (drift._replace(offset_ms=middle_ms, ppm=0.0),))
    if fault is not None and fault.kind == "jumps" and len(fault.pieces) > 1:
        return Repair("jumps", tuple(segment._replace(ppm=0.0) for segment in fault.pieces))
    # An intermittent fault, if forced, is shifted by the offset of most of the file.
    if duration_s is None and isinstance(result, CheckResult):
        duration_s = result.duration_s
    return Repair("constant", (OffsetSegment(0.0, duration_s or 0.0, result.offset_ms, 0.0),))


def repair_doubt(
    result: CheckResult | StreamResult, min_confidence: float = MIN_CONFIDENCE
) -> str | None:
    """Return why an offset should not be repaired, in words; None if it may be."""
    if result.offset_ms is None:
        raise ValueError("result must have an offset, got offset_ms None")
    if result.confidence < min_confidence:
        reached = f"a confidence of {result.confidence:.2f}, below {min_confidence:.2f}"
        return f"the offset is known with {reached}"
    fault = result.fault
    if fault is None:
        return _not_constant(result)
    if fault.kind == "intermittent":
        return "the offset is intermittent, and no shift repairs that"
    if fault.kind == "drift" and abs(fault.pieces[0].ppm) > MAX_PPM:
        return (
            f"the audio drifts by {fault.pieces[0].ppm:+.0f} ppm, and the change of pitch would be "
            f"audible beyond {MAX_PPM:.0f}"
        )
    for segment in fault.pieces if fault.kind == "jumps" else ():
        if segment.end_s - segment.start_s < MIN_SEGMENT_S:
            return (
                f"the offset jumps at {_clock(segment.start_s)} and again "
                f"{segment.end_s - segment.start_s:.1f} s later, too soon to be sure"
            )
    return None


def largest_offset_ms(result: CheckResult | StreamResult) -> float:
    """Return the largest absolute offset over a stream or file, in ms."""
    segments = result.fault.pieces if result.fault is not None else ()
    ends = [segment.at(t_s) for segment in segments for t_s in (segment.start_s, segment.end_s)]
    return max((abs(end) for end in ends), default=abs(result.offset_ms or 0.0))


def _not_constant(result: CheckResult | StreamResult) -> str | None:
    """Return what the timelines of a result without a fault say against a single shift."""
    for track in result.tracks:
        points = [point for point in track.timeline if point.offset_ms is not None]
        if track.status == "ok" and (moment := _unrepaired_moment(points, result.offset_ms or 0.0)):
            return (
                f"the offset is not constant: {result.offset_ms:+.0f} ms overall, "
                f"{moment.offset_ms:+.0f} ms at {moment.t_s:.0f} s"
            )
    return None


def _unrepaired_moment(points: list[TimelinePoint], offset_ms: float) -> TimelinePoint | None:
    """Return a moment of a segment that one shift would not repair; None if there is none."""

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
    if share > MAX_SHARE_OFF or lasts_s > MAX_OFF_SEGMENT_S:
        return longest[len(longest) // 2]
    return None


def _ms(offset_ms: float) -> str:
    return f"{round(offset_ms):+d} ms"


def _clock(t_s: float) -> str:
    minutes, seconds = divmod(round(t_s, 1), 60)
    return f"{int(minutes)}:{seconds:04.1f}"
