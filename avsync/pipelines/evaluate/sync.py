"""Accuracy of a sync model on prepared clips: `avsync evaluate sync --data STORE`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.published_protocols import (
    PUBLISHED_PROTOCOLS,
    ProtocolFigures,
    PublishedProtocol,
    measure_published,
)
from avsync.evaluation.sync_accuracy import (
    Accuracy,
    Windows,
    Words,
    bootstrap_interval,
    measure_clips,
)
from avsync.json_files import read_text
from avsync.metrics.sync_accuracy import CANDIDATES
from avsync.outputs import JSON_OUTPUT, check_output, write_output
from avsync.pipelines.check.check_file import resolve_sync_model
from avsync.pipelines.evaluate.lip_reader_runner import join_names
from avsync.pipelines.progress import ProgressCallback, progress_bar
from avsync.scoring.embeddings import SyncModel
from avsync.tasks.calibration import calibration_of

CONTEXTS = (5, 9, 15, 25)
TOLERANCES = (1, 5)
# GRID's alignments count 25000 units a second.
ALIGNMENT_RATE = 25000
SILENT_WORDS = ("sil", "sp")
CLIP_TOLERANCE_MS = 45.0


@dataclass(frozen=True)
class SyncEvaluation:
    """Options to measure a sync model on clips whose offset is known.

    Args:
        data: a store of prepared clips (`avsync prepare`).
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        splits: JSON file of clip names by split.
        split: which split of that file to measure on.
        alignments: folder of word alignments NAME.align in GRID's format; windows inside words are
            then also scored separately.
        protocol: `clips` scores windows and whole clips as `avsync check` would; `lrs2` and
            `acappella` are the published evaluations of these corpora, with their contexts.
        truth_ms: known offset of all clips, such as that of their corpus; positive = the audio
            leads.
        contexts: numbers of frames over which protocol `clips` averages scores.
        json: write the figures to this file.
        overwrite: let `json` replace a file that avsync did not write.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="STORE")]
    model: str = "dense_sync"
    weights: Path | None = None
    splits: Path | None = None
    split: str = "test"
    alignments: Path | None = None
    protocol: Literal["clips", "lrs2", "acappella"] = "clips"
    truth_ms: Annotated[float, tyro.conf.arg(aliases=["--corpus-offset-ms"])] = 0.0
    contexts: tuple[int, ...] = CONTEXTS
    json: Path | None = None
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False

    def __post_init__(self) -> None:
        if self.protocol != "clips" and self.protocol not in PUBLISHED_PROTOCOLS:
            names = ", ".join(["clips", *PUBLISHED_PROTOCOLS])
            raise ValueError(f"protocol must be one of {names}, got {self.protocol!r}")
        if self.protocol != "clips" and (self.alignments or self.contexts != CONTEXTS):
            raise ValueError(
                f"protocol {self.protocol} has its own contexts and uses no alignments: contexts "
                "and alignments are for protocol clips"
            )


def evaluate_sync(evaluation: SyncEvaluation, model: SyncModel | None = None) -> dict[str, Any]:
    """Measure the accuracy of a sync model on prepared clips.

    Args:
        evaluation: what to measure, and on which clips.
        model: a model in eval mode that keeps the contract of a sync task; it replaces the model
            that `evaluation` names.

    Returns:
        The figures as plain data, also written to `evaluation.json` if that is given.

    Raises:
        ValueError: the store has no clips, or none that is long enough.
    """
    inputs = [path for path in (evaluation.weights, evaluation.splits) if path is not None]
    if evaluation.json is not None:
        check_output(evaluation.json, JSON_OUTPUT, inputs, overwrite=evaluation.overwrite)
    store = Store(evaluation.data)
    indices = clips_of_split(store, evaluation.splits, evaluation.split)
    if not indices:
        raise ValueError(f"store {store.path} holds no clips")
    given = evaluation.model if model is None else model
    name, sync_model = resolve_sync_model(given, evaluation.weights)
    with progress_bar(f"evaluating {name}") as report:
        clips = _with_progress(store, indices, report)
        figures = _measure(evaluation, name, sync_model, clips)
    if evaluation.json is not None:
        text = json.dumps(figures, indent=2) + "\n"
        write_output(evaluation.json, text, JSON_OUTPUT, inputs, overwrite=evaluation.overwrite)
    return figures


def sync_table(figures: dict[str, Any]) -> str:
    """Format the figures as a plain-text table."""
    protocol = figures["protocol"]
    lines = [f"{figures['model']} on {figures['clips']} clips of {figures['data']}"]
    if protocol != "clips":
        lines[0] += f", protocol {protocol}"
        return "\n".join(lines + _published_lines(figures))
    lines += _accuracy_lines(figures["windows"])
    for context, share in figures["touching_words"].items():
        lines.append(f"{100 * share:.1f} % of windows touch the words at {context} frames")
    clip = figures["clip_level"]
    lines.append(
        f"whole clips: {clip['within_45_ms']} of {figures['clips']} within 45 ms "
        f"(chance {100 * clip['chance']:.1f} %), {clip['answered']} answered"
    )
    if clip["median_ms"] is not None:
        median_ms, size_ms = clip["median_ms"], clip["mean_abs_ms"]
        lines.append(f"their error: median {median_ms:+.0f} ms, mean size {size_ms:.0f} ms")
    return "\n".join(lines)


def read_words(folder: str | Path) -> Words:
    """Read where the words of each NAME.align in a folder start and end, in seconds.

    Raises:
        ValueError: the folder has no .align files.
    """
    paths = sorted(Path(folder).glob("*.align"))
    if not paths:
        raise ValueError(f"alignments must be a folder of .align files, got {folder}")
    words = {}
    for path in paths:
        try:
            rows = [line.split() for line in read_text(path).splitlines()]
            spoken = [row for row in rows if len(row) == 3 and row[2] not in SILENT_WORDS]
            if spoken:
                first_s, last_s = int(spoken[0][0]), int(spoken[-1][1])
                words[path.stem] = (first_s / ALIGNMENT_RATE, last_s / ALIGNMENT_RATE)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} must have lines of START END WORD: {error}") from error
    return words


