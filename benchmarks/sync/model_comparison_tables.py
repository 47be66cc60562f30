"""Make Markdown tables of the records of `model_comparison.py`.

    python benchmarks/sync/model_comparison_tables.py [--size reduced] \
        [--write docs/results/sync_tables.md]

`--write` puts them into a page, between the marks of that size.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.markdown_tables import mean_of, put_in, row, verdict
from benchmarks.record import read_records
from benchmarks.sync.model_comparison_systems import ACAPPELLA_CONTEXTS, LRS2_CONTEXTS, SYSTEMS

Run = dict[str, Any]
# The student of VocaLiST without a teacher.
NO_TEACHER = "mtdvocalist-none"
# Per cent of windows within a frame by chance: 3 of 31 candidates.
CHANCE = 300 / 31


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="reduced", choices=("reduced", "full"))
    parser.add_argument("--write", type=Path, help="page that has the marks of these tables")
    options = parser.parse_args()
    runs = read_records("sync/model_comparison", f"*_{options.size}_*")
    if not runs:
        raise SystemExit("there are no results: run model_comparison.py first")
    text = "\n".join(tables(runs))
    if options.write is None:
        print(text)
    else:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(put_in(page, options.size, text), encoding="utf-8")


def tables(runs: list[Run]) -> list[str]:
    """Make all tables: cost, accuracy by test set, windows and tolerance, efficiency, gains."""
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


def groups(runs: list[Run]) -> dict[tuple[str, int], list[Run]]:
    """Group runs by system and window, in the order of the systems; a run for each seed."""
    found: dict[tuple[str, int], list[Run]] = {}
    for name in SYSTEMS:
        for run in sorted(runs, key=lambda run: (run["window_frames"], run["seed"])):
            if run["system"] == name:
                found.setdefault((name, run["window_frames"]), []).append(run)
    return found


def cost_table(runs: list[Run]) -> list[str]:
    """Make the table of costs and of the offset errors of whole clips on each test set."""
    tests = list(runs[0]["tests"])
    headings = ["system", "window", "parameters", "GFLOP/s", "s/s", "seeds", "steps"]
    headings += [f"{test}: clips within a frame, median ms" for test in tests]
    lines = [row(headings), row(["---"] * len(headings))]
    for (name, window), group in groups(runs).items():
        first = group[0]
        cells = [name, str(window), f"{first['parameters']:,}".replace(",", " ")]
        cells += [f"{first['gflop_per_s']:.3g}", f"{first['seconds_per_s']:.3g}"]
        cells += [str(len(group)), str(first["steps"] or "released")]
        for test in tests:
            within = mean_of([100 * run["tests"][test]["clips_within_a_frame"] for run in group])
            error_ms = np.mean([run["tests"][test]["median_clip_error_ms"] for run in group])
            cells.append(f"{within}, {error_ms:.0f}")
        lines.append(row(cells))
    return lines


def accuracy_table(
    runs: list[Run], test: str, within: int, contexts: tuple[int, ...], windows: str
) -> list[str]:
    """Make the table of per cent of windows within `within` frames, by context.

    Cells are the mean and the 95 % interval over seeds. The last column are published figures of
    the full-size model on another corpus.
    """
    published = "LRS2" if within == 1 else "Acappella"
    headings = ["system", "window", *(f"{k} frames" for k in contexts), f"published, {published}"]
    lines = [row(headings), row(["---"] * len(headings))]
    chance = None
    for (name, window), group in groups(runs).items():
        cells = [name, str(window)]
        for context in contexts:
            values = []
            rule = (context, within, windows)
            for run in group:
                for entry in run["tests"][test]["rows"]:
                    if (entry["context"], entry["within"], entry["windows"]) == rule:
                        values.append(100 * entry["accuracy"])
                        chance = 100 * entry["chance"]
            cells.append(mean_of(values))
        system = SYSTEMS[name]
        known = system.published if within == 1 else system.published_acappella
        cells.append(" ".join("-" if value is None else f"{value:g}" for value in known))
        lines.append(row(cells))
    if chance is not None:
        lines.append(row(["chance", "", *[f"{chance:.1f}"] * len(contexts), ""]))
    return lines


def efficiency_table(runs: list[Run]) -> list[str]:
    """Make the table of accuracy by cost: per cent of 5-frame windows above chance, by GFLOP/s."""
    tests = list(runs[0]["tests"])
    title = "**Accuracy by cost**: per cent of all windows of 5 frames within 1 frame, minus chance"
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
    """Make the table of gains by distillation in per cent of windows within a frame.

    Runs of one seed draw the same batches and are paired. There are no lines without runs of the
    student that has no teacher.
    """
    found = groups(runs)
    baseline = {run["seed"]: run for run in found.get((NO_TEACHER, 5), [])}
    lines = []
    for name, window in found:
        is_student = name.startswith("mtdvocalist") and name != NO_TEACHER
        if window != 5 or not is_student or not baseline:
            continue
        distilled = {run["seed"]: run for run in found[name, window]}
        for test in next(iter(baseline.values()))["tests"]:
            cells = [name, test]
            for context in (5, 15):
                gains = [
                    share_of(distilled[seed], test, context)
                    - share_of(baseline[seed], test, context)
                    for seed in sorted(baseline.keys() & distilled.keys())
                ]
                cells += [mean_of(gains), verdict(gains)]
            lines.append(row(cells))
    if not lines:
        return []
    headings = ["distilled", "test", "5 frames: gain", "verdict", "15 frames: gain", "verdict"]
    title = (
        "**Distillation**: per cent of all windows within 1 frame, minus those of the same student"
        " without a teacher:"
    )
    return ["", title, "", row(headings), row(["---"] * len(headings)), *lines]


def share_of(run: Run, test: str, context: int, windows: str = "all") -> float:
    """Return the per cent of windows within a frame."""
    for entry in run["tests"][test]["rows"]:
        if (entry["context"], entry["within"], entry["windows"]) == (context, 1, windows):
            return 100 * float(entry["accuracy"])
    raise KeyError(f"{test} has no row of {context} frames")


if __name__ == "__main__":
    main()
