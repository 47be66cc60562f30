"""Convert the results of a check to the JSON document of docs/concepts/json.md."""

from typing import Any

from avsync.scoring.result import CheckResult, Coverage, Fault, Interval, StreamResult, TrackResult

SCHEMA = 2


def to_json(results: list[CheckResult]) -> dict[str, Any]:
    """Return the results of one call of `check` as a JSON document of schema 2."""
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
    return {
        "file": result.file,
        **_answer_json(result),
        **_zero_json(result),
        "duration_s": _rounded(result.duration_s, 3),
        "video": result.video,
        "audio": result.audio,
        "channel": result.channel,
        "not_read": [[_rounded(t_s, 3) for t_s in part] for part in result.not_read],
        "tracks": [_track_json(track) for track in result.tracks],
        "streams": [_stream_json(stream) for stream in result.streams],
    }


def _zero_json(result: CheckResult) -> dict[str, Any]:
    """Return what the model's zero adds to the interval, and the spread of recordings."""
    return {
        "absolute_interval_ms": _pair(result.absolute_interval_ms),
        "absolute_borderline": result.absolute_borderline,
        "zero_uncertainty_ms": _rounded(result.zero_uncertainty_ms, 1),
        "source_spread_ms": _rounded(result.source_spread_ms, 1),
    }


def _stream_json(stream: StreamResult) -> dict[str, Any]:
    keys = ("audio", "stream", "codec", "channels", "layout", "language", "title")
    return {
        **{key: getattr(stream, key) for key in keys},
        "dispositions": list(stream.dispositions),
        "channel": stream.channel,
        **_answer_json(stream),
    }


def _answer_json(result: CheckResult | StreamResult) -> dict[str, Any]:
    keys = ("status", "reason", "detail", "verdict", "borderline")
    return {
        **{key: getattr(result, key) for key in keys},
        **_numbers_json(result),
        "fault": None if result.fault is None else _fault_json(result.fault),
        "coverage_s": None if result.coverage is None else _coverage_json(result.coverage),
    }


def _coverage_json(coverage: Coverage) -> dict[str, Any]:
    return {
        "supports": _rounded(coverage.supports_s, 1),
        "against": _rounded(coverage.against_s, 1),
        "unknown": _rounded(coverage.unknown_s, 1),
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


def _numbers_json(result: CheckResult | StreamResult | TrackResult) -> dict[str, Any]:
    return {
        "offset_ms": _rounded(result.offset_ms, 1),
        "interval_ms": _pair(result.interval_ms),
        "confidence": _rounded(result.confidence, 3),
    }


def _pair(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [_rounded(end, 1) for end in interval]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)
