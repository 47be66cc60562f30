"""Decide the offset of one audio stream from the scores of the faces, and classify its fault."""

from collections.abc import Sequence
from dataclasses import replace

from avsync.scoring.active_speaker import speaking_segments
from avsync.scoring.decision import (
    Decision,
    TrackExtent,
    cannot_tell,
    decide_offset,
    decide_track,
)
from avsync.scoring.engine import FileScores
from avsync.scoring.result import Coverage, Reason, StreamResult, TrackResult
from avsync.scoring.score_sums import sum_curves
from avsync.scoring.trajectory.distant_jumps import (
    add_distant_segments,
    find_distant_runs,
    find_local_offsets,
    leave_out,
    measure_coverage,
)
from avsync.scoring.trajectory.fault import decide_verdict, find_fault
from avsync.scoring.trajectory.model_selection import decide_along_trajectory
from avsync.tasks.calibration import Calibration
from avsync.timing import Tolerance, is_borderline

DETAILS: dict[Reason, str] = {
    "no_face": "no face found",
    "face_too_small": "the faces are too small, under 32 pixels wide",
    "too_short": "no face stays in the frame for a second",
    "silence": "there is no audio while a face is in the frame",
    "too_quiet": "the audio is too quiet to compare while a face is in the frame",
    "invalid_audio": "the audio has samples that are not numbers, or far beyond full scale",
    "still_lips": "the lips do not move",
    "music": "the audio is music, and no speech in it matches the lips",
    "no_match": "the audio matches the lips at no offset: the speech may be someone else's",
    "out_of_range": "the audio matches best outside the search range; try a wider one",
    "inconsistent": "a part of the speech matches the lips at one offset, and a part at others",
}
# A stream is not in tolerance if its evidence matches elsewhere for this many seconds, and for this
# share of what supports its offset.
MAX_AGAINST_S, MAX_AGAINST_SHARE = 3.0, 0.25
# Reasons that speak about the audio of a track, not about its face.
UNMATCHED: tuple[Reason, ...] = ("no_match", "out_of_range")


def decide_stream(
    blank: StreamResult,
    faces: dict[int, TrackExtent],
    scores: FileScores,
    duration_s: float,
    search_s: float,
    limits: Tolerance,
    calibration: Calibration,
) -> StreamResult:
    """Decide the offset of an audio stream, find who speaks when, and classify the fault.

    Args:
        blank: the stream, without an answer.
        faces: where and when each face was seen, by track.
        scores: scores of the tracks against the stream.
        duration_s: length of the video.
        search_s: seconds searched to either side.
        limits: tolerance of the profile.
        calibration: calibration of the model.
    """
    tracks = _decide_tracks(faces, scores, search_s, calibration)
    decision = decide_file(tracks, scores, search_s, calibration)
    if decision.offset_ms is not None:
        speaking = speaking_segments(scores.tracks, decision.offset_ms)
        tracks = tuple(replace(track, speaking=speaking[track.track]) for track in tracks)
    result = replace(
        blank,
        **decision._asdict(),
        detail="" if decision.reason is None else DETAILS[decision.reason],
        tracks=tracks,
    )
    if decision.offset_ms is None or decision.interval_ms is None:
        return result
    matched = [scores.tracks[track.track] for track in _deciding_tracks(tracks)]
    fault = find_fault(matched, decision.offset_ms, duration_s, search_s, limits, calibration)
    compared = [t.track for t in tracks if t.status == "ok" or t.reason in UNMATCHED]
    local = find_local_offsets([scores.tracks[number] for number in compared], calibration)
    runs = [] if local is None else find_distant_runs(fault, local, search_s)
    if local is not None and runs:
        # A track that is mostly beyond the search range has no offset, but may have a part within.
        beyond = [t.track for t in tracks if t.status == "ok" or t.reason == "out_of_range"]
        rest = leave_out([scores.tracks[number] for number in beyond], runs, local)
        fault = find_fault(rest, decision.offset_ms, duration_s, search_s, limits, calibration)
        fault = add_distant_segments(fault, runs, local, limits)
    coverage = None if local is None else measure_coverage(fault, local, duration_s)
    verdict = decide_verdict(fault, decision.offset_ms, duration_s, limits)
    if verdict == "in_sync" and coverage is not None and _contradicts(coverage):
        return replace(
            result,
            **cannot_tell("inconsistent", decision.confidence)._asdict(),
            detail=DETAILS["inconsistent"],
            coverage=coverage,
        )
    return replace(
        result,
        verdict=verdict,
        borderline=is_borderline(decision.interval_ms, limits),
        fault=fault,
        coverage=coverage,
    )


def _contradicts(coverage: Coverage) -> bool:
    """Return whether too much of the evidence matches at other offsets than the file's."""
    allowed_s = max(MAX_AGAINST_S, MAX_AGAINST_SHARE * coverage.supports_s)
    return coverage.against_s >= allowed_s


def _decide_tracks(
    faces: dict[int, TrackExtent], scores: FileScores, search_s: float, calibration: Calibration
) -> tuple[TrackResult, ...]:
    """Decide each face by a constant offset, and if there is none along its trajectory."""
    tracks = []
    for number in sorted(faces):
        found = scores.tracks[number]
        track = decide_track(faces[number], found, scores.level_db, search_s, calibration)
        tracks.append(decide_along_trajectory(track, found, search_s, calibration))
    return tuple(tracks)


def decide_file(
    tracks: Sequence[TrackResult], scores: FileScores, search_s: float, calibration: Calibration
) -> Decision:
    """Decide the offset of a file from the evidence of its tracks together.

    Tracks without an offset are only used if none has one: too short to decide alone, they may
    decide together, as in a file with many cuts. If they do not, the longest track gives the
    reason.
    """
    if not tracks:
        return cannot_tell("no_face")
    deciding = _deciding_tracks(tracks)
    if deciding:
        found = [scores.tracks[track.track] for track in deciding]
        curve = sum_curves([track.curve for track in found])
        wide = [track.wide_curve for track in found if track.wide_curve is not None]
        wide_curve = sum_curves(wide) if wide else None
        decision = decide_offset(curve, wide_curve, search_s, calibration)
        if decision.status == "ok" or deciding[0].status == "ok":
            best = max(deciding, key=lambda track: track.confidence)
            return decision if decision.confidence >= best.confidence else _decision_of(best)
        if decision.reason == "out_of_range":
            return decision
    return _decision_of(max(deciding or tracks, key=lambda track: track.end_s - track.start_s))


def _deciding_tracks(tracks: Sequence[TrackResult]) -> list[TrackResult]:
    """Return the tracks with an offset; without any, those whose evidence may decide together."""
    decided = [track for track in tracks if track.status == "ok"]
    return decided or [track for track in tracks if track.reason in UNMATCHED]


def _decision_of(track: TrackResult) -> Decision:
    return Decision(
        track.status, track.reason, track.offset_ms, track.interval_ms, track.confidence
    )
