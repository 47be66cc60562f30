"""What each loss of a talking face buys: the same training with and without it, over seeds.

    python benchmarks/talking_face.py --data STORE --splits FILE --corpus-offset-ms MS \
        --expert FILE --transcripts FOLDER --work FOLDER [--steps N] [--more N] \
        [--seeds 0 1 2] [--reader FILE]

Per seed a generator learns by reconstruction alone; every other arm starts from it and goes on for
`--more` steps, as does one more by reconstruction alone. Test clips are drawn again, their first
frame telling who it is, by the voice of another clip, and judged by dense_sync, which took no part
in the training: it is shown the mouths that were drawn with that voice in its place and moved. Each
run is written to `results/talking_face/ARM_SEED.json`; one that is there is left alone. Without
--data the table of those is printed. The arms draw much of few clips, as a reader that is shown 5
new frames among 70 true ones has little to say of them. Reading and contrast weigh 3 times what was
published. `altered` is ours: the judge is shown the mouths turned, moved and lit otherwise.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, machine, write_record

from avsync.pipelines.evaluate.talking import TalkingEvaluation, evaluate_talking
from avsync.tasks.talking.generator import SMALL_TALKING_FACE
from avsync.tasks.talking.synctalklip import SyncTalklipConfig
from avsync.training.data.sync import ClipData
from avsync.training.engine.loop import LoopSettings
from avsync.training.recipes.synctalklip import SyncTalklipRecipe, train
from avsync.training.steps.talking import LossWeights

FOLDER = "talking_face"
CRITIC = (8, 8, 16, 32, 64)
FIRST = "first"
# What the table shows of a run; `guide` is the AV-SyncNet that judged in training.
COLUMNS = {
    "psnr": "PSNR dB",
    "ssim": " SSIM",
    "own_voice_better": "own voice better",
    "clips_within_a_frame": "within a frame",
    "wer": "words wrong",
    "wer_guide": "by the guide",
}
DECIMALS = {"psnr": 2}
ALONE = LossWeights(gan=0.0, lip=0.0, contrast=0.0)


def arms(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What a run learns by, in the order of the ablation."""
    gan = replace(ALONE, gan=options.gan)
    lip = replace(gan, lip=options.lip)
    both = replace(lip, contrast=options.contrast)
    return {
        "reconstruction": {"weights": ALONE},
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
        first = train(recipe(options, seed, FIRST, options.steps, {"weights": ALONE}))
        for arm, changes in arms(options).items():
            name = arm.replace(", ", "_").replace(" ", "_")
            done = (RESULTS / FOLDER / f"{name}_{seed}.json").is_file()
            if done or (options.arms and name not in options.arms):
                continue
            more = {**changes, "init": first}
            weights = train(recipe(options, seed, name, options.more, more))
            found = measured(options, weights)
            figures = {"arm": arm, "seed": seed, "steps": options.steps, "more": options.more}
            figures["weights"] = asdict(changes["weights"])
            print(arm, seed, found)
            write_record(f"{FOLDER}/{name}_{seed}", {**figures, **found}, script=FOLDER)
    print("\n".join(table(options)))


def recipe(
    options: argparse.Namespace, seed: int, name: str, steps: int, changes: dict[str, Any]
) -> SyncTalklipRecipe:
    batch, runs = (options.batch, 1) if name == FIRST else (options.more_batch, options.more_runs)
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
            options.lr if name == FIRST else options.more_lr,
            optimizer="adam",
            beta=0.5,
            warmup=steps // 20,
            decay=0.5,
            # Of an arm's hundred steps some twenty: with more it would be half its beginning.
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
        critic=CRITIC,
        **changes,
    )


def measured(options: argparse.Namespace, weights: Path) -> dict[str, float | None]:
    """What `avsync evaluate talking` says: PSNR in dB and SSIM of the lower half, drawn by the
    clip's own voice; of clips drawn by the voice of another clip, the share in which that voice
    scores better in its place than moved by 5 to 15 frames, on average, and of those whose best
    offset is within a frame; and the error rates of the other clip's words, as read by a reader
    that took no part, where it is given, and by the AV-SyncNet that judged in training.

    Another's voice, for the mouth crop shows a strip of the chin below what is drawn: of three
    clips whose faces were made flat grey, all were found in sync with their own voice. What the
    true faces get with those voices, by chance, is `undrawn`.
    """
    figures = judged(options, weights, options.reader)
    count = figures["sync_clips"]
    return {
        "psnr": round(figures["psnr"]["mean"], 2),
        "ssim": round(figures["ssim"]["mean"], 4),
        "own_voice_better": round(figures["in_place_better"] / count, 4),
        "clips_within_a_frame": round(figures["within_a_frame"] / count, 4),
        "undrawn_better": round(figures["undrawn"]["in_place_better"] / count, 4),
        "undrawn_within_a_frame": round(figures["undrawn"]["within_a_frame"] / count, 4),
        "wer": wrong(figures) if options.reader else None,
        "wer_guide": wrong(judged(options, weights, options.expert)),
        "clips": figures["clips"],
    }


def judged(options: argparse.Namespace, weights: Path, reader: Path | None) -> dict[str, Any]:
    """The figures of `avsync evaluate talking`."""
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


def wrong(figures: dict[str, Any]) -> float:
    """The share of words that were read wrong."""
    return round(figures["reading"]["wer"], 4)


def table(options: argparse.Namespace) -> list[str]:
    """Means over seeds, by arm."""
    files = sorted((RESULTS / FOLDER).glob("*.json"))
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    lines = [f"{'learnt by':32}  seeds  " + "  ".join(COLUMNS.values())]
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument(
        "--corpus-offset-ms", "--zero-ms", type=float, default=0.0, help="offset of all clips"
    )
    parser.add_argument("--expert", type=Path, help="weights of an AV-SyncNet")
    parser.add_argument("--transcripts", type=Path)
    parser.add_argument("--reader", type=Path, help="a lip reader that took no part")
    parser.add_argument("--work", type=Path, help="folder of the training runs")
    parser.add_argument("--steps", type=int, default=600, help="by reconstruction")
    parser.add_argument("--more", type=int, default=100, help="of every arm")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--more-batch", type=int, default=2, help="clips of a step of every arm")
    parser.add_argument("--more-runs", type=int, default=6, help="of five frames, of each clip")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--more-lr", type=float, default=4e-4)
    parser.add_argument("--gan", type=float, default=0.07)
    parser.add_argument("--lip", type=float, default=3e-5)
    parser.add_argument("--contrast", type=float, default=3e-4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="only these: names of their files")
    parser.add_argument("--clips", type=int, default=0, help="of the test split, 0 for all")
    options = parser.parse_args()
    if options.data and not (options.expert and options.work and options.transcripts):
        parser.error("--expert, --transcripts and --work are needed to train")
    return options


if __name__ == "__main__":
    main()
