"""Every synchronisation system, trained on the same clips and measured by the same protocol.

    python benchmarks/sync_accuracy.py --data STORE --splits FILE --test NAME STORE SPLIT ZERO_MS \
        --alignments FOLDER --work FOLDER [--systems NAME...] [--seeds 0 1 2] [--steps 3000]

Each run, a system with a seed and a window, is trained, measured on every test set and written to
`results/sync_accuracy/SYSTEM_WINDOW_SEED.json`; one that was stopped goes on, one that is there is
left alone. `python benchmarks/sync_table.py` makes the tables of what is there.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from record import RESULTS, machine, write_record
from short_run import short_run
from sync_systems import ACAPPELLA_CONTEXTS, LRS2_CONTEXTS, SYSTEMS, TABLE, Job, System
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

FOLDER = "sync_accuracy"
RULES = [(k, 1) for k in LRS2_CONTEXTS] + [(k, 5) for k in ACAPPELLA_CONTEXTS]
TIMED = 3
# Means of rows and of windows of sound are taken off in turn; this often they settle.
SWEEPS = 50


class TestSet(NamedTuple):
    """Clips that no system has seen, the offset that they carry, and where their words lie."""

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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
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
        help="a split of it, or all; may be given several times",
    )
    parser.add_argument("--alignments", type=Path, help="where the words of GRID clips lie")
    parser.add_argument("--work", type=Path, required=True, help="folder of the training runs")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=TABLE)
    parser.add_argument("--windows", type=int, nargs="+", default=[5], help="trained for each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=32, help="pairs; fewer stretches")
    parser.add_argument("--clips", type=int, default=0, help="of each test set, 0 for all")
    parser.add_argument("--full-size", action="store_true", help="published sizes, for a GPU")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    return parser.parse_args()


def one_run(
    name: str, window: int, seed: int, tests: list[TestSet], options: argparse.Namespace
) -> None:
    """Trains and measures one system, unless its figures are there."""
    size = "full" if options.full_size else "reduced"
    record = f"{FOLDER}/{name}_{size}_{window}_{seed}"
    if (RESULTS / f"{record}.json").is_file():
        return
    system, work = SYSTEMS[name], options.work / f"{name}_{size}_{window}_{seed}"
    if system.command is None and seed != options.seeds[0]:
        return  # what ships has one seed
    started_s = time.monotonic()
    model = trained(system, window, seed, work, options)
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
        "parameters": sum(each.numel() for each in model.parameters()),
        **cost(model, tests[0]),
        "tests": {test.name: accuracy(model, test) for test in tests},
    }
    print(name, window, seed, {t: rows["rows"][0] for t, rows in figures["tests"].items()})
    write_record(record, figures, script="sync_accuracy")


def trained(system: System, window: int, seed: int, work: Path, options: argparse.Namespace) -> Any:
    """The system after its training, or as it ships."""
    if system.command is None or system.recipe is None:
        return create_model(system.model, pretrained=True)
    recipe = system.recipe(job_of(system, window, seed, work, options))
    return create_model(system.model, weights=RECIPES[system.command].train(recipe))


def job_of(system: System, window: int, seed: int, work: Path, options: argparse.Namespace) -> Job:
    """The settings of a run, the same for all systems but for the rate and the batch."""
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
    # A student's teacher is the VocaLiST of the same seed, which comes before it.
    size = "full" if options.full_size else "reduced"
    teacher = work.with_name(f"vocalist_{size}_{window}_{seed}") / "vocalist.safetensors"
    return Job(clips, loop, options.full_size, window, teacher)


def test_set(
    name: str, path: str, split: str, offset_ms: str, options: argparse.Namespace, words: Words
) -> TestSet:
    """A split of a store, or all of it."""
    store = Store(path)
    places = clips_of_split(store, None if split == "all" else options.splits, split)
    return TestSet(
        name, [store[k] for k in places[: options.clips or None]], float(offset_ms), words
    )


def accuracy(model: Any, test: TestSet) -> dict[str, Any]:
    """Shares of windows within 1 and 5 frames by context, of all and of those inside the words; and
    how far whole clips are off.
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
            "accuracy": float(np.mean(each)),
            "chance": (2 * within + 1) / CANDIDATES,
        }
        for (context, within, windows), each in shares.items()
    ]
    errors = np.abs(clip_errors_ms)
    return {
        "clips": len(test.clips),
        "clips_within_a_frame": float((errors <= FRAME_MS).mean()),
        "median_clip_error_ms": float(np.median(errors)),
        "rows": rows,
    }


def inside_words(clip: PreparedClip, count: int, window: int, words: Words) -> torch.Tensor | None:
    """Which windows `(count,)` lie inside the words; None where these are not known."""
    stem = Path(clip.source).stem
    if stem not in words:
        return None
    first_s, last_s = words[stem]
    starts_s = clip.start_s + torch.arange(count) * FRAME_MS / 1000
    ends_s = starts_s + window * FRAME_MS / 1000
    return (starts_s >= first_s - 1e-6) & (ends_s <= last_s + 1e-6)


def clip_offset_ms(band: torch.Tensor) -> float:
    """The offset of a clip as a whole: the peak of its mean scores `(n, 31)`, by a parabola."""
    curve = paired_only(band).mean(0)
    best = int(curve.argmax())
    shift = 0.0
    if 0 < best < len(curve) - 1:
        before, peak, after = (float(curve[k]) for k in (best - 1, best, best + 1))
        bend = before - 2 * peak + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return (MAX_SHIFT - best - shift) * FRAME_MS


def paired_only(band: torch.Tensor) -> torch.Tensor:
    """Scores `(n, 31)` less what is said by the sound of each window alone, or by its picture
    alone; 0 where there is no score.

    A model that scores silence higher than speech, whatever it sees, would else be right about all
    clips that are silent at both ends: only at no shift does the mean hold all of that silence.
    """
    known = ~band.isnan()
    heard = candidate_windows(len(band)).clamp(0, len(band) - 1)
    left = band.double().nan_to_num() * known
    count = torch.zeros(len(band)).double().index_add_(0, heard[known], left.new_ones(known.sum()))
    for _ in range(SWEEPS):
        left = (left - left.sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp_min(1)) * known
        sums = torch.zeros_like(count).index_add_(0, heard[known], left[known])
        left = (left - (sums / count.clamp_min(1))[heard]) * known
    return left


def cost(model: Any, test: TestSet) -> dict[str, float]:
    """GFLOP (a multiplication with its addition counts as two) and CPU seconds per second of video,
    each window encoded once and compared with 31.
    """
    clip = test.clips[0]
    crops, wav = crops_for(model.spec, clip), np.asarray(clip.wav_16k)
    with FlopCounterMode(display=False) as counter:
        clip_band(model, crops, wav, test.offset_ms, empty_windows=False)
    spent = []
    for _ in range(TIMED):
        begun = time.process_time()
        clip_band(model, crops, wav, test.offset_ms, empty_windows=False)
        spent.append(time.process_time() - begun)
    return {
        "gflop_per_s": counter.get_total_flops() / 1e9 / clip.duration_s,
        "seconds_per_s": min(spent) / clip.duration_s,
    }


if __name__ == "__main__":
    main()
