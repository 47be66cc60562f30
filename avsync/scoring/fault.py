"""From the evidence over a file's time: how the offset goes, and what kind of fault that is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from avsync.scoring.engine import TrackScores
from avsync.scoring.offset_line import (
    MAX_PPM,
    Line,
    fit_constant,
    fit_exact,
    refine_line,
    search_line,
)
from avsync.scoring.offset_rows import Rows, believed, in_blocks, rows_of
from avsync.scoring.offset_steps import Steps, fit_steps, place_changes
from avsync.scoring.result import Fault, FaultKind, Piece
from avsync.timing import Tolerance, Verdict, judge

# What a shape must collect more than a constant to be believed, in nats. Most files are constant:
# on held-out clips in sync a line gains this much once in ...
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
# Offsets this close are the same one come back.
SAME_MS = 40.0
# Each slope in ppm that a mistake of rates gives, 1 - played / made of the picture or its inverse
# of the sound, and the mistake. Pictures played slower than made leave the sound ahead.
RATES: tuple[tuple[float, str], ...] = (
    (1e6 * (1 - 1000 / 1001), "made at 24 fps, played at 23.976 (or made at 30, played at 29.97)"),
    (1e6 * (1 - 1001 / 1000), "made at 23.976 fps, played at 24 (or made at 29.97, played at 30)"),
    (1e6 * (1 - 24 / 25), "made at 25 fps, played at 24"),
    (1e6 * (1 - 25 / 24), "made at 24 fps, played at 25"),
    (1e6 * (1 - 24 / 25.025), "made at 25 fps, played at 23.976"),
    (1e6 * (1 - 25.025 / 24), "made at 23.976 fps, played at 25"),
    (1e6 * (1 - 44.1 / 48), "sound of 44.1 kHz played at 48"),
    (1e6 * (1 - 48 / 44.1), "sound of 48 kHz played at 44.1"),
)
# A slope is a mistake of rates where it is as close as this, or as its own error allows.
NEAR_PPM = 40.0
# A file is not in sync that is out of tolerance for so long, or for so much of it.
MAX_OUT_S = 3.0
MAX_OUT_SHARE = 0.05
# Times out of tolerance are counted in steps of this.
STEP_S = 0.1


def find_fault(
    tracks: Sequence[TrackScores],
    offset_ms: float,
    duration_s: float,
    search_s: float,
    limits: Tolerance,
) -> Fault:
    """How the offset goes over a file.

    Args:
        tracks: the scores of the faces that the voice belongs to.
        offset_ms: the file's offset, which a constant keeps.
        duration_s: length of the file.
        search_s: offsets up to so many seconds to either side are believed.
        limits: what is tolerated.
    """
    shape = find_shape(tracks, 1000 * search_s)
    if isinstance(shape, Line):
        pieces: tuple[Piece, ...] = (Piece(0.0, duration_s, shape.offset_ms, shape.ppm),)
        found = Fault("drift", pieces, shape.ppm, likely_cause(shape.ppm, shape.error_ppm))
    elif isinstance(shape, Steps):
        edges = (0.0, *shape.changes_s, duration_s)
        pieces = tuple(
            Piece(start_s, end_s, level_ms, 0.0)
            for (start_s, end_s), level_ms in zip(pairwise(edges), shape.levels_ms, strict=True)
        )
        found = Fault(_kind_of(pieces, limits), pieces)
    else:
        return constant_fault(offset_ms, duration_s, limits)
    return _with_worst(found, limits)


def verdict_on(fault: Fault, offset_ms: float, duration_s: float, limits: Tolerance) -> Verdict:
    """The verdict on a file's offset; on its worst moment where a good part is out of tolerance."""
    if fault.worst_ms is not None and fault.out_s >= min(MAX_OUT_S, MAX_OUT_SHARE * duration_s):
        return judge(fault.worst_ms, limits)
    return judge(offset_ms, limits)


def constant_fault(offset_ms: float, duration_s: float, limits: Tolerance) -> Fault:
    """The fault of a file whose offset is the same all along."""
    pieces = (Piece(0.0, duration_s, offset_ms, 0.0),)
    if judge(offset_ms, limits) == "in_sync":
        return Fault("none", pieces)
    return Fault("constant", pieces, out_s=duration_s, worst_t_s=duration_s / 2, worst_ms=offset_ms)


def find_shape(tracks: Sequence[TrackScores], search_ms: float) -> Line | Steps | None:
    """The shape that explains the evidence so much better than a constant that it is believed; None
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
        for shape in _shapes(believed(blocks, spread_ms), start, search_ms)
    )
    shape = max(shapes, key=lambda found: found[0])[1]
    return place_changes(rows, shape) if isinstance(shape, Steps) else shape


def _shapes(
    blocks: Rows, start: Line, search_ms: float
) -> Iterator[tuple[float, Line | Steps | None]]:
    """Every shape, None for a constant, with what it collects less the price of its freedom."""
    yield fit_constant(blocks, search_ms).nats, None
    line, exact = refine_line(blocks, start), fit_exact(blocks, [ppm for ppm, _ in RATES])
    if abs(line.ppm) * np.ptp(blocks.t_s) / 1000 >= MIN_DRIFT_MS and abs(line.ppm) <= MAX_PPM:
        yield line.nats - LINE_NATS, line
    yield exact.nats - LINE_NATS, exact
    steps = fit_steps(blocks, search_ms, CHANGE_NATS)
    if steps.changes_s:
        yield steps.nats - CHANGE_NATS * len(steps.changes_s), steps


def likely_cause(ppm: float, error_ppm: float) -> str:
    """What is likely to have made a drift, in words; a mistake of rates where the slope is as near
    to one as can be told.
    """
    rate_ppm, cause = min(RATES, key=lambda rate: abs(rate[0] - ppm))
    if abs(rate_ppm - ppm) <= max(NEAR_PPM, min(2 * error_ppm, 0.1 * abs(rate_ppm))):
        return cause
    return f"a recorder's clock off by {abs(ppm):.0f} ppm"


def _kind_of(pieces: tuple[Piece, ...], limits: Tolerance) -> FaultKind:
    """Intermittent where a stretch out of tolerance lies between two that are in it and alike."""
    inside = [judge(piece.offset_ms, limits) == "in_sync" for piece in pieces]
    for first in range(len(pieces)):
        for last in range(first + 2, len(pieces)):
            alike = abs(pieces[first].offset_ms - pieces[last].offset_ms) <= SAME_MS
            if alike and inside[first] and inside[last] and not all(inside[first:last]):
                return "intermittent"
    return "jumps"


def _with_worst(fault: Fault, limits: Tolerance) -> Fault:
    """The same with how long it is out of tolerance, and when most."""
    out_s, worst = 0.0, (0.0, 0.0, 0.0)
    for piece in fault.pieces:
        count = max(1, round((piece.end_s - piece.start_s) / STEP_S))
        step_s = (piece.end_s - piece.start_s) / count
        t_s = piece.start_s + step_s * (np.arange(count) + 0.5)
        offset_ms = piece.offset_ms + piece.ppm / 1000 * (t_s - piece.start_s)
        excess = np.maximum(offset_ms - limits.early_ms, -limits.late_ms - offset_ms)
        out_s += step_s * float((excess > 0).sum())
        at = int(np.argmax(excess + 1e-9 * np.minimum(t_s - piece.start_s, piece.end_s - t_s)))
        worst = max(worst, (float(excess[at]), float(t_s[at]), float(offset_ms[at])))
    if out_s == 0:
        return fault
    return replace(fault, out_s=out_s, worst_t_s=worst[1], worst_ms=worst[2])
