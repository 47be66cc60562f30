"""The tables of `sync_accuracy.py`, out of its results, as Markdown.

    python benchmarks/sync_table.py [--size reduced] [--write docs/results/sync_tables.md]

`--write` puts them into a page, between its marks.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS
from scipy.stats import t
from sync_systems import ACAPPELLA_CONTEXTS, LRS2_CONTEXTS, SYSTEMS

Run = dict[str, Any]
# The student of VocaLiST that has no teacher.
ALONE = "mtdvocalist-none"
# Of windows within a frame, per cent: 3 of 31 candidates.
CHANCE = 300 / 31


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="reduced", choices=("reduced", "full"))
    parser.add_argument("--write", type=Path, help="page that has the marks of these tables")
    options = parser.parse_args()
    files = sorted((RESULTS / "sync_accuracy").glob(f"*_{options.size}_*.json"))
    if not files:
        raise SystemExit("there are no results: run sync_accuracy.py first")
    text = "\n".join(tables([json.loads(file.read_text(encoding="utf-8")) for file in files]))
    if options.write is None:
        print(text)
    else:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(put_in(page, options.size, text), encoding="utf-8")


def tables(runs: list[Run]) -> list[str]:
    """All tables: what systems cost, then accuracy by test set, windows and tolerance."""
    lines = cost_table(runs)
    for test, figures in runs[0]["tests"].items():
        for windows in ("all", "inside words"):
            if not any(row["windows"] == windows for row in figures["rows"]):
                continue
            for within, contexts in ((1, LRS2_CONTEXTS), (5, ACAPPELLA_CONTEXTS)):
                which = "all windows" if windows == "all" else "windows inside the words"
                frames = "1 frame" if within == 1 else f"{within} frames"
                lines += ["", f"**{test}**, {which}, right within {frames}, per cent:", ""]
                lines += accuracy_table(runs, test, within, contexts, windows)
    return lines + efficiency_table(runs) + distillation_table(runs)


def put_in(page: str, size: str, text: str) -> str:
    """The page with this text between its marks; ValueError where it has none."""
    begin, end = (f"<!-- {size} tables: {word} -->" for word in ("begin", "end"))
    if begin not in page or end not in page:
        raise ValueError(f"the page must have the marks {begin} and {end}")
    before, after = page.partition(begin)[0], page.partition(end)[2]
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def groups(runs: list[Run]) -> dict[tuple[str, int], list[Run]]:
    """The runs of each system and window, one for each seed, in the order of the systems."""
    found: dict[tuple[str, int], list[Run]] = {}
    for name in SYSTEMS:
        for run in sorted(runs, key=lambda run: (run["window_frames"], run["seed"])):
            if run["system"] == name:
                found.setdefault((name, run["window_frames"]), []).append(run)
    return found


def cost_table(runs: list[Run]) -> list[str]:
    """What each system costs, and how far whole clips are off on each test set."""
    tests = list(runs[0]["tests"])
    heads = ["system", "window", "parameters", "GFLOP/s", "s/s", "seeds", "steps"]
    heads += [f"{test}: clips within a frame, median ms" for test in tests]
    lines = [row(heads), row(["---"] * len(heads))]
    for (name, window), group in groups(runs).items():
        one = group[0]
        cells = [name, str(window), f"{one['parameters']:,}".replace(",", " ")]
        cells += [f"{one['gflop_per_s']:.3g}", f"{one['seconds_per_s']:.3g}"]
        cells += [str(len(group)), str(one["steps"] or "as shipped")]
        for test in tests:
            within = mean_of([100 * run["tests"][test]["clips_within_a_frame"] for run in group])
            off_ms = np.mean([run["tests"][test]["median_clip_error_ms"] for run in group])
            cells.append(f"{within}, {off_ms:.0f}")
        lines.append(row(cells))
    return lines


def accuracy_table(
    runs: list[Run], test: str, within: int, contexts: tuple[int, ...], windows: str
) -> list[str]:
    """Per cent of windows within so many frames by context: mean and 95 % interval over seeds, and
    what was published, on other data and of full size.
    """
    published = "LRS2" if within == 1 else "Acappella"
    heads = ["system", "window", *(f"{k} frames" for k in contexts), f"published, {published}"]
    lines = [row(heads), row(["---"] * len(heads))]
    chance = None
    for (name, window), group in groups(runs).items():
        cells = [name, str(window)]
        for context in contexts:
            values = []
            for run in group:
                for each in run["tests"][test]["rows"]:
                    if (each["context"], each["within"], each["windows"]) == (
                        context,
                        within,
                        windows,
                    ):
                        values.append(100 * each["accuracy"])
                        chance = 100 * each["chance"]
            cells.append(mean_of(values))
        system = SYSTEMS[name]
        known = system.published if within == 1 else system.published_acappella
        cells.append(" ".join("-" if value is None else f"{value:g}" for value in known))
        lines.append(row(cells))
    if chance is not None:
        lines.append(row(["chance", "", *[f"{chance:.1f}"] * len(contexts), ""]))
    return lines


def efficiency_table(runs: list[Run]) -> list[str]:
    """What each system's accuracy costs: per cent of 5-frame windows above chance, by GFLOP/s."""
    tests = list(runs[0]["tests"])
    title = "**Accuracy by cost**: per cent of all windows of 5 frames within 1 frame, less chance"
    lines = ["", f"{title}, by GFLOP per second of video:", ""]
    lines += [row(["system", *tests]), row(["---"] * (1 + len(tests)))]
    for (name, window), group in groups(runs).items():
        if window != 5:
            continue
        cells = [
            mean_of([(share_of(run, test, 5) - CHANCE) / run["gflop_per_s"] for run in group])
            for test in tests
        ]
        lines.append(row([name, *cells]))
    return lines


