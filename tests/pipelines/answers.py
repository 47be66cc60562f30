"""Results of `check` for the tests of repairs."""

from avsync.scoring.result import CheckResult, TimelinePoint, TrackResult


def answer(path="clip.mp4", offset_ms=120.0, confidence=0.95, timeline=(), **changes):
    """Return a result of `check` with one face; `timeline` lists its offsets, 0.4 s apart."""
    points = tuple(TimelinePoint(0.4 * k, offset, 0.9) for k, offset in enumerate(timeline))
    track = TrackResult(
        0,
        0,
        9,
        (0, 0, 99, 99),
        "ok",
        None,
        offset_ms,
        (offset_ms - 5, offset_ms + 5),
        confidence,
        points,
    )
    values = {
        "file": str(path), "status": "ok", "reason": None, "detail": "", "verdict": "audio_leads",
        "borderline": False, "offset_ms": offset_ms, "interval_ms": track.interval_ms,
        "confidence": confidence, "duration_s": 9.0, "tracks": (track,), "model": "flash and click",
        "profile": "ebu", "search_s": 1.0,
    }  # fmt: skip
    return CheckResult(**{**values, **changes})
