"""Measure what streams, data and speech tokens contribute to face_sync: the same run with others.

    python -m benchmarks.sync.face_sync_ablation --s1 STORE --people STORE --splits FILE
        --research TABLE --open TABLE --two-layers FILE --others STORE --lrs3 STORE
        --cache FOLDER --work FOLDER [--steps 200] [--batch 16] [--seeds 0 1 2]

face_sync is trained from scratch by its recipe, for the same number of steps in all rows, on the
same batches in all rows of the same data and seed. The steps are fewer than those of the released
weights: compare the rows with each other only. Windows within a frame are measured on people who
are not trained on, from cached landmarks and mouths (`cached_windows.py`).
The record is written after every run. A stopped run resumes; a recorded one is skipped. `--write
PAGE` puts the table into a page.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsync.data.cache.mouths import MouthCache
from avsync.encoders.face_sync import MouthPixelEncoder
from avsync.encoders.pretrained.whisper import load_whisper_encoder
from avsync.tasks.sync.face_sync import FaceSync
from avsync.training.engine.batches import MakeBatch
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync import face_sync as recipes
from avsync.training.recipes.sync.face_sync import FaceSyncRecipe
from avsync.training.steps.face_sync import FaceSyncStep
from benchmarks.markdown_tables import put_in, row
from benchmarks.record import commit, machine, read_records, write_record
from benchmarks.sync.cached_windows import measure, strangers
from benchmarks.sync.face_sync_variants import new_model, without
from benchmarks.sync.speech_tokens import (
    LayerTokens,
    MelTokens,
    SpeechTokens,
    StemTokens,
    load_one_layer,
    load_two_layers,
)
from benchmarks.sync.strangers import CONTEXTS

RECORD = "sync/face_sync_ablation"
SHARE = (0.35, 0.65)
VOICE = 0.25
# Batches whose audio the log-mel is whitened by, and the seed they are drawn from.
WHITENED_BATCHES, WHITENED_SEED = 8, 1000


class Arm(NamedTuple):
    """A row that is trained: what differs from face_sync as it is.

    Args:
        blank: visual encoder whose tokens are zeros in training and in the test.
        data: `s1`, `open` or `research`.
        speech: kind of speech tokens.
    """

    blank: str | None = None
    data: str = "research"
    speech: str = "first layer"


ARMS = {
    "base": Arm(),
    "landmarks alone": Arm(blank="pixels"),
    "mouth pixels alone": Arm(blank="landmarks"),
    "GRID s1 alone": Arm(data="s1"),
    "GRID s1 and open people": Arm(data="open"),
    "log-mel": Arm(speech="log-mel"),
    "Whisper's stem": Arm(speech="stem"),
    "Whisper's second layer": Arm(speech="second layer"),
}
# Rows that are not trained: base with tokens of zeros in the test only.
BLANKED = {"base, tested without pixels": "pixels", "base, tested without landmarks": "landmarks"}
ROWS = (*list(ARMS)[:1], *BLANKED, *list(ARMS)[1:])


class KeptBatches:
    """Makes batches once for all runs with the same data and seed, and keeps them in memory.

    Args:
        make_batch: makes a batch.
    """

    def __init__(self, make_batch: MakeBatch) -> None:
        self.make_batch = make_batch
        self.kept: dict[int, tuple[Tensor, ...]] = {}

    def __call__(self, rng: np.random.Generator, draws: torch.Generator) -> tuple[Tensor, ...]:
        # The loop seeds every batch by itself.
        seed = draws.initial_seed()
        if seed not in self.kept:
            self.kept[seed] = self.make_batch(rng, draws)
        return self.kept[seed]


class Parts:
    """What the runs share: stores, their batches, speech tokens and test clips.

    Args:
        options: of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.makers: dict[str, MakeBatch] = {}
        self.chance = 0.0
        self.kept: tuple[tuple[str, int], KeptBatches] | None = None
        self.speech: dict[str, SpeechTokens] = {}
        cache = MouthCache(options.cache / "mouths", MouthPixelEncoder.crop_size)
        self.test = strangers(options.others, options.lrs3, options.people, cache)

    def recipe(self, arm: Arm, loop: LoopSettings) -> FaceSyncRecipe:
        """Return the recipe with the data of an arm."""
        given = self.options
        tables = {"s1": (), "open": (given.open,), "research": (given.research,)}[arm.data]
        stores, share = ((given.s1, given.people), SHARE) if tables else ((given.s1,), ())
        return FaceSyncRecipe(
            loop,
            stores,
            given.splits,
            share,
            batch=given.batch,
            voice=VOICE,
            clean=tables,
            cache=given.cache,
        )

    def batches(self, arm: Arm, loop: LoopSettings) -> MakeBatch:
        """Return what makes the batches of an arm; those of the last data and seed are kept."""
        key = arm.data, loop.seed
        if arm.data not in self.makers:
            recipe, model = self.recipe(arm, loop), new_model(self.tokens("first layer"))
            sources = recipes._sources(recipe, model)
            self.makers[arm.data] = recipes._batches(recipe, sources, model)
            self.chance = recipes._chance(model, sources[0].segments)
        if arm.data != "research":
            return self.makers[arm.data]
        if self.kept is None or self.kept[0] != key:
            self.kept = key, KeptBatches(self.makers[arm.data])
        return self.kept[1]

    def tokens(self, kind: str) -> SpeechTokens:
        """Return speech tokens of a kind, loaded when first used."""
        if kind not in self.speech:
            load: dict[str, Callable[[], MelTokens | StemTokens | LayerTokens]] = {
                "first layer": load_one_layer,
                "second layer": partial(load_two_layers, self.options.two_layers),
                "stem": lambda: StemTokens(load_whisper_encoder()),
                "log-mel": self._mel,
            }
            self.speech[kind] = SpeechTokens(load[kind]()).eval()
        return self.speech[kind]

    def _mel(self) -> MelTokens:
        """Whiten by audio of the research data, the same for all seeds."""
        loop = LoopSettings(self.options.work, seed=WHITENED_SEED)
        self.batches(Arm(), loop)
        rng = np.random.default_rng(WHITENED_SEED)
        draws = torch.Generator().manual_seed(WHITENED_SEED)
        make_batch, mel = self.makers["research"], MelTokens()
        mel.fit(torch.cat([make_batch(rng, draws)[2] for _ in range(WHITENED_BATCHES)]))
        return mel


