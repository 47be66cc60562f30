"""How often what is said with a confidence is so; draws docs/concepts/reliability.svg from the
results: `python benchmarks/reliability.py`.
"""

import json
from pathlib import Path

import numpy as np

BINS = 10
ROOT = Path(__file__).parents[1]
Row = tuple[float, float, int]


def reliability(sure: np.ndarray, held: np.ndarray) -> list[Row]:
    """Mean confidence, share that held, and count, of each tenth of [0, 1] that has any."""
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [
        (float(sure[bins == b].mean()), float(held[bins == b].mean()), int((bins == b).sum()))
        for b in range(BINS)
        if (bins == b).any()
    ]


def calibration_error(sure: np.ndarray, held: np.ndarray) -> float:
    """The expected calibration error: mean gap of confidence and truth over the tenths."""
    rows = reliability(sure, held)
    return sum(n * abs(said - true) for said, true, n in rows) / max(len(sure), 1)


def draw(curves: dict[str, list[Row]], path: Path) -> None:
    """Draws what was said against what was so, one line a source; dots as large as they count."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot(
        xlabel="confidence said", ylabel="share within the interval", xlim=(0, 1), ylim=(0, 1.02)
    )
    axes.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="as it should be")
    for name, rows in curves.items():
        said, true, counts = np.array(rows).T
        (line,) = axes.plot(said, true, linewidth=1, label=f"{name}, {int(counts.sum())}")
        axes.scatter(said, true, s=4 + 1.5 * counts, color=line.get_color(), alpha=0.7)
    axes.legend(loc="lower right", frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    results = Path(__file__).parent / "results"
    held_out = json.loads((results / "calibration.json").read_text())["held out"]
    curves = {"stretches of held-out clips, half with another's voice": held_out["reliability"]}
    accuracy = results / "accuracy_ms.json"
    if accuracy.is_file():
        sources = json.loads(accuracy.read_text())["sources"]
        curves |= {name: figures["reliability"] for name, figures in sources.items()}
    draw(curves, ROOT / "docs" / "concepts" / "reliability.svg")


if __name__ == "__main__":
    main()
