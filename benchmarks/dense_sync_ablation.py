"""What each part of dense_sync's training buys: the same run without it.

    python benchmarks/dense_sync_ablation.py --data STORE --rendered STORE... --splits FILE \
        --test NAME STORE SPLIT ZERO_MS --work FOLDER [--steps 600] [--seeds 0 1 2]

A dense_sync of reduced width learns anew for the same steps, with everything and with one thing
left out. Each run is written to `results/dense_sync_ablation/ARM_SEED.json`; one that was stopped
goes on, one that is there is left alone. `--write docs/PAGE.md` puts the table into a page.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from record import RESULTS, machine, write_record
from short_run import short_run
from sync_accuracy import accuracy, test_set
from sync_table import mean_of, put_in, row, share_of

from avsync.pipelines.evaluate.sync import read_words
from avsync.tasks.registry import create_model
from avsync.training.recipes.dense_sync import DenseSyncRecipe, train

FOLDER = "dense_sync_ablation"
# What a run does otherwise than the whole, by the name of what it lacks.
ARMS: dict[str, dict[str, Any]] = {
    "everything": {},
    "no altered mouths": {"augment": "voice"},
    "no altered voices": {"augment": "mouth"},
    "no other speeds": {"speed": 1.0},
    "no rendered identities": {"rendered": False},
    "nothing but the clips": {"augment": "none", "speed": 1.0, "rendered": False},
}
CONTEXTS = (5, 15)


def main() -> None:
    options = parsed()
    if options.write is not None:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(put_in(page, "ablation", "\n".join(table())), encoding="utf-8")
        return
    words = read_words(options.alignments) if options.alignments else {}
    tests = [test_set(*given, options, dict(words)) for given in options.test]
    print(machine())
    for seed in options.seeds:
        for arm in ARMS:
            record = f"{FOLDER}/{arm.replace(' ', '_')}_{seed}"
            if (RESULTS / f"{record}.json").is_file():
                continue
            started_s = time.monotonic()
            weights = train(recipe_of(arm, seed, options))
            model = create_model("dense_sync", weights=weights)
            figures = {
                "arm": arm,
                "seed": seed,
                "steps": options.steps,
                "width": options.width,
                "train_seconds": round(time.monotonic() - started_s),
                "tests": {test.name: accuracy(model, test) for test in tests},
            }
            print(arm, seed, {name: rows["rows"][0] for name, rows in figures["tests"].items()})
            write_record(record, figures, script=FOLDER)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="real clips")
    parser.add_argument("--rendered", type=Path, nargs="+", help="stores of rendered clips")
    parser.add_argument("--rendered-share", type=float, default=0.3, help="of the draws")
    parser.add_argument("--splits", type=Path, help="of the real clips")
    parser.add_argument(
        "--test", nargs=4, action="append", default=[], metavar=("NAME", "STORE", "SPLIT", "ZERO")
    )
    parser.add_argument("--alignments", type=Path, help="where the words of GRID clips lie")
    parser.add_argument("--work", type=Path, help="folder of the training runs")
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=0, help="of each test set, 0 for all")
    parser.add_argument("--write", type=Path, help="only put the table of what is there in a page")
    options = parser.parse_args()
    if options.write is None and not (options.data and options.rendered and options.work):
        parser.error("--data, --rendered and --work are needed to train")
    return options


def recipe_of(arm: str, seed: int, options: argparse.Namespace) -> DenseSyncRecipe:
    """The whole recipe less what the arm lacks."""
    changes = dict(ARMS[arm])
    stores, share = (options.data,), (1.0,)
    if changes.pop("rendered", True):
        each = options.rendered_share / len(options.rendered)
        stores = (options.data, *options.rendered)
        share = (1 - options.rendered_share, *[each] * len(options.rendered))
    folder = options.work / f"{arm.replace(' ', '_')}_{seed}"
    loop = short_run(folder, options.steps, options.lr, seed, validate_every=0)
    return DenseSyncRecipe(loop, stores, options.splits, share, width=options.width, **changes)


def table() -> list[str]:
    """Per cent of windows within a frame, by what was left out."""
    files = sorted((RESULTS / FOLDER).glob("*.json"))
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if not runs:
        raise SystemExit("there are no results: run this script with --data first")
    heads = ["run", "seeds", "steps"]
    heads += [f"{test}, {k} frames" for test in runs[0]["tests"] for k in CONTEXTS]
    lines = [row(heads), row(["---"] * len(heads))]
    for arm in ARMS:
        group = [run for run in runs if run["arm"] == arm]
        if not group:
            continue
        cells = [arm, str(len(group)), str(group[0]["steps"])]
        for test in runs[0]["tests"]:
            cells += [mean_of([share_of(run, test, k) for run in group]) for k in CONTEXTS]
        lines.append(row(cells))
    return lines


if __name__ == "__main__":
    main()
