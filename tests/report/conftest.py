"""Results made by hand, with numbers that no two fields share."""

from collections.abc import Callable

import numpy as np
import pytest

from avsync.scoring.result import CheckResult, TimelinePoint, TrackResult
from avsync.scoring.score_map import ScoreMap
from avsync.timing import is_borderline, judge, tolerance


def ridge_map(times: np.ndarray, offset_ms: float) -> ScoreMap:
    """Scores that are 1 at the offset and fall off over 50 ms."""
    shifts = np.arange(-1000.0, 1001.0, 10.0)
    scores = np.exp(-0.5 * ((shifts - offset_ms) / 50) ** 2) * np.ones((len(times), 1))
    return ScoreMap(times, shifts, scores)


@pytest.fixture
def make_track() -> Callable[..., TrackResult]:
    """`make_track(offset_ms, ...)`: a face with a measured moment every second."""

    def make(
        offset_ms: float | None = 83.2,
        track: int = 0,
        start_s: float = 0.0,
        end_s: float = 60.0,
        step_s: float = 1.0,
        box: tuple[float, float, float, float] = (20, 10, 60, 60),
        reason: str | None = None,
    ) -> TrackResult:
        times = np.arange(start_s + step_s / 2, end_s, step_s)
        sure = np.random.default_rng(track).uniform(0.6, 0.9, len(times))
        points = tuple(
            TimelinePoint(float(t), offset_ms, float(c) if offset_ms is not None else 0.02)
            for t, c in zip(times, sure, strict=True)
        )
        interval = None if offset_ms is None else (offset_ms - 5.5, offset_ms + 6.5)
        return TrackResult(
            track=track,
            start_s=start_s,
            end_s=end_s,
            box=box,
            status="ok" if offset_ms is not None else "cannot_tell",
            reason=reason,  # type: ignore[arg-type]
            offset_ms=offset_ms,
            interval_ms=interval,
            confidence=0.91 if offset_ms is not None else 0.02,
            timeline=points,
            score_map=ridge_map(times, offset_ms or 0.0),
        )

    return make


@pytest.fixture
def make_result(make_track: Callable[..., TrackResult]) -> Callable[..., CheckResult]:
    """`make_result(offset_ms, ...)`: the answer for a file of a minute with one face."""

    def make(offset_ms: float | None = 83.2, **changes: object) -> CheckResult:
        limits = tolerance(str(changes.get("profile", "ebu")))
        interval = None if offset_ms is None else (offset_ms - 7.1, offset_ms + 6.4)
        fields = {
            "file": "gone/clip.mp4",
            "status": "ok" if offset_ms is not None else "cannot_tell",
            "reason": None,
            "detail": "",
            "verdict": None if offset_ms is None else judge(offset_ms, limits),
            "borderline": interval is not None and is_borderline(interval, limits),
            "offset_ms": offset_ms,
            "interval_ms": interval,
            "confidence": 0.968 if offset_ms is not None else 0.0,
            "duration_s": 60.0,
            "tracks": (make_track(offset_ms),) if offset_ms is not None else (),
            "model": "dense_sync",
            "profile": "ebu",
            "search_s": 1.0,
        }
        return CheckResult(**{**fields, **changes})  # type: ignore[arg-type]

    return make
