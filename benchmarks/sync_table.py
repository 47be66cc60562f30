"""The tables of `sync_accuracy.py`, out of its results, as Markdown.

python benchmarks/sync_table.py [--size reduced] [--windows "inside words"]
"""

import argparse
import json
from typing import Any

import numpy as np
from record import RESULTS
from scipy.stats import t
from sync_systems import ACAPPELLA_CONTEXTS, LRS2_CONTEXTS, SYSTEMS

Run = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="reduced", choices=("reduced", "full"))
    parser.add_argument("--windows", default="all", choices=("all", "inside words"))
    options = parser.parse_args()
    files = sorted((RESULTS / "sync_accuracy").glob(f"*_{options.size}_*.json"))
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if not runs:
        raise SystemExit("there are no results: run sync_accuracy.py first")
    print("\n".join(cost_table(runs)))
    for test in runs[0]["tests"]:
        for within, contexts in ((1, LRS2_CONTEXTS), (5, ACAPPELLA_CONTEXTS)):
            print(f"\n{test}, {options.windows} windows, within {within}:\n")
            print("\n".join(accuracy_table(runs, test, within, contexts, options.windows)))


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
        cells += [str(len(group)), str(one["steps"])]
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


def mean_of(values: list[float]) -> str:
    """The mean, and by Student's t the 95 % interval over seeds where there are some."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.1f}"
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.1f} ± {half:.1f}"


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
