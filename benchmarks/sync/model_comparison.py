"""Compare all sync models: train each on the same clips and measure it by the same protocol.

    python benchmarks/sync/model_comparison.py --data STORE --splits FILE \
        --test NAME STORE SPLIT ZERO_MS --alignments FOLDER --work FOLDER \
        [--systems NAME...] [--seeds 0 1 2] [--steps 3000]

A run is one system with one seed and one window. It is trained, measured on every test set and
written to `results/sync/model_comparison/SYSTEM_SIZE_WINDOW_SEED.json`. A stopped run resumes; a
recorded run is skipped. `model_comparison_tables.py` makes tables of the records.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.score_matrix import clip_band
from avsync.evaluation.sync_accuracy import Words
from avsync.metrics.sync_accuracy import (
    CANDIDATES,
    MAX_SHIFT,
    average_context,
    best_offsets,
    candidate_windows,
)
from avsync.pipelines.evaluate.sync import read_words
from avsync.tasks.registry import create_model
from avsync.timing import FRAME_MS
from avsync.training.catalog import RECIPES
from avsync.training.data.sync import ClipData
from benchmarks.record import machine, record_path, write_record
from benchmarks.short_run import short_run
from benchmarks.sync.model_comparison_systems import (
    ACAPPELLA_CONTEXTS,
    LRS2_CONTEXTS,
    SYSTEMS,
    TABLE,
    Job,
    System,
)

FOLDER = "sync/model_comparison"
RULES = [(k, 1) for k in LRS2_CONTEXTS] + [(k, 5) for k in ACAPPELLA_CONTEXTS]
TIMED = 3
# Alternating subtractions of row and audio window means; they converge in this many sweeps.
SWEEPS = 50


class TestSet(NamedTuple):
    """Held-out clips, their constant offset, and the times of their words."""

    name: str
    clips: list[PreparedClip]
    offset_ms: float
    words: Words


def main() -> None:
    options = parsed()
    words = read_words(options.alignments) if options.alignments else {}
    tests = [test_set(*given, options, dict(words)) for given in options.test]
    print(machine())
    for seed in options.seeds:
        for name in options.systems:
            for window in options.windows:
                if window in SYSTEMS[name].windows:
                    one_run(name, window, seed, tests, options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="stores to train on")
    parser.add_argument("--splits", type=Path, required=True, help="of the first store")
    parser.add_argument(
        "--corpus-offset-ms", "--zero-ms", type=float, nargs="*", default=[], help="of each store"
    )
    parser.add_argument("--share", type=float, nargs="*", default=[], help="of each store")
    parser.add_argument(
        "--test",
        nargs=4,
        action="append",
        required=True,
        metavar=("NAME", "STORE", "SPLIT", "ZERO_MS"),
        help="SPLIT is a split of the store or `all`; may be repeated",
    )
    parser.add_argument("--alignments", type=Path, help="folder of the GRID alignments")
    parser.add_argument("--work", type=Path, required=True, help="folder of the training runs")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=TABLE)
    parser.add_argument(
        "--windows", type=int, nargs="+", default=[5], help="window lengths in frames"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=32, help="pairs; fewer segments")
    parser.add_argument("--clips", type=int, default=0, help="clips of each test set, 0 for all")
    parser.add_argument("--full-size", action="store_true", help="published widths, for a GPU")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    return parser.parse_args()


def one_run(
    name: str, window: int, seed: int, tests: list[TestSet], options: argparse.Namespace
) -> None:
    """Train and measure one system, unless the run is recorded."""
    size = "full" if options.full_size else "reduced"
    record = f"{FOLDER}/{name}_{size}_{window}_{seed}"
    if record_path(record).is_file():
        return
    system, work = SYSTEMS[name], options.work / f"{name}_{size}_{window}_{seed}"
    if system.command is None and seed != options.seeds[0]:
        return  # A released model has one seed.
    started_s = time.monotonic()
    model = train_system(system, window, seed, work, options)
    trained_s = round(time.monotonic() - started_s)
    if torch.cuda.is_available():
        model = model.cuda()
    figures = {
        "system": name,
        "size": size,
        "window_frames": window,
        "seed": seed,
        "steps": options.steps if system.command else None,
        "train_seconds": trained_s,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **cost(model, tests[0]),
        "tests": {test.name: accuracy(model, test) for test in tests},
    }
    print(name, window, seed, {t: rows["rows"][0] for t, rows in figures["tests"].items()})
    write_record(record, figures, script=FOLDER)


def train_system(
    system: System, window: int, seed: int, work: Path, options: argparse.Namespace
) -> Any:
    """Train a system, or load its released weights, and return the model."""
    if system.command is None or system.recipe is None:
        return create_model(system.model, pretrained=True)
    recipe = system.recipe(job_of(system, window, seed, work, options))
    return create_model(system.model, weights=RECIPES[system.command].train(recipe))


def job_of(system: System, window: int, seed: int, work: Path, options: argparse.Namespace) -> Job:
    """Return the settings of a run; only learning rate and batch size depend on the system."""
    clips = ClipData(
        tuple(options.data),
        options.splits,
        tuple(options.share),
        tuple(options.corpus_offset_ms),
        batch=max(2, round(system.share * options.batch)),
        validate_clips=5,
    )
    halfway = max(1, options.steps // 2)
    loop = short_run(
        work,
        options.steps,
        system.lr,
        seed,
        validate_every=halfway,
        precision=options.precision,
    )
    # A student's teacher is the VocaLiST of the same seed, which is trained before it.
    size = "full" if options.full_size else "reduced"
    teacher = work.with_name(f"vocalist_{size}_{window}_{seed}") / "vocalist.safetensors"
    return Job(clips, loop, options.full_size, window, teacher)


def test_set(
    name: str, path: str, split: str, offset_ms: str, options: argparse.Namespace, words: Words
) -> TestSet:
    """Load a split of a store, or all of it."""
    store = Store(path)
    indices = clips_of_split(store, None if split == "all" else options.splits, split)
    clips = [store[index] for index in indices[: options.clips or None]]
    return TestSet(name, clips, float(offset_ms), words)


def accuracy(model: Any, test: TestSet) -> dict[str, Any]:
    """Measure the accuracy of a model on a test set.

    Returns:
        `rows`: share of windows within 1 and 5 frames by context, of all windows and of those
        inside the words; `clips_within_a_frame` and `median_clip_error_ms`: offset of whole clips.
    """
    window = model.spec.window_frames
    rules = [(k, within) for k, within in RULES if k >= window]
    shares: dict[tuple[int, int, str], list[float]] = {}
    clip_errors_ms = []
    for clip in test.clips:
        crops, wav = crops_for(model.spec, clip), np.asarray(clip.wav_16k)
        band = clip_band(model, crops, wav, test.offset_ms, empty_windows=False).band
        inside = inside_words(clip, len(band), window, test.words)
        for context, within in rules:
            right = best_offsets(average_context(band, context, window)).abs() <= within
            shares.setdefault((context, within, "all"), []).append(float(right.float().mean()))
            if inside is not None and inside.any():
                share = float(right[inside].float().mean())
                shares.setdefault((context, within, "inside words"), []).append(share)
        clip_errors_ms.append(clip_offset_ms(band))
    rows = [
        {
            "context": context,
            "within": within,
            "windows": windows,
            "accuracy": float(np.mean(clip_shares)),
            "chance": (2 * within + 1) / CANDIDATES,
        }
        for (context, within, windows), clip_shares in shares.items()
    ]
    errors = np.abs(clip_errors_ms)
    return {
        "clips": len(test.clips),
        "clips_within_a_frame": float((errors <= FRAME_MS).mean()),
        "median_clip_error_ms": float(np.median(errors)),
        "rows": rows,
    }


def inside_words(clip: PreparedClip, count: int, window: int, words: Words) -> torch.Tensor | None:
    """Return which windows `(count,)` lie inside the words; None if a clip has no alignment."""
    stem = Path(clip.source).stem
    if stem not in words:
        return None
    first_s, last_s = words[stem]
    starts_s = clip.start_s + torch.arange(count) * FRAME_MS / 1000
    ends_s = starts_s + window * FRAME_MS / 1000
    return (starts_s >= first_s - 1e-6) & (ends_s <= last_s + 1e-6)


def clip_offset_ms(band: torch.Tensor) -> float:
    """Estimate the offset of a clip: the peak of its mean scores `(n, 31)`, by a parabola."""
    curve = paired_only(band).mean(0)
    best = int(curve.argmax())
    shift = 0.0
    if 0 < best < len(curve) - 1:
        before, peak, after = (float(curve[k]) for k in (best - 1, best, best + 1))
        curvature = before - 2 * peak + after
        shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return (MAX_SHIFT - best - shift) * FRAME_MS


def paired_only(band: torch.Tensor) -> torch.Tensor:
    """Subtract from scores `(n, 31)` the means of each video window and of each audio window.

    What is left depends on the pair; missing scores become 0. Without this a model that scores
    silence higher than speech, whatever the video, would be right about all clips that are silent
    at both ends: only at shift 0 does the mean contain all of that silence.
    """
    known = ~band.isnan()
    audio = candidate_windows(len(band)).clamp(0, len(band) - 1)
    rest = band.double().nan_to_num() * known
    count = torch.zeros(len(band)).double().index_add_(0, audio[known], rest.new_ones(known.sum()))
    for _ in range(SWEEPS):
        rest = (rest - rest.sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp_min(1)) * known
        sums = torch.zeros_like(count).index_add_(0, audio[known], rest[known])
        rest = (rest - (sums / count.clamp_min(1))[audio]) * known
    return rest


def cost(model: Any, test: TestSet) -> dict[str, float]:
    """Measure GFLOP and CPU seconds per second of video.

    Each window is encoded once and compared with 31. A multiply-add counts as two operations.
    """
    clip = test.clips[0]
    crops, wav = crops_for(model.spec, clip), np.asarray(clip.wav_16k)
    with FlopCounterMode(display=False) as counter:
        clip_band(model, crops, wav, test.offset_ms, empty_windows=False)
    cpu_s = []
    for _ in range(TIMED):
        started_s = time.process_time()
        clip_band(model, crops, wav, test.offset_ms, empty_windows=False)
        cpu_s.append(time.process_time() - started_s)
    return {
        "gflop_per_s": counter.get_total_flops() / 1e9 / clip.duration_s,
        "seconds_per_s": min(cpu_s) / clip.duration_s,
    }


if __name__ == "__main__":
    main()