def distillation_table(runs: list[Run]) -> list[str]:
    """What a teacher adds to the student, seed by seed, of windows within a frame: the two share
    their draws. Nothing where no student learned alone.
    """
    found = groups(runs)
    alone = {run["seed"]: run for run in found.get((ALONE, 5), [])}
    lines = []
    for name, window in found:
        if window != 5 or name == ALONE or not name.startswith("mtdvocalist") or not alone:
            continue
        taught = {run["seed"]: run for run in found[name, window]}
        for test in next(iter(alone.values()))["tests"]:
            cells = [name, test]
            for context in (5, 15):
                gains = [
                    share_of(taught[seed], test, context) - share_of(alone[seed], test, context)
                    for seed in sorted(alone.keys() & taught.keys())
                ]
                cells += [mean_of(gains), verdict(gains)]
            lines.append(row(cells))
    if not lines:
        return []
    heads = ["taught", "test", "5 frames: gain", "verdict", "15 frames: gain", "verdict"]
    title = (
        "**Distillation**: per cent of all windows within 1 frame, less those of the same student"
    )
    return ["", f"{title} alone:", "", row(heads), row(["---"] * len(heads)), *lines]


def share_of(run: Run, test: str, context: int, windows: str = "all") -> float:
    """Per cent of windows within a frame."""
    for each in run["tests"][test]["rows"]:
        if (each["context"], each["within"], each["windows"]) == (context, 1, windows):
            return 100 * float(each["accuracy"])
    raise KeyError(f"{test} has no row of {context} frames")


def verdict(gains: list[float]) -> str:
    """Whether the 95 % interval of the gains holds 0."""
    if len(gains) < 2:
        return "one seed"
    mean, half = np.mean(gains), half_interval(gains)
    return "better" if mean > half else "worse" if mean < -half else "no difference seen"


def half_interval(values: list[float]) -> float:
    """Half the 95 % interval of the mean, by Student's t."""
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)


def mean_of(values: list[float]) -> str:
    """The mean, and by Student's t the 95 % interval over seeds where there are some."""
    if not values:
        return "-"
    # `z` writes what rounds to zero without a sign.
    mean = f"{np.mean(values):z.1f}"
    return mean if len(values) == 1 else f"{mean} ± {half_interval(values):.1f}"


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
