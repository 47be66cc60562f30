"""Ablate the losses of a talking-face generator: the same training with and without each loss.

    python benchmarks/talking/loss_ablation.py --data STORE --splits FILE --corpus-offset-ms MS \
        --expert FILE --transcripts FOLDER --work FOLDER [--reader FILE] [--steps N] \
        [--arm-steps N] [--seeds 0 1 2]

For each seed a generator is trained by reconstruction alone. Every arm, one of them reconstruction
alone again, continues from it for `--arm-steps` steps. Test clips are generated from their first
frame and the audio of another clip. dense_sync, which takes no part in the training, scores the
generated mouths with that audio in place and shifted. Each run is written to
`results/talking/loss_ablation/ARM_SEED.json`; a recorded run is skipped. Without `--data` the table
of all records is printed.

The arms generate many segments of few clips, because a lip reader gives little signal on 5
generated frames among 70 real ones. The weights of the lip reading and contrastive losses are 3
times the published ones. The arm `altered` is not published: the mouths are rotated, shifted and
relit before the expert sees them.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from avsync.pipelines.evaluate.talking import TalkingEvaluation, evaluate_talking
from avsync.tasks.talking.generator import SMALL_TALKING_FACE
from avsync.tasks.talking.synctalklip import SyncTalklipConfig
from avsync.training.data.sync import ClipData
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.talking.synctalklip import SyncTalklipRecipe, train
from avsync.training.steps.talking import LossWeights
from benchmarks.record import machine, read_records, record_path, write_record

FOLDER = "talking/loss_ablation"
DISCRIMINATOR_CHANNELS = (8, 8, 16, 32, 64)
FIRST = "first"
# Columns of the table by key of the record; the expert is the AV-SyncNet of the training losses.
COLUMNS = {
    "psnr": "PSNR dB",
    "ssim": " SSIM",
    "own_voice_better": "in place better",
    "clips_within_a_frame": "within a frame",
    "wer": "WER",
    "wer_guide": "WER by expert",
}
DECIMALS = {"psnr": 2}
RECONSTRUCTION = LossWeights(gan=0.0, lip=0.0, contrast=0.0)


def arms(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the recipe changes of each arm, in the order of the ablation."""
    gan = replace(RECONSTRUCTION, gan=options.gan)
    lip = replace(gan, lip=options.lip)
    both = replace(lip, contrast=options.contrast)
    return {
        "reconstruction": {"weights": RECONSTRUCTION},
        "gan": {"weights": gan},
        "gan, lip": {"weights": lip},
        "gan, lip, contrast, frozen": {"weights": both},
        "gan, lip, contrast, not frozen": {"weights": both, "reference": "trained"},
        "gan, lip, contrast, altered": {"weights": both, "alter": True},
    }


def main() -> None:
    options = parsed()
    if options.data is None:
        print("\n".join(table(options)))
        return
    print(machine())
    for seed in options.seeds:
        first = train(recipe(options, seed, FIRST, options.steps, {"weights": RECONSTRUCTION}))
        for arm, changes in arms(options).items():
            name = arm.replace(", ", "_").replace(" ", "_")
            record = f"{FOLDER}/{name}_{seed}"
            if record_path(record).is_file() or (options.arms and name not in options.arms):
                continue
            changes_from_first = {**changes, "init": first}
            weights = train(recipe(options, seed, name, options.arm_steps, changes_from_first))
            found = measure(options, weights)
            figures = {"arm": arm, "seed": seed, "steps": options.steps, "more": options.arm_steps}
            figures["weights"] = asdict(changes["weights"])
            print(arm, seed, found)
            write_record(record, {**figures, **found}, script=FOLDER)
    print("\n".join(table(options)))


def recipe(
    options: argparse.Namespace, seed: int, name: str, steps: int, changes: dict[str, Any]
) -> SyncTalklipRecipe:
    """Return the recipe of the first training or of an arm, with its changes."""
    batch, runs = (options.batch, 1) if name == FIRST else (options.arm_batch, options.arm_runs)
    return SyncTalklipRecipe(
        ClipData(
            (options.data,),
            options.splits,
            corpus_offset_ms=(options.corpus_offset_ms,),
            batch=batch,
        ),
        LoopSettings(
            options.work / f"{name}_{seed}",
            steps,
            options.lr if name == FIRST else options.arm_lr,
            optimizer="adam",
            beta=0.5,
            warmup=steps // 20,
            decay=0.5,
            # An average over about 20 of an arm's 100 steps; a longer one would be mostly the init.
            ema=0.99 if name == FIRST else 0.95,
            validate_every=0,
            save_every=50,
            seed=seed,
        ),
        SyncTalklipConfig(generator=SMALL_TALKING_FACE),
        expert=options.expert,
        transcripts=options.transcripts,
        learns=1,
        runs=runs,
        critic=DISCRIMINATOR_CHANNELS,
        **changes,
    )


