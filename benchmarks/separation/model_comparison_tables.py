"""Make Markdown tables of the records of `model_comparison.py`.

    python benchmarks/separation/model_comparison_tables.py [--size reduced] [--steps 600] \
        [--write docs/results/separation_tables.md]

`--write` puts them into a page, between the marks of that size and number of steps.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.markdown_tables import mean_of, put_in, row, verdict
from benchmarks.record import read_records
from benchmarks.separation.model_comparison_sets import CLAIM
from benchmarks.separation.model_comparison_systems import SYSTEMS

Run = dict[str, Any]
FIGURES = {
    "SDR": "sdr",
    "SDR gain": "sdr_gain",
    "SIR": "sir",
    "SIR gain": "sir_gain",
    "SIR, second voice a reference": "sir_with_second",
    "gain": "sir_with_second_gain",
    "SAR": "sar",
    "SI-SDR": "si_sdr",
    "SI-SDR gain": "si_sdr_gain",
}
# Systems with the frozen visual encoder of a sync model, and those they are compared with.
FROZEN = (
    "ynet-mr-v-frozen",
    "ynet-mr-s-frozen",
    "ynet-dense-untrained-frozen",
    "ynet-dense-anew-frozen",
    "ynet-dense-frozen",
)
BASELINES = ("u-net", "ynet-mr", "ynet-gr", "ynet-mr-v-end-to-end")
# Expected gain of frozen sync features over the U-Net, in dB.
EXPECTED_DB = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="reduced", choices=("reduced", "full"))
    parser.add_argument("--steps", type=int, default=600, help="training steps of the runs")
    parser.add_argument("--write", type=Path, help="page that has the marks of these tables")
    options = parser.parse_args()
    name = f"{options.size}_{options.steps}"
    runs = read_records("separation/model_comparison", f"*_{name}_*")
    if not runs:
        raise SystemExit(f"there are no results {name}: run model_comparison.py first")
    text = "\n".join(tables(runs))
    if options.write is None:
        print(text)
    else:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(put_in(page, name, text), encoding="utf-8")


def tables(runs: list[Run]) -> list[str]:
    """Make all tables: costs, verdicts, then the figures of each set."""
    found = {
        name: sorted((run for run in runs if run["system"] == name), key=lambda run: run["seed"])
        for name in SYSTEMS
    }
    lines = cost_table(found) + verdict_table(found)
    titles = next(group[0]["tests"] for group in found.values() if group)
    for title in titles:
        lines += ["", f"**{title}**, dB:", "", *set_table(found, title)]
    return lines


def cost_table(found: dict[str, list[Run]]) -> list[str]:
    """Make the table of visual encoders and costs."""
    headings = ["system", "visual encoder", "parameters", "of them trained", "s/s"]
    headings += ["s per step", "steps", "mixtures per step", "seeds"]
    lines = [row(headings), row(["---"] * len(headings))]
    for name, group in found.items():
        encoder = SYSTEMS[name].visual_encoder
        if not group:
            lines.append(row([name, encoder, *["-"] * (len(headings) - 3), "0"]))
            continue
        first = group[0]
        sizes = [f"{first[key]:,}".replace(",", " ") for key in ("parameters", "trainable")]
        cells = [name, encoder, *sizes, f"{first['seconds_per_s']:.3g}"]
        trained = ["-", "released", "-"]
        if first["steps"]:
            step_s = sum(run["train_seconds"] / run["steps"] for run in group) / len(group)
            trained = [f"{step_s:.2g}", str(first["steps"]), str(first["batch"])]
        lines.append(row([*cells, *trained, str(len(group))]))
    return lines


def set_table(found: dict[str, list[Run]], title: str) -> list[str]:
    """Make the table of one test set: mean and 95 % interval over seeds of each figure.

    The first row is the mixture itself. The last column are published figures of two singers on
    another corpus. Figures that no run has are left out.
    """
    known = [run["tests"][title] for group in found.values() for run in group]
    names = {
        heading: key for heading, key in FIGURES.items() if any(key in figures for figures in known)
    }
    headings = ["system", *names, "published SDR / SIR"]
    lines = [row(headings), row(["---"] * len(headings))]
    lines.append(row(["mixture", *mixture(known[0], names), ""]))
    for name, group in found.items():
        if not group:
            continue
        tests = [run["tests"][title] for run in group]
        cells = [mean_of([test[key] for test in tests if key in test]) for key in names.values()]
        published = SYSTEMS[name].published
        cells.append("-" if published is None else f"{published[0]:.2f} / {published[1]:.2f}")
        lines.append(row([name, *cells]))
    return lines


def mixture(figures: dict[str, float], names: dict[str, str]) -> list[str]:
    """Return the figures of the mixture as the estimate; its SAR is not measured."""
    return [
        f"{figures[key] - figures[f'{key}_gain']:.1f}" if f"{key}_gain" in figures else ""
        for key in names.values()
    ]


def verdict_table(found: dict[str, list[Run]]) -> list[str]:
    """Make the table of SDR gains of frozen sync features on two voices, paired by seed.

    There are no lines without pairs of runs.
    """
    lines = []
    for test_set in CLAIM:
        for name in FROZEN:
            for other in BASELINES:
                gains = paired(found[name], found[other], test_set.title)
                if not gains:
                    continue
                text = verdict(gains)
                if other == "u-net":
                    enough = sum(gains) / len(gains) >= EXPECTED_DB
                    text += f", {'at least' if enough else 'less than'} {EXPECTED_DB:g} dB"
                lines.append(row([test_set.title, name, other, mean_of(gains), text]))
    if not lines:
        return []
    headings = ["mixtures", "frozen sync features", "baseline", "SDR gain, dB", "verdict"]
    title = "**Frozen sync features against audio alone and end-to-end visual encoders**"
    lines = [row(headings), row(["---"] * len(headings)), *lines]
    return ["", f"{title}, paired by seed:", "", *lines]


def paired(runs: list[Run], others: list[Run], title: str) -> list[float]:
    """Return the differences in SDR for the seeds that both systems have."""
    known = {run["seed"]: run["tests"][title]["sdr"] for run in others}
    return [run["tests"][title]["sdr"] - known[run["seed"]] for run in runs if run["seed"] in known]


if __name__ == "__main__":
    main()