def published_figures(
    measured: ProtocolFigures, published: PublishedProtocol, window: int
) -> dict[str, Any]:
    """Collect the figures of a published protocol as plain data.

    Args:
        measured: figures of each clip.
        published: contexts and tolerances of the protocol.
        window: frames that the model sees at once.

    Returns:
        Accuracy by context and tolerance, and the means of LSE and PRI.

    Raises:
        ValueError: no clip is long enough.
    """
    if not measured.clips:
        raise ValueError(f"no clip is longer than the {window} frames this model sees at once")
    means = measured.embedding_means()
    return {
        "window_frames": window,
        "windows": [
            _accuracy_row("all", context, tolerance, measured.accuracies(context, tolerance))
            | {"averaged": context > window}
            for context in published.contexts_of(window)
            for tolerance in published.tolerances
        ],
        "embedding": None if means is None else means._asdict(),
        "too_short": list(measured.too_short),
    }


def _with_progress(
    store: Store, indices: Sequence[int], report: ProgressCallback
) -> Iterator[PreparedClip]:
    """Yield clips, and report the share of frames that are done when the next one is requested."""
    frames = [store.rows[index].frames for index in indices]
    done = 0
    for index, length in zip(indices, frames, strict=True):
        yield store[index]
        done += length
        report(done / sum(frames))


def _measure(
    evaluation: SyncEvaluation, name: str, model: SyncModel, clips: Iterator[PreparedClip]
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "model": name,
        "data": evaluation.data.name,
        "split": evaluation.split if evaluation.splits else None,
        "protocol": evaluation.protocol,
        "truth_ms": evaluation.truth_ms,
    }
    if evaluation.protocol == "clips":
        words = None if evaluation.alignments is None else read_words(evaluation.alignments)
        calibration = calibration_of(model)
        accuracy = measure_clips(
            model, clips, evaluation.contexts, calibration, evaluation.truth_ms, words
        )
        return figures | {"clips": len(accuracy.clips)} | _clip_figures(evaluation, accuracy)
    published = PUBLISHED_PROTOCOLS[evaluation.protocol]
    measured = measure_published(model, clips, published, evaluation.truth_ms)
    rest = published_figures(measured, published, model.spec.window_frames)
    return figures | {"clips": len(measured.clips)} | rest


def _clip_figures(evaluation: SyncEvaluation, accuracy: Accuracy) -> dict[str, Any]:
    """Collect the figures of protocol `clips` as plain data."""
    errors_ms = accuracy.errors_ms()
    kinds: tuple[Windows, ...] = ("all", "away from the ends")
    if evaluation.alignments:
        kinds = (*kinds, "inside words", "touching words")
    rows = [
        _accuracy_row(kind, context, tolerance, shares)
        for kind in kinds
        for context in evaluation.contexts
        for tolerance in TOLERANCES
        # Clips of under 31 windows have none away from their ends.
        if (shares := accuracy.shares(context, tolerance, kind))
    ]
    return {
        "windows": rows,
        "touching_words": {
            str(context): accuracy.touching_share(context)
            for context in evaluation.contexts
            if evaluation.alignments
        },
        "clip_level": {
            "answered": len(errors_ms),
            "within_45_ms": accuracy.clips_within(CLIP_TOLERANCE_MS),
            "chance": CLIP_TOLERANCE_MS / 1000,
            "median_ms": float(np.median(errors_ms)) if len(errors_ms) else None,
            "mean_abs_ms": float(np.abs(errors_ms).mean()) if len(errors_ms) else None,
            "errors_ms": {
                clip.name: None if clip.error_ms is None else round(clip.error_ms, 1)
                for clip in accuracy.clips
            },
        },
    }


def _accuracy_row(
    kind: str, context: int, tolerance: int, shares: Sequence[float]
) -> dict[str, Any]:
    """Return the mean accuracy over clips, its interval, and the accuracy at chance level."""
    return {
        "windows": kind,
        "context": context,
        "tolerance": tolerance,
        "accuracy": float(np.mean(shares)),
        "interval": list(bootstrap_interval(shares)),
        "chance": (2 * tolerance + 1) / CANDIDATES,
    }


def _accuracy_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["windows             context  within   accuracy  95 % interval   chance"]
    for row in rows:
        low, high = row["interval"]
        lines.append(
            f"{row['windows']:<18}  {row['context']:>4} fr.  {row['tolerance']:>2} fr. "
            f"{100 * row['accuracy']:>8.1f} %  {100 * low:5.1f} to {100 * high:5.1f}  "
            f"{100 * row['chance']:>6.1f} %"
        )
    return lines


def _published_lines(figures: dict[str, Any]) -> list[str]:
    lines = _accuracy_lines(figures["windows"])
    if not any(row["averaged"] for row in figures["windows"]):
        lines.append(f"the model's own context of {figures['window_frames']} frames, not averaged")
    means = figures["embedding"]
    if means is not None:
        lines.append(
            f"embeddings of {figures['model']}: LSE-D {means['lse_d']:.3f}, LSE-C "
            f"{means['lse_c']:.3f}, PRI {means['pri']:.3f} (chance {means['pri_chance']:.3f})"
        )
        if figures["model"] != "syncnet":
            lines.append("LSE as published is that of syncnet only: this one is not comparable")
    if figures["too_short"]:
        lines.append(f"left out, too short for one window: {join_names(figures['too_short'])}")
    return lines
