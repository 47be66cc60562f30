"""A student with a teacher against the same student alone:

    python benchmarks/distillation.py --data STORE --splits FILE --work FOLDER

A narrow VocaLiST learns for the same steps from the same draws, once for each way and seed; the way
`none` has no teacher. Figures are shares of windows of the test clips within a frame of the truth,
whose chance is 3 of 31. A run that was stopped goes on; one that is done is measured again.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import machine, write_record
from scipy.stats import t

from avsync.data.clip_crops import crops_for
from avsync.data.splits import clips_of_split
from avsync.data.store import Store
from avsync.metrics.sync_accuracy import average_context, best_offsets
from avsync.registry import create_model
from avsync.scoring.clip_band import clip_band
from avsync.tasks.vocalist import VocalistConfig
from avsync.training.clip_data import ClipData
from avsync.training.loop import LoopSettings
from avsync.training.mtdvocalist import MtdVocalistRecipe
from avsync.training.mtdvocalist import train as train_student
from avsync.training.vocalist import VocalistRecipe
from avsync.training.vocalist import train as train_teacher

# A quarter of the published widths (the student's last: 50, which 8 heads do not divide); depth and
# heads are the published ones.
TEACHER = VocalistConfig(channels=(8, 16, 32, 64, 128))
STUDENT = VocalistConfig(channels=(4, 8, 16, 32, 48))
WAYS = ("none", "relations", "soft-targets", "hints", "relational")
CONTEXTS = (5, 15)
CHANCE = 3 / 31


def measured(name: str, weights: Path, options: argparse.Namespace) -> dict[str, float]:
    """Shares of windows within a frame, by context: the mean over the test clips."""
    torch.manual_seed(0)
    model = create_model(name, weights=weights)
    store = Store(options.data)
    rows = []
    for place in clips_of_split(store, options.splits, "test")[: options.clips or None]:
        clip = store[place]
        crops, wav = crops_for(model.spec, clip), np.asarray(clip.wav_16k)
        band = clip_band(model, crops, wav, options.zero_ms, empty_windows=False).band
        found = [best_offsets(average_context(band, k, 5)).abs() <= 1 for k in CONTEXTS]
        rows.append([float(each.float().mean()) for each in found])
    means = np.mean(rows, axis=0)
    return {f"within_1_at_{k}": float(mean) for k, mean in zip(CONTEXTS, means, strict=True)}


def settings(folder: Path, steps: int, seed: int, options: argparse.Namespace) -> LoopSettings:
    """The published optimiser, quicker: a higher rate that falls, and averaged weights."""
    return LoopSettings(
        output=folder,
        steps=steps,
        lr=options.lr,
        optimizer="adam",
        warmup=steps // 20,
        validate_every=0,
        save_every=200,
        seed=seed,
        precision=options.precision,
    )


def teacher_weights(clips: ClipData, options: argparse.Namespace) -> Path:
    """The given teacher, or one that is trained here."""
    if options.teacher is not None:
        return Path(options.teacher)
    # A seed that no student has.
    loop = settings(options.work / "teacher", options.teacher_steps, 100, options)
    return train_teacher(VocalistRecipe(clips=clips, loop=loop, model=TEACHER))


def student_run(
    way: str, seed: int, teacher: Path, clips: ClipData, options: argparse.Namespace
) -> dict[str, Any]:
    """Trains one student and measures it."""
    started_s = time.monotonic()
    loop = settings(options.work / f"{way}_{seed}", options.steps, seed, options)
    recipe = MtdVocalistRecipe(
        clips=clips, loop=loop, model=STUDENT, teacher=teacher, distillation=way
    )
    weights = train_student(recipe)
    run = {"way": way, "seed": seed, "seconds": round(time.monotonic() - started_s)}
    run |= measured("mtdvocalist", weights, options)
    print(" ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in run.items()))
    return run


def interval(values: list[float]) -> list[float]:
    """The 95 % interval of the mean over seeds, by Student's t."""
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return [float(np.mean(values) - half), float(np.mean(values) + half)]


def compared(runs: list[dict[str, Any]], way: str, figure: str) -> dict[str, Any]:
    """A way against the student alone, seed by seed: the two share their draws."""
    alone = {run["seed"]: run[figure] for run in runs if run["way"] == "none"}
    taught = {run["seed"]: run[figure] for run in runs if run["way"] == way}
    gains = [taught[seed] - alone[seed] for seed in sorted(alone.keys() & taught.keys())]
    row: dict[str, Any] = {"way": way, "figure": figure, "mean": float(np.mean([*taught.values()]))}
    row["alone"], row["gain"] = float(np.mean([*alone.values()])), float(np.mean(gains))
    if len(gains) > 1:
        low, high = row["gain_interval"] = interval(gains)
        row["verdict"] = "better" if low > 0 else "worse" if high < 0 else "no difference seen"
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, help="weights of a VocaLiST; trained if not given")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["none", "relations"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--teacher-steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--clips", type=int, default=0, help="test clips, 0 for all")
    parser.add_argument("--zero-ms", type=float, default=20.0, help="of the corpus (GRID: 20)")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    options = parser.parse_args()
    clips = ClipData(
        (options.data,),
        options.splits,
        zero_ms=(options.zero_ms,),
        batch=options.batch,
        validate_clips=5,
    )
    print(machine())
    teacher = teacher_weights(clips, options)
    taught = measured("vocalist", teacher, options)
    print("teacher", *(f"{name}={share:.4g}" for name, share in taught.items()))
    runs = [
        student_run(way, seed, teacher, clips, options)
        for seed in range(options.seeds)
        for way in options.ways
    ]
    figures = [f"within_1_at_{k}" for k in CONTEXTS]
    rows = [
        compared(runs, way, figure) for way in options.ways if way != "none" for figure in figures
    ]
    for row in rows:
        print(row)
    sizes = {"teacher_channels": TEACHER.channels, "student_channels": STUDENT.channels}
    sizes |= {"steps": options.steps, "batch": options.batch, "lr": options.lr, "chance": CHANCE}
    print(write_record("distillation", {**sizes, "teacher": taught, "runs": runs, "rows": rows}))


if __name__ == "__main__":
    main()