def measure(options: argparse.Namespace, weights: Path) -> dict[str, float | None]:
    """Measure a generator by `avsync evaluate talking`.

    Sync is measured with the audio of another clip, because the mouth crop shows a strip of the
    real chin below the generated part: with the clip's own audio, even three clips with flat grey
    faces were found in sync.

    Returns:
        `psnr` in dB and `ssim` of the lower half, generated from the clip's own audio;
        `own_voice_better`: share of clips, generated from the audio of another clip, in which that
        audio scores better in place than shifted by 5 to 15 frames, on average;
        `clips_within_a_frame`: share of those whose best offset is within a frame;
        `undrawn_*`: the same two figures of the real faces with that audio, by chance;
        `wer`: word error rate of the other clip's words by `--reader`, None without it;
        `wer_guide`: word error rate by the expert of the training losses.
    """
    figures = evaluate(options, weights, options.reader)
    count = figures["sync_clips"]
    return {
        "psnr": round(figures["psnr"]["mean"], 2),
        "ssim": round(figures["ssim"]["mean"], 4),
        "own_voice_better": round(figures["in_place_better"] / count, 4),
        "clips_within_a_frame": round(figures["within_a_frame"] / count, 4),
        "undrawn_better": round(figures["undrawn"]["in_place_better"] / count, 4),
        "undrawn_within_a_frame": round(figures["undrawn"]["within_a_frame"] / count, 4),
        "wer": word_error_rate(figures) if options.reader else None,
        "wer_guide": word_error_rate(evaluate(options, weights, options.expert)),
        "clips": figures["clips"],
    }


def evaluate(options: argparse.Namespace, weights: Path, reader: Path | None) -> dict[str, Any]:
    """Run `avsync evaluate talking` and return its figures."""
    return evaluate_talking(
        TalkingEvaluation(
            data=options.data,
            weights=weights,
            splits=options.splits,
            clips=options.clips,
            truth_ms=options.corpus_offset_ms,
            reader=reader,
            transcripts=options.transcripts if reader else None,
        )
    )


def word_error_rate(figures: dict[str, Any]) -> float:
    """Return the rounded word error rate of evaluation figures."""
    return round(figures["reading"]["wer"], 4)


def table(options: argparse.Namespace) -> list[str]:
    """Return the lines of the table of means over seeds, by arm."""
    runs = read_records(FOLDER)
    lines = [f"{'losses':32}  seeds  " + "  ".join(COLUMNS.values())]
    for arm in arms(options):
        group = [run for run in runs if run["arm"] == arm]
        if not group:
            continue
        cells = [f"{arm:32}  {len(group):5}"]
        for name, title in COLUMNS.items():
            found = [run[name] for run in group if run[name] is not None]
            cell = f"{np.mean(found):.{DECIMALS.get(name, 3)}f}" if found else ""
            cells.append(cell.rjust(len(title)))
        lines.append("  ".join(cells))
    return lines


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument(
        "--corpus-offset-ms", "--zero-ms", type=float, default=0.0, help="offset of all clips"
    )
    parser.add_argument("--expert", type=Path, help="weights of an AV-SyncNet")
    parser.add_argument("--transcripts", type=Path)
    parser.add_argument("--reader", type=Path, help="a lip reader that is not used in training")
    parser.add_argument("--work", type=Path, help="folder of the training runs")
    parser.add_argument("--steps", type=int, default=600, help="steps of the first training")
    parser.add_argument("--arm-steps", "--more", type=int, default=100, help="steps of every arm")
    parser.add_argument("--batch", type=int, default=8, help="clips per step")
    parser.add_argument("--arm-batch", "--more-batch", type=int, default=2, help="of every arm")
    parser.add_argument(
        *("--arm-runs", "--more-runs"), type=int, default=6, help="runs of five frames of each clip"
    )
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--arm-lr", "--more-lr", type=float, default=4e-4)
    parser.add_argument("--gan", type=float, default=0.07, help="weight of the adversarial loss")
    parser.add_argument("--lip", type=float, default=3e-5, help="weight of the lip reading loss")
    parser.add_argument("--contrast", type=float, default=3e-4, help="of the contrastive loss")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="only these, by their file names")
    parser.add_argument("--clips", type=int, default=0, help="clips of the test split, 0 for all")
    options = parser.parse_args()
    if options.data and not (options.expert and options.work and options.transcripts):
        parser.error("training needs --expert, --transcripts and --work")
    return options


if __name__ == "__main__":
    main()
