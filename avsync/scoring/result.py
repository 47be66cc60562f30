"""Results of a check, and their JSON (schema 1, described in docs/concepts/json.md)."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from avsync.scoring.score_map import ScoreMap
from avsync.timing import Verdict

SCHEMA = 1

Status = Literal["ok", "cannot_tell", "unreadable"]
Reason = Literal[
    "no_face",
    "face_too_small",
    "too_short",
    "silence",
    "still_lips",
    "music",
    "no_match",
    "out_of_range",
    "no_video_stream",
    "no_audio_stream",
    "damaged",
]
FaultKind = Literal["none", "constant", "drift", "jumps", "intermittent"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class TimelinePoint:
    """Offset around one moment of the file; None where its evidence is not enough for an offset."""

    t_s: float
    offset_ms: float | None
    confidence: float


@dataclass(frozen=True)
class TrackResult:
    """Result for one face track, from its first frame to its last.

    Args:
        track: number of the track.
        start_s: first frame, in seconds of the file.
        end_s: end of the last frame.
        box: median x0, y0, x1, y1 in pixels of the upright frame.
        status: `ok` if there is an offset.
        reason: why there is none, else None.
        offset_ms: positive = the audio leads.
        interval_ms: interval around the offset.
        confidence: probability that the interval holds the true offset.
        timeline: offsets over the track.
        speaking: segments, in seconds of the file, in which the speech is this face's and no
            other's; empty where the file's offset is not known.
        score_map: mean scores over time and offset, for the report.
    """

    track: int
    start_s: float
    end_s: float
    box: tuple[float, float, float, float]
    status: Status
    reason: Reason | None
    offset_ms: float | None
    interval_ms: Interval | None
    confidence: float
    timeline: tuple[TimelinePoint, ...] = ()
    speaking: tuple[Interval, ...] = ()
    score_map: ScoreMap | None = field(default=None, compare=False, repr=False)


class OffsetSegment(NamedTuple):
    """Time segment of a file, in seconds, over which the offset is constant or linear.

    At `t` the offset is `offset_ms + ppm / 1000 * (t - start_s)`, positive = the audio leads.
    """

    start_s: float
    end_s: float
    offset_ms: float
    ppm: float

    def at(self, t_s: float) -> float:
        """Return the offset in ms at `t_s` seconds of the file."""
        return self.offset_ms + self.ppm / 1000 * (t_s - self.start_s)


@dataclass(frozen=True)
class Fault:
    """Offset trajectory of a file, and what is wrong with it.

    `pieces` holds the trajectory as segments in order: a single one for `none`, `constant` and
    `drift`.

    Args:
        kind: `none`: a constant offset in tolerance. `constant`: a constant offset out of
            tolerance. `drift`: it changes linearly. `jumps`: it changes abruptly. `intermittent`:
            it goes out of tolerance and returns.
        drift_ppm: slope of a drift; positive = the audio gets earlier and earlier: its clock runs
            fast.
        cause: likely cause of a drift, in words.
        out_s: seconds out of the profile's tolerance.
        worst_t_s: when the offset is furthest out of tolerance, None if it never is.
        worst_ms: the offset there.
    """

    kind: FaultKind
    pieces: tuple[OffsetSegment, ...]
    drift_ppm: float | None = None
    cause: str | None = None
    out_s: float = 0.0
    worst_t_s: float | None = None
    worst_ms: float | None = None


@dataclass(frozen=True)
class CheckResult:
    """Result for one file.

    Args:
        file: path as given.
        status: `ok` if there is an offset; otherwise the numbers are None, never 0.
        reason: why there is no offset, else None.
        detail: the reason in words.
        verdict: whether the offset is in the profile's tolerance.
        borderline: whether the interval crosses a limit of the tolerance.
        offset_ms: offset of the file in ms, positive = the audio leads.
        interval_ms: interval around the offset.
        confidence: probability that the interval holds the true offset.
        duration_s: length of the video.
        tracks: results of the faces.
        model: name of the sync model.
        profile: name of the tolerance profile.
        search_s: seconds searched to either side.
        fault: how the offset changes over the file; None without an offset.
    """

    file: str
    status: Status
    reason: Reason | None
    detail: str
    verdict: Verdict | None
    borderline: bool
    offset_ms: float | None
    interval_ms: Interval | None
    confidence: float
    duration_s: float | None
    tracks: tuple[TrackResult, ...]
    model: str
    profile: str
    search_s: float
    fault: Fault | None = None


def to_json(results: list[CheckResult]) -> dict[str, Any]:
    """Return the results of one call of `check` as a JSON document of schema 1."""
    if not results:
        raise ValueError("results must hold at least one CheckResult, got an empty list")
    first = results[0]
    return {
        "schema": SCHEMA,
        "model": first.model,
        "search_s": first.search_s,
        "profile": first.profile,
        "files": [_file_json(result) for result in results],
    }


def _file_json(result: CheckResult) -> dict[str, Any]:
    keys = ("file", "status", "reason", "detail", "verdict", "borderline")
    return {
        **{key: getattr(result, key) for key in keys},
        **_numbers_json(result),
        "duration_s": _rounded(result.duration_s, 3),
        "fault": None if result.fault is None else _fault_json(result.fault),
        "tracks": [_track_json(track) for track in result.tracks],
    }


def _track_json(track: TrackResult) -> dict[str, Any]:
    return {
        "track": track.track,
        "start_s": _rounded(track.start_s, 3),
        "end_s": _rounded(track.end_s, 3),
        "box": [round(side, 1) for side in track.box],
        "status": track.status,
        "reason": track.reason,
        **_numbers_json(track),
        "speaking": [[round(end_s, 1) for end_s in segment] for segment in track.speaking],
        "timeline": [
            {
                "t_s": _rounded(point.t_s, 3),
                "offset_ms": _rounded(point.offset_ms, 1),
                "confidence": _rounded(point.confidence, 3),
            }
            for point in track.timeline
        ],
    }


def _fault_json(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "pieces": [
            {
                "start_s": _rounded(segment.start_s, 3),
                "end_s": _rounded(segment.end_s, 3),
                "offset_ms": _rounded(segment.offset_ms, 1),
                "ppm": _rounded(segment.ppm, 1),
            }
            for segment in fault.pieces
        ],
        "drift_ppm": _rounded(fault.drift_ppm, 1),
        "cause": fault.cause,
        "out_s": _rounded(fault.out_s, 1),
        "worst_t_s": _rounded(fault.worst_t_s, 1),
        "worst_ms": _rounded(fault.worst_ms, 1),
    }


def _numbers_json(result: CheckResult | TrackResult) -> dict[str, Any]:
    interval = result.interval_ms
    return {
        "offset_ms": _rounded(result.offset_ms, 1),
        "interval_ms": None if interval is None else [_rounded(end, 1) for end in interval],
        "confidence": _rounded(result.confidence, 3),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def thin_score_maps(result: CheckResult) -> CheckResult:
    """Return the result with thinned score maps: at most 60 kB for each face of the whole file."""
    end_s = max((track.end_s for track in result.tracks), default=0.0)
    tracks = tuple(
        track
        if track.score_map is None
        else replace(track, score_map=track.score_map.thinned(end_s))
        for track in result.tracks
    )
    return replace(result, tracks=tracks)
