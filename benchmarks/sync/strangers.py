"""Measure a sync model on people it was not trained on: windows, clips, confident errors.

    python -m benchmarks.sync.strangers --weights FILE --others STORE --lrs3 STORE --people STORE
        [--s1 STORE --splits FILE --alignments FOLDER] [--grid-ms MS] [--record NAME]

The protocol is that of `avsync evaluate sync`: 31 candidates of +-15 frames, right within a frame.
"all" counts every window, of which those near a clip's ends are averaged over a part of the context
only, as the published code does; "whole" counts those whose context lies in the clip.
Stores hold mesh crops (`avsync prepare --crops mesh`). Sources carry offsets of their own, and so:
speakers of GRID are measured about `--grid-ms`; the clips of LRS3 about the median of the model's
answers; validation people each about the offset of their clip in
`benchmarks/results/sync/people/val.csv`, where GRID is at 0.
A whole clip is right within a frame of the same; it is confidently wrong if its confidence is over
0.8 and it is not.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.sync_accuracy import Accuracy, Words, measure_clips
from avsync.metrics.sync_accuracy import WINDOW_FRAMES
from avsync.pipelines.check.check_file import load_model
from avsync.pipelines.evaluate.sync import read_words
from avsync.tasks.calibration import calibration_of
from avsync.timing import FRAME_MS
from benchmarks.record import RESULTS, machine, write_record

CONTEXTS = (5, 15, 25)
CONFIDENT = 0.8
VALIDATION_TABLE = "sync/people/val.csv"


class Source(NamedTuple):
    """Clips, and the offset of each in ms; None if they share one that is not known."""

    clips: list[PreparedClip]
    truth_ms: list[float] | None


def measure(model: Any, source: Source, words: Words | None = None) -> dict[str, Any]:
    """Return the shares of windows, and the counts of clips, that a model gets right."""
    calibration = calibration_of(model)
    truth_ms = source.truth_ms
    if truth_ms is None:
        found = measure_clips(model, source.clips, CONTEXTS[:1], calibration).clips
        peaks = [clip.peak.offset_ms for clip in found if clip.peak is not None]
        truth_ms = [float(np.median(peaks))] * len(source.clips)
    measured = [
        measure_clips(model, [clip], CONTEXTS, calibration, truth, words).clips
        for clip, truth in zip(source.clips, truth_ms, strict=True)
    ]
    return figures(Accuracy(tuple(clip for clips in measured for clip in clips)), truth_ms)


def figures(accuracy: Accuracy, truth_ms: Sequence[float]) -> dict[str, Any]:
    """Collect the figures of clips with these offsets as plain data; shares are in percent."""
    rows: dict[str, Any] = {"clips": len(accuracy.clips), "constant_ms": float(np.median(truth_ms))}
    for name, kind in (("all", "all"), ("away_from_ends", "away from the ends")):
        rows[name] = [percent(accuracy.shares(context, 1, kind)) for context in CONTEXTS]
    rows["whole"] = [percent(whole_contexts(accuracy, context)) for context in CONTEXTS]
    inside = accuracy.shares(CONTEXTS[0], 1, "inside words")
    if inside:
        rows["inside_words_at_5"] = percent(inside)
    errors = [
        None if clip.peak is None else abs(clip.peak.offset_ms - truth)
        for clip, truth in zip(accuracy.clips, truth_ms, strict=True)
    ]
    right = [error is not None and error <= FRAME_MS for error in errors]
    sure = [clip.decision.confidence > CONFIDENT for clip in accuracy.clips]
    return rows | {
        "clips_right": sum(right),
        "clips_answered": len(accuracy.errors_ms()),
        "clips_confident": sum(sure),
        "clips_confidently_wrong": sum(
            is_sure and not is_right for is_sure, is_right in zip(sure, right, strict=True)
        ),
    }


def whole_contexts(accuracy: Accuracy, context: int) -> list[float]:
    """Return the share of right windows of each clip, of those whose context lies in the clip."""
    around = context - WINDOW_FRAMES
    shares = []
    for clip in accuracy.clips:
        errors = clip.errors[context]
        kept = errors[(around + 1) // 2 : len(errors) - around // 2]
        if len(kept):
            shares.append(float((kept.abs() <= 1).float().mean()))
    return shares


def percent(shares: Sequence[float]) -> float | None:
    """Return the mean of shares in percent; None without any."""
    return round(100 * float(np.mean(shares)), 1) if shares else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="face_sync")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--others", type=Path, required=True, help="store of other GRID speakers")
    parser.add_argument("--lrs3", type=Path, required=True)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--s1", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--alignments", type=Path)
    parser.add_argument(
        "--grid-ms", type=float, default=0.0, help="offset of GRID by the zero of the weights"
    )
    parser.add_argument("--record", help="name of the record under results/sync")
    arguments = parser.parse_args()
    model, grid_ms = load_model(arguments.model, arguments.weights), arguments.grid_ms
    people, table = Store(arguments.people), RESULTS / VALIDATION_TABLE
    moved_ms = read_clean_lists([table]).moved_ms
    chosen = [index for index, row in enumerate(people.rows) if row.id in moved_ms]
    others, lrs3 = (list(Store(path)) for path in (arguments.others, arguments.lrs3))
    sources = {
        "other GRID speakers": Source(others, [grid_ms] * len(others)),
        "LRS3": Source(lrs3, None),
        "validation people": Source(
            [people[index] for index in chosen],
            [moved_ms[people.rows[index].id] + grid_ms for index in chosen],
        ),
    }
    words: Words | None = None
    if arguments.s1:
        s1 = Store(arguments.s1)
        clips = [s1[index] for index in clips_of_split(s1, arguments.splits, "test")]
        sources["GRID s1 test"] = Source(clips, [grid_ms] * len(clips))
        words = read_words(arguments.alignments)
    record: dict[str, Any] = {"model": arguments.model, "machine": machine()}
    for name, source in sources.items():
        record[name] = measure(model, source, words if name == "GRID s1 test" else None)
        print(name, record[name], flush=True)
    if arguments.record:
        write_record(f"sync/{arguments.record}", record, script="sync/strangers")


if __name__ == "__main__":
    main()
