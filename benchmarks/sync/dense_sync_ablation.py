"""Measure what each part of dense_sync's training contributes: the same run without it.

    python benchmarks/sync/dense_sync_ablation.py --data STORE --rendered STORE... --splits FILE \
        --test NAME STORE SPLIT ZERO_MS --work FOLDER [--steps 600] [--seeds 0 1 2]

A dense_sync of reduced width is trained from scratch for the same number of steps, with everything
and with one part left out. Each run is written to `results/sync/dense_sync_ablation/ARM_SEED.json`.
A stopped run resumes; a recorded run is skipped. `--write PAGE` puts the table into a page.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from avsync.pipelines.evaluate.sync import read_words
from avsync.tasks.registry import create_model
from avsync.training.recipes.sync.dense_sync import DenseSyncRecipe, train
from benchmarks.markdown_tables import mean_of, put_in, row
from benchmarks.record import machine, read_records, record_path, write_record
from benchmarks.short_run import short_run
from benchmarks.sync.model_comparison import accuracy, test_set
from benchmarks.sync.model_comparison_tables import share_of

FOLDER = "sync/dense_sync_ablation"
# Changes to the full recipe, by the name of what is left out.
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
            if record_path(record).is_file():
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="store of real clips")
    parser.add_argument("--rendered", type=Path, nargs="+", help="stores of rendered clips")
    parser.add_argument(
        "--rendered-share", type=float, default=0.3, help="share of draws from rendered clips"
    )
    parser.add_argument("--splits", type=Path, help="splits of the real clips")
    parser.add_argument(
        "--test", nargs=4, action="append", default=[], metavar=("NAME", "STORE", "SPLIT", "ZERO")
    )
    parser.add_argument("--alignments", type=Path, help="folder of the GRID alignments")
    parser.add_argument("--work", type=Path, help="folder of the training runs")
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=0, help="clips of each test set, 0 for all")
    parser.add_argument("--write", type=Path, help="only write the table of all records to a page")
    options = parser.parse_args()
    if options.write is None and not (options.data and options.rendered and options.work):
        parser.error("training needs --data, --rendered and --work")
    return options


def recipe_of(arm: str, seed: int, options: argparse.Namespace) -> DenseSyncRecipe:
    """Return the full recipe with the changes of an arm."""
    changes = dict(ARMS[arm])
    stores, share = (options.data,), (1.0,)
    if changes.pop("rendered", True):
        store_share = options.rendered_share / len(options.rendered)
        stores = (options.data, *options.rendered)
        share = (1 - options.rendered_share, *[store_share] * len(options.rendered))
    folder = options.work / f"{arm.replace(' ', '_')}_{seed}"
    loop = short_run(folder, options.steps, options.lr, seed, validate_every=0)
    return DenseSyncRecipe(loop, stores, options.splits, share, width=options.width, **changes)


def table() -> list[str]:
    """Return the table of windows within a frame, in per cent, by what is left out."""
    runs = read_records(FOLDER)
    if not runs:
        raise SystemExit("there are no results: run this script with --data first")
    headings = ["run", "seeds", "steps"]
    headings += [f"{test}, {k} frames" for test in runs[0]["tests"] for k in CONTEXTS]
    lines = [row(headings), row(["---"] * len(headings))]
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
