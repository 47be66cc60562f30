"""Fit and evaluate the confidence and interval of a sync model's offsets on held-out clips.

    python benchmarks/sync/calibration.py --model face_sync --weights FILE --data GRID_STORE \
        --splits FILE --people STORE TABLE [--more RENDERED_STORE] [--write]

Confidence: segments of 1 to 4 s are cut from clips that no test uses. Their audio is shifted by up
to 0.9 s, and every second segment gets the audio of another clip. One half of the clips fits the
confidence, the other half is reported. The clips of `--people` are at the offsets of a clean table,
as benchmarks/sync/people_tables.py writes it; others are left out.

Interval: two disjoint excerpts of one person, 2 to 60 s long, shifted by different amounts, differ
by their errors only, whatever the constant of the recording is. The interval is fitted to these
differences, so that no error of a table widens it.

`--write` stores the calibration in the JSON beside the weights, where `avsync check` reads it.
"""

import argparse
import itertools
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.clip_scores import compare_clip
from avsync.pipelines.check.check_file import load_model
from avsync.scoring.offset_error import EXPECTED_BLOCKS, StandardError, interval
from avsync.scoring.peak import (
    HIGH_Z_SCORE,
    INTERVAL_COVERAGE,
    MAX_CALIBRATED_Z_SCORE,
    Peak,
    confidence,
)
from avsync.tasks.calibration import Calibration
from avsync.timing import FPS
from avsync.weights import CALIBRATION, save_calibration, sha256_of_config
from benchmarks.record import machine, write_record
from benchmarks.sync.joined_speech import (
    LEADS_MS,
    MAX_SHIFT_MS,
    REACH_S,
    Difference,
    Measured,
    ScoredClip,
    by_person,
    draw_differences,
    measure,
    score_clips,
    shift_ms,
)
from benchmarks.sync.reliability_diagram import calibration_error, reliability

TOLERANCE_MS = 45.0
# Prior share of files whose speech belongs to the visible face; of dense_sync it is 0.9. A higher
# share answers more files, right and wrong ones.
OWN_VOICE = 0.87
LONGEST_S = 4.0
# Lengths of the excerpts that are compared for the interval, and candidates for its coefficients. A
# peak between two steps of 20 ms is located to about 2 ms at best, the least floor. 1.6 standard
# errors hold nine of ten errors where blocks are independent, and they are not more than that.
LENGTHS_S = (2.0, 3.0, 6.0, 10.0, 20.0, 30.0, 60.0)
FLOORS_MS, BLURS_MS, SCALES = range(2, 11), range(0, 401, 10), np.arange(1.6, 3.51, 0.1)
# How far GRID's mean offset, the zero of the models, may be from 0, by bursts and visible releases
# (docs/concepts/grid_offset.md).
ZERO_UNCERTAINTY_MS = 16.0


class Trial(NamedTuple):
    """One segment: its peak, and its error in ms (None if the audio is another clip's)."""

    clip: str
    peak: Peak
    error: StandardError | None
    error_ms: float | None

    @property
    def right(self) -> bool:
        return self.error_ms is not None and abs(self.error_ms) <= TOLERANCE_MS


