"""How the offset of a voice goes over time, and what a course that changes says of a face."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from avsync.scoring.decision import Answer, judge_evidence
from avsync.scoring.result import TrackResult
from avsync.scoring.score_sums import TrackScores
from avsync.scoring.trajectory.drift_rates import RATES
from avsync.scoring.trajectory.evidence_map import Rows, believed, in_blocks, rows_of
from avsync.scoring.trajectory.linear import (
    MAX_PPM,
    Line,
    fit_constant,
    fit_exact,
    refine_line,
    search_line,
)
from avsync.scoring.trajectory.piecewise import MIN_JUMP_MS, Steps, fit_steps, place_changes
from avsync.tasks.calibration import Calibration

# What a shape must collect more than a constant to be believed, in nats. Most files are constant;
# on rendered clips in sync that nothing was fitted to, a line gains half a nat on average.
LINE_NATS = 5.0
CHANGE_NATS = 12.0
# A drift that moves the offset by less over the whole file is not worth a name, and single
# sentences differ by as much.
MIN_DRIFT_MS = 8.0
# Shorter stretches of evidence have no course over time.
MIN_ROWS = 10
# How far, in ms, sentences may differ from what is true for the file; which it is, the file shows.
# Sentences of one take differ by 4 or less, those of GRID, cut apart at whole frames, by 12.
SPREADS_MS = (2.5, 5.0, 9.0, 14.0, 20.0)
# So much of a course in steps must be believed piece by piece.
MIN_BELIEVED = 0.5


def find_shape(
    tracks: Sequence[TrackScores], search_s: float, calibration: Calibration
) -> Line | Steps | None:
    """Return the shape that explains the evidence so much better than a constant that it is believed; None
    where none does.
    """
    if sum(len(track.bins) for track in tracks) < MIN_ROWS:
        return None
    rows = rows_of(tracks)
    blocks = in_blocks(rows)
    start = search_line(believed(blocks, SPREADS_MS[-1]))
    shapes = (
        shape
        for spread_ms in SPREADS_MS
        for shape in _shapes(believed(blocks, spread_ms), start, 1000 * search_s)
    )
    shape = max(shapes, key=lambda found: found[0])[1]
    return _sure(rows, shape, search_s, calibration) if isinstance(shape, Steps) else shape


def rejudge(
    track: TrackResult, scores: TrackScores, search_s: float, calibration: Calibration
) -> TrackResult:
    """Return a face whose voice fits at no offset, judged again along the course that its offset takes: a
    jump makes two half peaks, a drift a broad one.

    Its answer becomes that of the course's middle, or of its longest piece.
    """
    if track.reason not in ("no_match", "out_of_range"):
        return track
    shape = find_shape([scores], search_s, calibration)
    if shape is None:
        return track
    rows = rows_of([scores])
    if isinstance(shape, Line):
        answer = _along_line(rows, shape, search_s, calibration)
    else:
        pieces = _pieces(rows, shape, search_s, calibration)
        believed_rows = sum(count for count, answer in pieces if answer.status == "ok")
        if believed_rows < MIN_BELIEVED * len(rows.t_s):
            return track
        answer = max(pieces, key=lambda piece: (piece[1].status == "ok", piece[0]))[1]
    return replace(track, **answer._asdict()) if answer.status == "ok" else track


def _shapes(
    blocks: Rows, start: Line, search_ms: float
) -> Iterator[tuple[float, Line | Steps | None]]:
    """Yield every shape, None for a constant, with what it collects less the price of its freedom."""
    yield fit_constant(blocks, search_ms).nats, None
    line, exact = refine_line(blocks, start), fit_exact(blocks, [ppm for ppm, _ in RATES])
    if abs(line.ppm) * np.ptp(blocks.t_s) / 1000 >= MIN_DRIFT_MS and abs(line.ppm) <= MAX_PPM:
        yield line.nats - LINE_NATS, line
    yield exact.nats - LINE_NATS, exact
    steps = fit_steps(blocks, search_ms, CHANGE_NATS)
    if steps.changes_s:
        yield steps.nats - CHANGE_NATS * len(steps.changes_s), steps


def _sure(rows: Rows, steps: Steps, search_s: float, calibration: Calibration) -> Steps | None:
    """Return the steps that are believed by their own evidence, placed; None where one offset is left.

    For a while another's voice may fit somewhere by chance: such a piece goes to those next to it.
    """
    levels_ms: list[float] = []
    changes_s: list[float] = []
    starts_s = (-np.inf, *steps.changes_s)
    pieces = _pieces(rows, steps, search_s, calibration)
    for start_s, level_ms, (_, answer) in zip(starts_s, steps.levels_ms, pieces, strict=True):
        if answer.status != "ok":
            continue
        if not levels_ms:
            levels_ms.append(level_ms)
        elif abs(level_ms - levels_ms[-1]) >= MIN_JUMP_MS:
            levels_ms.append(level_ms)
            changes_s.append(float(start_s))
    if len(levels_ms) < 2:
        return None
    return place_changes(rows, Steps(tuple(levels_ms), tuple(changes_s), steps.nats))


def _pieces(
    rows: Rows, steps: Steps, search_s: float, calibration: Calibration
) -> list[tuple[int, Answer]]:
    """Return how many rows each piece has, and what they say on their own."""
    edges = (0, *np.searchsorted(rows.t_s, steps.changes_s), len(rows.t_s))
    return [
        (high - low, _judged(rows, rows.nats[low:high].sum(0), search_s, calibration))
        for low, high in pairwise(edges)
    ]


def _along_line(rows: Rows, line: Line, search_s: float, calibration: Calibration) -> Answer:
    path_ms = line.at(rows.t_s)
    # The offset at the middle; of a line that has left the search by then, where it is least.
    middle_ms = float(path_ms[len(path_ms) // 2])
    nearest_ms = float(path_ms[np.argmin(np.abs(path_ms))])
    anchor_ms = middle_ms if abs(middle_ms) <= 1000 * search_s else nearest_ms
    return _judged(rows, rows.aligned(path_ms - anchor_ms), search_s, calibration)


def _judged(rows: Rows, curve: np.ndarray, search_s: float, calibration: Calibration) -> Answer:
    return judge_evidence(*rows.on_steps(curve), search_s, calibration)
