"""The tables of `separation.py`, out of its results, as Markdown.

    python benchmarks/separation_table.py [--size reduced] [--steps 600] \
        [--write docs/results/separation_tables.md]

`--write` puts them into a page, between the marks of that size and number of steps.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from record import RESULTS
from separation_sets import CLAIM
from separation_systems import SYSTEMS
from sync_table import mean_of, put_in, row, verdict

Run = dict[str, Any]
FIGURES = {
    "SDR": "sdr",
    "SDR gained": "sdr_gain",
    "SIR": "sir",
    "SIR gained": "sir_gain",
    "SIR, second voice a reference": "sir_with_second",
    "gained": "sir_with_second_gain",
    "SAR": "sar",
    "SI-SDR": "si_sdr",
    "SI-SDR gained": "si_sdr_gain",
}
# Those that see with the eyes of a sync model, and what they are held against.
FROZEN = (
    "ynet-mr-v-frozen",
    "ynet-mr-s-frozen",
    "ynet-dense-untrained-frozen",
    "ynet-dense-anew-frozen",
    "ynet-dense-frozen",
)
AGAINST = ("u-net", "ynet-mr", "ynet-gr", "ynet-mr-v-end-to-end")
# What frozen sync features are expected to gain on the U-Net, dB.
WANTED_DB = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="reduced", choices=("reduced", "full"))
    parser.add_argument("--steps", type=int, default=600, help="of the runs that are compared")
    parser.add_argument("--write", type=Path, help="page that has the marks of these tables")
    options = parser.parse_args()
    runs = f"{options.size}_{options.steps}"
    files = sorted((RESULTS / "separation").glob(f"*_{runs}_*.json"))
    if not files:
        raise SystemExit(f"there are no results {runs}: run separation.py first")
    text = "\n".join(tables([json.loads(file.read_text(encoding="utf-8")) for file in files]))
    if options.write is None:
        print(text)
    else:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(put_in(page, runs, text), encoding="utf-8")


def tables(runs: list[Run]) -> list[str]:
    """All tables: what systems cost, the verdicts, then the figures of each set."""
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
    """What each system sees with, and what it costs."""
    heads = ["system", "sees with", "parameters", "of them trained", "s/s"]
    heads += ["s per step", "steps", "mixtures per step", "seeds"]
    lines = [row(heads), row(["---"] * len(heads))]
    for name, group in found.items():
        if not group:
            lines.append(row([name, SYSTEMS[name].sees, *["-"] * (len(heads) - 3), "0"]))
            continue
        one = group[0]
        sizes = [f"{one[key]:,}".replace(",", " ") for key in ("parameters", "trainable")]
        cells = [name, SYSTEMS[name].sees, *sizes, f"{one['seconds_per_s']:.3g}"]
        trained = ["-", "as shipped", "-"]
        if one["steps"]:
            step_s = sum(run["train_seconds"] / run["steps"] for run in group) / len(group)
            trained = [f"{step_s:.2g}", str(one["steps"]), str(one["batch"])]
        lines.append(row([*cells, *trained, str(len(group))]))
    return lines


def set_table(found: dict[str, list[Run]], title: str) -> list[str]:
    """Mean and 95 % interval over seeds of each figure, the mixture's own, and what was published
    of two singers on other data; a figure that is of no set is left out.
    """
    known = [run["tests"][title] for group in found.values() for run in group]
    names = {head: key for head, key in FIGURES.items() if any(key in each for each in known)}
    heads = ["system", *names, "published SDR / SIR"]
    lines = [row(heads), row(["---"] * len(heads)), row(["mixture", *mixture(known[0], names), ""])]
    for name, group in found.items():
        if not group:
            continue
        tests = [run["tests"][title] for run in group]
        cells = [mean_of([each[key] for each in tests if key in each]) for key in names.values()]
        published = SYSTEMS[name].published
        said = "-" if published is None else f"{published[0]:.2f} / {published[1]:.2f}"
        lines.append(row([name, *cells, said]))
    return lines


def mixture(figures: dict[str, float], names: dict[str, str]) -> list[str]:
    """The figures of the mixture taken for an estimate; its SAR is not measured."""
    return [
        f"{figures[key] - figures[f'{key}_gain']:.1f}" if f"{key}_gain" in figures else ""
        for key in names.values()
    ]


def verdict_table(found: dict[str, list[Run]]) -> list[str]:
    """What frozen sync features gain in SDR on mixtures of two voices, paired by seed; nothing
    where there is nothing to pair.
    """
    lines = []
    for plan in CLAIM:
        for name in FROZEN:
            for other in AGAINST:
                gains = paired(found[name], found[other], plan.title)
                if not gains:
                    continue
                said = verdict(gains)
                if other == "u-net":
                    enough = sum(gains) / len(gains) >= WANTED_DB
                    said += f", {'at least' if enough else 'less than'} {WANTED_DB:g} dB"
                lines.append(row([plan.title, name, other, mean_of(gains), said]))
    if not lines:
        return []
    heads = ["mixtures", "frozen sync features", "against", "SDR, dB more", "verdict"]
    title = "**Frozen sync features against the sound alone and against eyes trained end to end**"
    return ["", f"{title}, paired by seed:", "", row(heads), row(["---"] * len(heads)), *lines]


def paired(runs: list[Run], others: list[Run], title: str) -> list[float]:
    """Differences in SDR of the seeds that both have."""
    known = {run["seed"]: run["tests"][title]["sdr"] for run in others}
    return [run["tests"][title]["sdr"] - known[run["seed"]] for run in runs if run["seed"] in known]


if __name__ == "__main__":
    main()
