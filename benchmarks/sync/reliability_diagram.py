"""Reliability diagram: confidence against the share of estimates within their interval.

    python benchmarks/sync/reliability_diagram.py

Draws `docs/concepts/reliability.svg` from the results of `calibration.py` and `offset_accuracy.py`.
"""

import json
from pathlib import Path

import numpy as np

from benchmarks.record import record_path

BINS = 10
ROOT = Path(__file__).parents[2]
Bin = tuple[float, float, int]


def reliability(confidences: np.ndarray, covered: np.ndarray) -> list[Bin]:
    """Bin estimates by confidence, in tenths of [0, 1].

    Args:
        confidences: confidences `(n,)` in [0, 1].
        covered: whether the truth lies in the interval of the estimate, `(n,)`.

    Returns:
        Mean confidence, share covered and count of each bin that is not empty.
    """
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    return [
        (
            float(confidences[bins == b].mean()),
            float(covered[bins == b].mean()),
            int((bins == b).sum()),
        )
        for b in range(BINS)
        if (bins == b).any()
    ]


def calibration_error(confidences: np.ndarray, covered: np.ndarray) -> float:
    """Compute the expected calibration error: mean gap of confidence and coverage over the bins."""
    rows = reliability(confidences, covered)
    gaps = sum(count * abs(confidence - share) for confidence, share, count in rows)
    return gaps / max(len(confidences), 1)


def draw(curves: dict[str, list[Bin]], path: Path) -> None:
    """Draw one line for each source; the area of a dot grows with its count."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot(
        xlabel="confidence", ylabel="share within the interval", xlim=(0, 1), ylim=(0, 1.02)
    )
    axes.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="perfect calibration")
    for name, rows in curves.items():
        confidences, shares, counts = np.array(rows).T
        (line,) = axes.plot(confidences, shares, linewidth=1, label=f"{name}, {int(counts.sum())}")
        axes.scatter(confidences, shares, s=4 + 1.5 * counts, color=line.get_color(), alpha=0.7)
    axes.legend(loc="lower right", frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    held_out = json.loads(record_path("sync/calibration").read_text())["held out"]
    curves = {"segments of held-out clips, half with other speech": held_out["reliability"]}
    accuracy = record_path("sync/offset_accuracy")
    if accuracy.is_file():
        sources = json.loads(accuracy.read_text())["sources"]
        curves |= {name: figures["reliability"] for name, figures in sources.items()}
    draw(curves, ROOT / "docs" / "concepts" / "reliability.svg")


if __name__ == "__main__":
    main()
