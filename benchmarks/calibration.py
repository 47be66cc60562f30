"""Fits and judges the confidence of a sync model's offsets, on clips that no test uses.

python benchmarks/calibration.py --data GRID_STORE --splits SPLITS.json --more RENDERED_STORE

Stretches of 1 to 3 s are cut from held-out clips and their sound is shifted by up to 0.9 s,
exchanged for another clip's, or left. The row printed goes into `avsync/scoring/calibrations.py`.
One half of the clips fits, the other is reported: expected calibration error, interval coverage.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from record import machine, write_record
from scipy.optimize import minimize

from avsync.data.clip_crops import crops_for
from avsync.data.splits import clips_of_split
from avsync.data.store import PreparedClip, Store
from avsync.pipelines.check import load_model
from avsync.scoring.accuracy import score_clip
from avsync.scoring.offset import Calibration, Peak, confidence, find_peak, interval
from avsync.timing import FPS, SAMPLES_PER_FRAME

TOLERANCE_MS = 45.0
# No interval is narrower than this: single clips of a corpus differ by as much.
LEAST_FLOOR_MS = 12.0
# So many files are taken to hold the voice of the face that is seen.
OWN_VOICE = 0.9


class Trial(NamedTuple):
    """One stretch: what was found, and the error in ms (None where the voice was another's)."""

    clip: str
    height: float
    margin: float
    error_ms: float | None

    @property
    def right(self) -> bool:
        return self.error_ms is not None and abs(self.error_ms) <= TOLERANCE_MS


def trials(model, clips: list[PreparedClip], truth_ms: float, draws: int, seed: int) -> list[Trial]:
    """Random stretches of the clips with random faults."""
    rng = np.random.default_rng(seed)
    found = []
    for place, clip in enumerate(clips):
        crops = crops_for(model.spec, clip)
        for _ in range(draws):
            length = int(rng.integers(FPS, len(crops) + 1))
            start = int(rng.integers(0, len(crops) - length + 1))
            other = rng.random() < 0.3
            sound = (
                clips[(place + int(rng.integers(1, len(clips)))) % len(clips)] if other else clip
            )
            lead_ms = float(rng.uniform(-900, 900)) if rng.random() < 0.7 else 0.0
            wav = np.asarray(sound.wav_16k)
            at = start * SAMPLES_PER_FRAME + round(16 * lead_ms)
            wav = np.pad(wav, (20000, 20000 + 96000))[at + 20000 :][: length * SAMPLES_PER_FRAME]
            scores = score_clip(model, crops[start : start + length], wav, 1.0)
            peak = find_peak(scores.evidence.sum(0), scores.offsets_ms, 1000.0)
            if peak is None:
                continue
            error = None if other else peak.offset_ms - lead_ms - truth_ms
            found.append(Trial(clip.id, peak.height, peak.margin, error))
    return found


def fit(found: list[Trial]) -> Calibration:
    """Logistic regression for the confidence, quantile fit for the interval."""
    height = np.array([trial.height for trial in found])
    margin = np.array([trial.margin for trial in found])
    right = np.array([trial.right for trial in found])
    weight = weights(found)

    def loss(parameters: np.ndarray) -> float:
        slope, middle, margin_slope = parameters
        logit = slope * (height - middle) + margin_slope * margin
        cost = weight @ np.logaddexp(0, -np.where(right, logit, -logit)) / weight.sum()
        return float(cost + 1e-4 * (parameters**2).sum())

    slope, middle, margin_slope = minimize(loss, [1.0, 4.0, 0.5], method="Nelder-Mead").x
    errors = np.array([abs(t.error_ms) for t in found if t.right])
    heights = np.array([t.height for t in found if t.right])

    def pinball(parameters: np.ndarray) -> float:
        half = np.hypot(parameters[0], parameters[1] / heights)
        return float(np.where(errors > half, 0.9 * (errors - half), 0.1 * (half - errors)).mean())

    floor, blur = np.abs(minimize(pinball, [20.0, 100.0], method="Nelder-Mead").x)
    if floor < LEAST_FLOOR_MS:
        floor = LEAST_FLOOR_MS
        blur = abs(minimize(lambda b: pinball(np.array([floor, b[0]])), [blur]).x[0])
    return Calibration(*(round(float(v), 3) for v in (slope, middle, margin_slope, floor, blur)))


def weights(found: list[Trial]) -> np.ndarray:
    """Weights with which trials count as files do: most hold the voice of the face."""
    own = np.array([trial.error_ms is not None for trial in found])
    share = own.mean()
    return np.where(own, OWN_VOICE / share, (1 - OWN_VOICE) / (1 - share))


def report(found: list[Trial], calibration: Calibration) -> dict[str, float]:
    """Calibration error, answered share, and how often answers and intervals hold."""
    peaks = [Peak(0.0, trial.height, trial.margin) for trial in found]
    sure = np.array([confidence(peak, calibration) for peak in peaks])
    half = np.array([interval(peak, calibration)[1] for peak in peaks])
    right = np.array([trial.right for trial in found])
    own = np.array([trial.error_ms is not None for trial in found])
    answered = sure >= 0.5
    bins = np.minimum((sure * 10).astype(int), 9)
    weight = weights(found)
    gap = sum(abs(((sure - right) * weight)[bins == b].sum()) for b in range(10)) / weight.sum()
    errors = np.array([np.inf if t.error_ms is None else abs(t.error_ms) for t in found])
    told = answered & own & (errors <= 200)
    return {
        "trials": len(found),
        "expected_calibration_error": float(gap),
        "own_voice_answered": float(answered[own].mean()),
        "other_voice_answered": float(answered[~own].mean()),
        "answers_within_45_ms": float(np.average(right[answered], weights=weight[answered])),
        "interval_coverage": float((errors[told] <= half[told]).mean()),
        "bins": [
            [round(float(sure[bins == b].mean()), 3), round(float(right[bins == b].mean()), 3),
             int((bins == b).sum())]
            for b in range(10) if (bins == b).any()
        ],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dense_sync")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="store of GRID")
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--truth-ms", type=float, default=0.0, help="GRID's own offset")
    parser.add_argument(
        "--more", type=Path, help="store of rendered clips that were not trained on"
    )
    parser.add_argument("--draws", type=int, default=12)
    arguments = parser.parse_args()
    model = load_model(arguments.model, arguments.weights)
    grid = Store(arguments.data)
    sources = {
        "grid s1 val": (grid, clips_of_split(grid, arguments.splits, "val"), arguments.truth_ms)
    }
    if arguments.more:
        rendered = Store(arguments.more)
        sources["rendered"] = (rendered, list(range(len(rendered))), 0.0)
    found = {
        name: trials(model, [store[i] for i in places], truth_ms, arguments.draws, seed=0)
        for name, (store, places, truth_ms) in sources.items()
    }
    halves: dict[bool, list[Trial]] = {True: [], False: []}
    for each in found.values():
        clips = sorted({trial.clip for trial in each})
        for trial in each:
            halves[clips.index(trial.clip) % 2 == 0].append(trial)
    calibration = fit(halves[True])
    print(calibration)
    figures = {"held out": report(halves[False], calibration)}
    kept = set(halves[False])
    figures |= {
        name: report([t for t in each if t in kept], calibration) for name, each in found.items()
    }
    for name, row in figures.items():
        print(name, row)
    print(machine())
    write_record("calibration", {"calibration": calibration.__dict__, "seed": 0, **figures})


if __name__ == "__main__":
    main()
