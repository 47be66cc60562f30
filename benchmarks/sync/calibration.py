"""Fit and evaluate the confidence and interval of a sync model's offsets on held-out clips.

    python benchmarks/sync/calibration.py --data GRID_STORE --splits FILE --more RENDERED_STORE \
        [--weights FILE --write]

Segments of 1 to 4 s are cut from clips that no test uses. Their audio is shifted by up to 0.9 s,
and every second segment gets the audio of another clip (in GRID s1, of the same speaker). One half
of the clips fits the confidence, the other half is reported. `--write` stores the calibration in
the JSON beside the weights, where `avsync check` reads it.
"""

import argparse
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.sync_accuracy import score_clip
from avsync.pipelines.check.check_file import load_model
from avsync.scoring.peak import (
    HIGH_Z_SCORE,
    INTERVAL_COVERAGE,
    MAX_CALIBRATED_Z_SCORE,
    Calibration,
    Peak,
    confidence,
    find_peak,
    interval,
)
from avsync.timing import FPS, SAMPLES_PER_FRAME
from avsync.weights import CALIBRATION, save_calibration, sha256_of_config
from benchmarks.record import machine, write_record
from benchmarks.sync.reliability_diagram import calibration_error, reliability

TOLERANCE_MS = 45.0
# Prior share of files whose speech belongs to the visible face.
OWN_VOICE = 0.9
# Candidates for the narrowest half interval; the offsets of a corpus' clips spread by the first.
FLOORS_MS = range(18, 31)


class Trial(NamedTuple):
    """One segment: the peak, and its error in ms (None if the audio is another clip's)."""

    clip: str
    peak: Peak
    error_ms: float | None

    @property
    def right(self) -> bool:
        return self.error_ms is not None and abs(self.error_ms) <= TOLERANCE_MS


def trials(model, clips: list[PreparedClip], truth_ms: float, draws: int, seed: int) -> list[Trial]:
    """Score random segments of the clips with random shifts and swapped audio.

    Args:
        model: a sync model.
        clips: prepared clips.
        truth_ms: offset that all clips have.
        draws: number of segments for each clip.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    found = []
    for index, clip in enumerate(clips):
        crops = crops_for(model.spec, clip)
        for _ in range(draws):
            length = int(rng.integers(FPS, len(crops) + 1))
            start = int(rng.integers(0, len(crops) - length + 1))
            swapped = rng.random() < 0.5
            source = (
                clips[(index + int(rng.integers(1, len(clips)))) % len(clips)] if swapped else clip
            )
            lead_ms = float(rng.uniform(-900, 900)) if rng.random() < 0.7 else 0.0
            wav = np.asarray(source.wav_16k)
            at = start * SAMPLES_PER_FRAME + round(16 * lead_ms)
            wav = np.pad(wav, (20000, 20000 + 96000))[at + 20000 :][: length * SAMPLES_PER_FRAME]
            scores = score_clip(model, crops[start : start + length], wav, 1.0)
            peak = find_peak(scores.evidence.sum(0), scores.offsets_ms, 1000.0)
            if peak is None:
                continue
            error = None if swapped else peak.offset_ms - lead_ms - truth_ms
            found.append(Trial(clip.id, peak, error))
    return found


def fit(found: list[Trial], recorded: list[Trial]) -> Calibration:
    """Fit the confidence by logistic regression and the interval by quantile regression.

    The weights of the logistic regression are not negative. A trial counts as right if its peak is
    the true one; the interval covers the share `INTERVAL_COVERAGE` of these by its fit.

    Args:
        found: trials of one half of the clips, for the confidence.
        recorded: trials of all recorded clips, for the interval. Rendered clips are left out, as
            their offsets are equal and those of recordings are not; half of the recorded trials
            would be too few.
    """
    figures = np.array(
        [[1.0, min(t.peak.z_score, MAX_CALIBRATED_Z_SCORE), t.peak.prominence] for t in found]
    )
    tall = np.array([max(trial.peak.z_score - HIGH_Z_SCORE, 0.0) for trial in found])
    right = np.array([trial.right for trial in found])

    def loss(weights: np.ndarray) -> float:
        logit = figures @ weights + tall
        cost = np.logaddexp(0, -np.where(right, logit, -logit)).mean()
        return float(cost + 1e-4 * (weights[1:] ** 2).sum())

    bounds = [(None, None), (0, None), (0, None)]
    weights = minimize(loss, [-33.0, 2.9, 6.8], method="L-BFGS-B", bounds=bounds).x
    errors = np.array([abs(t.error_ms) for t in recorded if t.right])
    z_scores = np.array([t.peak.z_score for t in recorded if t.right])

    def pinball(floor_ms: float, blur_ms: float) -> float:
        over = errors - np.hypot(floor_ms, blur_ms / z_scores)
        return float(
            np.where(over > 0, INTERVAL_COVERAGE * over, (INTERVAL_COVERAGE - 1) * over).mean()
        )

    floor_ms, blur_ms = min(
        ((floor, blur) for floor in FLOORS_MS for blur in range(0, 301, 5)),
        key=lambda sizes: pinball(*sizes),
    )
    rounded = (round(float(weight), 3) for weight in weights)
    return Calibration(*rounded, floor_ms=float(floor_ms), blur_ms=float(blur_ms))


def with_prior(fitted: Calibration) -> Calibration:
    """Correct the bias for the prior `OWN_VOICE`; in the trials that share is one half."""
    return replace(fitted, bias=round(fitted.bias + math.log(OWN_VOICE / (1 - OWN_VOICE)), 3))


def report(found: list[Trial], calibration: Calibration) -> dict[str, Any]:
    """Return calibration error, share answered, accuracy and interval coverage of trials."""
    confidences = np.array([confidence(trial.peak, calibration) for trial in found])
    low, high = np.array([interval(trial.peak, calibration) for trial in found]).T
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
        "--more", type=Path, nargs="*", default=[], help="stores of held-out rendered clips"
    )
    parser.add_argument("--draws", type=int, default=12, help="segments of each clip")
    parser.add_argument("--write", action="store_true", help="store it beside the weights")
    arguments = parser.parse_args()
    if arguments.write and arguments.weights is None:
        parser.error("--write needs --weights FILE")
    model = load_model(arguments.model, arguments.weights)
    grid = Store(arguments.data)
    val = [grid[index] for index in clips_of_split(grid, arguments.splits, "val")]
    rendered = [clip for path in arguments.more for clip in Store(path)]
    found = {"grid s1 val": trials(model, val, arguments.truth_ms, arguments.draws, seed=0)}
    if rendered:
        found["rendered"] = trials(model, rendered, 0.0, arguments.draws, seed=0)
    halves: dict[bool, list[Trial]] = {True: [], False: []}
    for of_source in found.values():
        clips = sorted({trial.clip for trial in of_source})
        for trial in of_source:
            halves[clips.index(trial.clip) % 2 == 0].append(trial)
    calibration = fit(halves[True], found["grid s1 val"])
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
    print(machine())
    write_record(
        "sync/calibration",
        {
            "fitted": asdict(calibration),
            "released": released,
            "seed": 0,
            **figures,
        },
    )


if __name__ == "__main__":
    main()