def main() -> None:
    options = parsed()
    if options.write is not None:
        page, text = options.write.read_text(encoding="utf-8"), "\n".join(table(recorded()))
        options.write.write_text(put_in(page, "face_sync_ablation", text), encoding="utf-8")
        return
    torch.set_num_threads(1)
    print(machine(), flush=True)
    # Of the code that is loaded: the checkout may move on while the runs go on.
    measured, runs = commit(), recorded()
    if any((run["steps"], run["batch"]) != (options.steps, options.batch) for run in runs):
        raise SystemExit(f"{RECORD}.json holds runs of other --steps or --batch")
    parts = Parts(options)
    for seed in options.seeds:
        for name, arm in ARMS.items():
            if any((run["row"], run["seed"]) == (name, seed) for run in runs):
                continue
            runs += [found | {"commit": measured} for found in one_run(parts, name, arm, seed)]
            write_record(RECORD, figures(runs, measured))
    print("\n".join(table(runs)))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--s1", type=Path, help="store of GRID s1 (`--crops mesh`, as all)")
    parser.add_argument("--splits", type=Path, help="splits of GRID s1")
    parser.add_argument("--people", type=Path, help="store of many people")
    parser.add_argument("--research", type=Path, help="clean table of the people of `research`")
    parser.add_argument("--open", type=Path, help="clean table of the open people")
    parser.add_argument("--two-layers", type=Path, help="two layers of Whisper tiny.en")
    parser.add_argument("--others", type=Path, help="store of other GRID speakers")
    parser.add_argument("--lrs3", type=Path, help="store of clips of LRS3")
    parser.add_argument("--cache", type=Path, help="folder of landmarks and mouths")
    parser.add_argument("--work", type=Path, help="folder of the training runs")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--write", type=Path, help="only write the table of the record to a page")
    options = parser.parse_args()
    missing = [name for name, value in vars(options).items() if value is None and name != "write"]
    if options.write is None and missing:
        parser.error(f"training needs --{missing[0].replace('_', '-')}")
    return options