def trials(model, clips: list[ScoredClip], draws: int, seed: int) -> list[Trial]:
    """Measure random segments of the clips with random shifts and swapped audio.

    Args:
        model: the sync model that scored the clips.
        clips: scored clips.
        draws: number of segments for each clip.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    found = []
    for index, clip in enumerate(clips):
        for _ in range(draws):
            lead = int(rng.integers(len(LEADS_MS)))
            scores, swapped = clip.own[lead], rng.random() < 0.5
            if swapped:
                other = clips[(index + int(rng.integers(1, len(clips)))) % len(clips)]
                scores = compare_clip(model, clip.video, other.audio[lead])
            longest = min(scores.frames, round(LONGEST_S * FPS))
            length = int(rng.integers(FPS, longest + 1))
            start = int(rng.integers(0, scores.frames - length + 1))
            most = int(MAX_SHIFT_MS // scores.spec.step_ms)
            steps = int(rng.integers(-most, most)) if rng.random() < 0.7 else 0
            excerpt = scores.excerpt(start, length, steps, REACH_S)
            measured = measure(excerpt, shift_ms(clip, lead, steps))
            if measured is not None:
                error_ms = None if swapped else measured.own_ms - clip.truth_ms
                found.append(Trial(clip.id, measured.peak, measured.error, error_ms))
    return found


def fit(found: list[Trial], differences: list[Difference]) -> Calibration:
    """Fit the confidence by logistic regression and the interval by quantile regression.

    The weights of the logistic regression are not negative. A trial counts as right if its peak is
    the true one; the interval covers the share `INTERVAL_COVERAGE` of these by its fit.

    Args:
        found: trials of one half of the clips, for the confidence.
        differences: pairs of excerpts of recorded people, for the interval.
    """
    figures = np.array(
        [
            (1.0, min(peak.z_score, MAX_CALIBRATED_Z_SCORE), peak.prominence, peak.likelihood)
            for peak in (trial.peak for trial in found)
        ]
    )
    tall = np.array([max(trial.peak.z_score - HIGH_Z_SCORE, 0.0) for trial in found])
    right = np.array([trial.right for trial in found])

    def loss(weights: np.ndarray) -> float:
        logit = figures @ weights + tall
        cost = np.logaddexp(0, -np.where(right, logit, -logit)).mean()
        return float(cost + 1e-4 * (weights[1:] ** 2).sum())

    bounds = [(None, None), (0, None), (0, None), (0, None)]
    weights = minimize(loss, [-20.0, 1.4, 4.0, 1.0], method="L-BFGS-B", bounds=bounds).x
    bias, z_score, prominence, likelihood = (round(float(weight), 3) for weight in weights)
    fitted = Calibration(bias, z_score, prominence, likelihood=likelihood)
    return fit_interval(fitted, differences)


def fit_interval(calibration: Calibration, differences: list[Difference]) -> Calibration:
    """Fit floor, blur and scale of the interval by quantile regression on differences.

    Errors of two excerpts add in quadrature. Every length has the same weight, for GRID and for all
    other people.
    """
    used = usable(differences)
    kinds = [(d.person == "grid", d.seconds) for d in used]
    weights = np.array([1 / kinds.count(kind) for kind in kinds])
    errors = np.array([difference.ms for difference in used])
    pairs = [(difference.one, difference.other) for difference in used]
    z_scores = np.array([[m.peak.z_score for m in pair] for pair in pairs])
    spreads = np.array([[m.error.ms if m.error else np.nan for m in pair] for pair in pairs])
    blocks = np.array([[m.error.blocks if m.error else 0 for m in pair] for pair in pairs])
    shares = blocks / (blocks + EXPECTED_BLOCKS)
    # The squares of both halves, as in `avsync.scoring.interval`.
    known = (shares * np.nan_to_num(spreads) ** 2).sum(1)
    expected = ((1 - shares) / z_scores**2).sum(1)

    def pinball(floor_ms: float, blur_ms: float, scale: float) -> float:
        over = errors - np.sqrt(2 * floor_ms**2 + scale**2 * known + blur_ms**2 * expected)
        cost = np.where(over > 0, INTERVAL_COVERAGE * over, (INTERVAL_COVERAGE - 1) * over)
        return float((weights * cost).sum())

    floor_ms, blur_ms, scale = min(
        itertools.product(FLOORS_MS, BLURS_MS, SCALES), key=lambda sizes: pinball(*sizes)
    )
    return replace(
        calibration,
        floor_ms=float(floor_ms),
        blur_ms=float(blur_ms),
        error_scale=round(float(scale), 2),
    )


def usable(differences: list[Difference]) -> list[Difference]:
    """Return the differences both of whose peaks are the right ones."""
    return [difference for difference in differences if difference.ms <= 2 * TOLERANCE_MS]


def coverage(differences: list[Difference], calibration: Calibration) -> dict[str, Any]:
    """Return by length of the excerpts how often their intervals explain the difference."""
    figures = {}
    for seconds in LENGTHS_S:
        used = [d for d in usable(differences) if d.seconds == seconds]
        if used:
            halves = [[half_ms(m, calibration) for m in (d.one, d.other)] for d in used]
            covered = [d.ms <= np.hypot(*pair) for d, pair in zip(used, halves, strict=True)]
            figures[f"{seconds:g} s"] = {
                "pairs": len(used),
                "half_interval_ms": round(float(np.median(halves)), 1),
                "coverage": round(float(np.mean(covered)), 3),
            }
    return figures


def half_ms(measured: Measured, calibration: Calibration) -> float:
    """Return half the interval of a measured offset."""
    low, high = interval(measured.peak, calibration, measured.error)
    return (high - low) / 2


def source_spread_ms(clips: list[ScoredClip]) -> float:
    """Return the half-width around zero that holds the constants of nine of ten recordings."""
    constants: dict[str, list[float]] = {}
    for clip in clips:
        constants.setdefault(clip.person, []).append(clip.truth_ms)
    means = [abs(float(np.mean(values))) for values in constants.values()]
    return round(float(np.quantile(means, INTERVAL_COVERAGE)))


def with_prior(fitted: Calibration) -> Calibration:
    """Correct the bias for the prior `OWN_VOICE`; in the trials that share is one half."""
    return replace(fitted, bias=round(fitted.bias + math.log(OWN_VOICE / (1 - OWN_VOICE)), 3))


def report(found: list[Trial], calibration: Calibration) -> dict[str, Any]:
    """Return calibration error, share answered, accuracy and interval coverage of trials."""
    confidences = np.array([confidence(trial.peak, calibration) for trial in found])
    low, high = np.array([interval(t.peak, calibration, t.error) for t in found]).T
    half = (high - low) / 2
    own = np.array([trial.error_ms is not None for trial in found])
    errors = np.array([np.inf if t.error_ms is None else abs(t.error_ms) for t in found])
    covered = errors <= half
    answered = confidences >= 0.5
    return {
        "trials": len(found),
        "expected_calibration_error": calibration_error(confidences, covered),
        "own_voice_answered": float(answered[own].mean()),
        "other_voice_answered": float(answered[~own].mean()),
        "answers_within_45_ms": float((errors[answered & own] <= TOLERANCE_MS).mean()),
        "interval_coverage": float(covered[answered & own].mean()),
        "reliability": reliability(confidences, covered),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="dense_sync")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="store of GRID")
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--truth-ms", type=float, default=0.0, help="offset of the GRID clips")
    parser.add_argument(
        "--people",
        type=Path,
        nargs=2,
        metavar=("STORE", "TABLE"),
        action="append",
        default=[],
        help="store of other people, and the clean table that moves their clips to GRID",
    )
    parser.add_argument(
        "--more", type=Path, nargs="*", default=[], help="stores of held-out rendered clips"
    )
    parser.add_argument("--zero-uncertainty-ms", type=float, default=ZERO_UNCERTAINTY_MS)
    parser.add_argument("--draws", type=int, default=12, help="segments of each clip")
    parser.add_argument("--write", action="store_true", help="store it beside the weights")
    arguments = parser.parse_args()
    if arguments.write and arguments.weights is None:
        parser.error("--write needs --weights FILE")
    model = load_model(arguments.model, arguments.weights)
    grid = Store(arguments.data)
    val = [grid[index] for index in clips_of_split(grid, arguments.splits, "val")]
    scored = {"grid s1 val": score_clips(model, val, [arguments.truth_ms] * len(val), "grid")}
    people: list[ScoredClip] = []
    for path, table in arguments.people:
        store, moved_ms = Store(path), read_clean_lists([table]).moved_ms
        moved = [clip for clip in store if clip.id in moved_ms]
        truth_ms = [moved_ms[clip.id] + arguments.truth_ms for clip in moved]
        people += score_clips(model, moved, truth_ms)
    if people:
        scored["people"] = people
    recorded = [clip for clips in scored.values() for clip in clips]
    for path in arguments.more:
        rendered = list(Store(path))
        scored.setdefault("rendered", []).extend(
            score_clips(model, rendered, [0.0] * len(rendered))
        )
    found = {name: trials(model, clips, arguments.draws, seed=0) for name, clips in scored.items()}
    differences = draw_differences(by_person(recorded), LENGTHS_S, 5 * arguments.draws, seed=0)
    halves: dict[bool, list[Trial]] = {True: [], False: []}
    for of_source in found.values():
        clips = sorted({trial.clip for trial in of_source})
        for trial in of_source:
            halves[clips.index(trial.clip) % 2 == 0].append(trial)
    calibration = replace(
        fit(halves[True], differences),
        zero_uncertainty_ms=arguments.zero_uncertainty_ms,
        source_spread_ms=source_spread_ms(people) if people else None,
    )
    released = asdict(with_prior(calibration))
    print(json.dumps({CALIBRATION: released}, indent=2))
    if arguments.write:
        save_calibration(arguments.weights, released)
        config = sha256_of_config(arguments.weights.with_suffix(".json"))
        print(f"config_sha256 of released weights, for the catalog: {config}")
    figures = {"held out": report(halves[False], calibration)}
    held_out = {id(trial) for trial in halves[False]}
    figures |= {
        name: report([t for t in of_source if id(t) in held_out], calibration)
        for name, of_source in found.items()
    }
    for name, row in figures.items():
        print(name, row)
    covered = {
        name: coverage([d for d in differences if (d.person == "grid") == own], calibration)
        for name, own in (("grid s1 val", True), ("people", False))
    }
    for name, rows in covered.items():
        print(name, *(f"{length}: {row}" for length, row in rows.items()), sep="\n  ")
    print(machine())
    own = "" if arguments.model == "dense_sync" else f"_{arguments.model}"
    name = f"sync/calibration{own}"
    write_record(
        name,
        {
            "fitted": asdict(calibration),
            "released": released,
            "seed": 0,
            "differences": covered,
            **figures,
        },
        script="sync/calibration",
    )


if __name__ == "__main__":
    main()
