"""Figures of a published protocol as plain data, and as lines of text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from avsync.metrics.sync_accuracy import CANDIDATES
from avsync.scoring.accuracy import resampled_interval
from avsync.scoring.protocol import ProtocolFigures, Published

Row = dict[str, Any]


def published_figures(measured: ProtocolFigures, published: Published, window: int) -> Row:
    """Rows of accuracy by context and tolerance for a model of `window` frames; LSE and PRI.

    ValueError where no clip is long enough.
    """
    if not measured.clips:
        raise ValueError(f"no clip is longer than the {window} frames this model sees at once")
    means = measured.embedding_means()
    return {
        "window_frames": window,
        "windows": [
            accuracy_row("all", context, tolerance, measured.accuracies(context, tolerance))
            | {"averaged": context > window}
            for context in published.contexts_of(window)
            for tolerance in published.tolerances
        ],
        "embedding": None if means is None else means._asdict(),
        "too_short": list(measured.too_short),
    }


def accuracy_row(kind: str, context: int, tolerance: int, shares: Sequence[float]) -> Row:
    """The mean over clips with its interval, and what chance gives."""
    return {
        "windows": kind,
        "context": context,
        "tolerance": tolerance,
        "accuracy": float(np.mean(shares)),
        "interval": list(resampled_interval(shares)),
        "chance": (2 * tolerance + 1) / CANDIDATES,
    }


def accuracy_lines(rows: Sequence[Row]) -> list[str]:
    """A table of accuracy rows."""
    lines = ["windows             context  within   accuracy  95 % interval   chance"]
    for row in rows:
        low, high = row["interval"]
        lines.append(
            f"{row['windows']:<18}  {row['context']:>4} fr.  {row['tolerance']:>2} fr. "
            f"{100 * row['accuracy']:>8.1f} %  {100 * low:5.1f} to {100 * high:5.1f}  "
            f"{100 * row['chance']:>6.1f} %"
        )
    return lines


def published_lines(figures: Row) -> list[str]:
    """The figures of a published protocol in plain text."""
    lines = accuracy_lines(figures["windows"])
    if not any(row["averaged"] for row in figures["windows"]):
        lines.append(f"the model's own context of {figures['window_frames']} frames, not averaged")
    found = figures["embedding"]
    if found is not None:
        lines.append(
            f"embeddings of {figures['model']}: LSE-D {found['lse_d']:.3f}, LSE-C "
            f"{found['lse_c']:.3f}, PRI {found['pri']:.3f} (chance {found['pri_chance']:.3f})"
        )
        if figures["model"] != "syncnet":
            lines.append("LSE as published is that of syncnet only: compare it with nothing else")
    if figures["too_short"]:
        names = ", ".join(figures["too_short"][:5])
        more = len(figures["too_short"]) - 5
        names += f" and {more} more" if more > 0 else ""
        lines.append(f"left out, too short for one window: {names}")
    return lines