def one_run(parts: Parts, name: str, arm: Arm, seed: int) -> list[dict[str, Any]]:
    """Train and measure an arm; return its row and, of base, those of `BLANKED` too."""
    options, started_s, started_cpu_s = parts.options, time.monotonic(), time.process_time()
    folder = options.work / f"{name.replace(' ', '_')}_{seed}"
    loop = LoopSettings(
        folder,
        steps=options.steps,
        lr=options.lr,
        schedule="cosine",
        warmup=options.steps // 10,
        ema=0.99,
        validate_every=0,
        save_every=50,
        seed=seed,
        device="cpu",
    )
    model = train(parts, arm, loop)
    trained_s, trained_cpu_s = time.monotonic() - started_s, time.process_time() - started_cpu_s
    rows = {name: model}
    if arm == Arm():
        rows |= {blanked: without(model, blank) for blanked, blank in BLANKED.items()}
    found = []
    for row_name, measured in rows.items():
        tests = {source: measure(measured, clips) for source, clips in parts.test.items()}
        print(row_name, seed, {source: value["all"] for source, value in tests.items()}, flush=True)
        found.append({"row": row_name, "seed": seed, "tests": tests})
    cost = {"steps": options.steps, "batch": options.batch}
    cost |= {"train_seconds": round(trained_s), "train_cpu_seconds": round(trained_cpu_s)}
    return [run | cost for run in found]


def train(parts: Parts, arm: Arm, loop: LoopSettings) -> FaceSync:
    """Train an arm, or resume it; return the averaged model in eval mode."""
    batches = parts.batches(arm, loop)
    torch.manual_seed(loop.seed)
    model = new_model(parts.tokens(arm.speech))
    if arm.blank:
        model = without(model, arm.blank)
    first_step = recipes.MARGIN_TOKENS + recipes._tokens_to_middle(model)
    # A clip of which the only stream is left out too would teach nothing.
    dropout = {"stream_dropout": 0.0} if arm.blank else {}
    step = FaceSyncStep(model.train(), first_step, **dropout)
    trained = fit(step, batches, loop, parts.chance, lambda _: {})
    assert isinstance(trained, FaceSyncStep)
    return trained.model.eval()


def recorded() -> list[dict[str, Any]]:
    """Return the runs of the record."""
    group, _, name = RECORD.partition("/")
    return [run for found in read_records(group, name) for run in found["runs"]]


def figures(runs: list[dict[str, Any]], measured: str) -> dict[str, Any]:
    """Return the record: settings, mean and standard deviation of each row, and the runs."""
    trained = [run for run in runs if run["row"] in ARMS]
    return {
        "commit": measured,
        "data": {
            "s1": "GRID s1, the training split of grid_s1_splits.json",
            "open": "s1, and the people of people/open.csv",
            "research": "s1, and the people of people/research.csv",
            "share": SHARE,
        },
        "seeds": sorted({run["seed"] for run in runs}),
        "seconds": sum(run["train_seconds"] for run in trained),
        "contexts": CONTEXTS,
        "rows": {name: summary(runs, name) for name in ROWS if summary(runs, name)},
        "runs": runs,
    }


def summary(runs: list[dict[str, Any]], name: str) -> dict[str, list[tuple[float, float]]]:
    """Return mean and standard deviation over seeds of a row, by test and context."""
    tests = [run["tests"] for run in runs if run["row"] == name]
    return {
        source: [
            (round(float(np.mean(values)), 1), round(float(np.std(values, ddof=1)), 1))
            if len(values) > 1
            else (values[0], 0.0)
            for values in zip(*(test[source]["all"] for test in tests), strict=True)
        ]
        for source in (tests[0] if tests else {})
    }


def table(runs: list[dict[str, Any]]) -> list[str]:
    """Return the table of windows within a frame, mean and standard deviation over seeds."""
    if not runs:
        raise SystemExit("there are no results: run this script with --s1 first")
    sources = list(runs[0]["tests"])
    lines = [row(["%", "seeds", *sources]), row(["---"] * (2 + len(sources)))]
    for name in ROWS:
        found = summary(runs, name)
        seeds = sum(run["row"] == name for run in runs)
        cells = [" / ".join(f"{mean:.1f} ± {sd:.1f}" for mean, sd in found[key]) for key in found]
        if found:
            lines.append(row([name, str(seeds), *cells]))
    return lines


if __name__ == "__main__":
    main()
