"""The word error rate of a lip reader on prepared clips: `avsync evaluate lipread`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from avsync.atomic import write_text
from avsync.data.corpora.transcripts import Transcript
from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.metrics.word_error_rate import count_word_errors
from avsync.pipelines.check.messages import printable
from avsync.pipelines.evaluate.lip_reader_runner import (
    STREAMS,
    Streams,
    counts_of,
    listed,
    load_reader,
    moved,
    read_clip,
    reading_figures,
    refuse_unknown,
    said_between,
)
from avsync.pipelines.progress import progress_bar
from avsync.tasks.lipreading.lip_reader import LipReader

SCHEMA = 1
SHOWN = 5
FROM = {"video": "the lips alone", "audio": "the voice alone", "both": "lips and voice"}


@dataclass(frozen=True)
class LipreadEvaluation:
    """Counts the words that a lip reader gets wrong in clips whose words are known.

    Args:
        data: a store of prepared clips (`avsync prepare`).
        transcripts: folder of NAME.align or NAME.txt, as for training.
        weights: a lip reader's checkpoint, or an AV-SyncNet's, which has one inside.
        streams: what the reader is shown: the lips alone, the voice alone, or both.
        splits: JSON file of clip names by split.
        split: which split of that file to measure on.
        beam: texts that are grown side by side; 1 is greedy.
        truth_ms: the offset of all clips, such as the one their corpus carries, taken off first;
            positive = the audio leads. It moves the audio only.
        unknown: what becomes of words that the reader cannot write: `refuse` to measure, or `count`
            them, which it must get wrong.
        json: write the figures here, and what was read in every clip.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="STORE")]
    transcripts: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    weights: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    streams: Streams = "video"
    splits: Path | None = None
    split: str = "test"
    beam: int = 1
    truth_ms: Annotated[float, tyro.conf.arg(aliases=["--corpus-offset-ms"])] = 0.0
    unknown: Literal["refuse", "count"] = "refuse"
    json: Path | None = None

    def __post_init__(self) -> None:
        if self.streams not in STREAMS:
            raise ValueError(f"streams must be one of {', '.join(STREAMS)}, got {self.streams!r}")
        if self.beam < 1:
            raise ValueError(f"beam must be 1 or more, got {self.beam}")
        if self.unknown not in ("refuse", "count"):
            raise ValueError(f"unknown must be refuse or count, got {self.unknown!r}")


def evaluate_lipread(evaluation: LipreadEvaluation) -> dict[str, Any]:
    """Run the evaluation; figures as plain data, written to `json` where that is given.

    ValueError where a clip has no transcript, or words that the reader cannot write; before any
    clip is read.
    """
    store = Store(evaluation.data)
    places = clips_of_split(store, evaluation.splits, evaluation.split)
    if not places:
        raise ValueError(f"store {store.path} holds no clips")
    # What lacks jiwer is told before an hour of reading.
    count_word_errors("", "")
    said = {place: _said(evaluation, store, place) for place in places}
    spoken = {place: each for place, each in said.items() if each.words}
    if not spoken:
        raise ValueError(f"no clip of store {store.path} holds a whole word of its transcript")
    reader = load_reader(evaluation.weights)
    if evaluation.unknown == "refuse":
        refuse_unknown(reader, spoken.values())
    rows = list(_read(evaluation, reader, store, spoken))
    figures = {
        "schema": SCHEMA,
        "weights": evaluation.weights.name,
        "data": evaluation.data.name,
        "split": evaluation.split if evaluation.splits else None,
        "streams": evaluation.streams,
        "beam": evaluation.beam,
        "truth_ms": evaluation.truth_ms,
        "clips": len(rows),
        **reading_figures([(row["said"], row["read"]) for row in rows]),
        "whole_clips": sum(row["said"] == row["read"] for row in rows),
        "wordless": [store.rows[place].id for place in places if place not in spoken],
        "per_clip": rows,
    }
    if evaluation.json is not None:
        write_text(evaluation.json, json.dumps(figures, indent=2, allow_nan=False) + "\n")
    return figures


def lipread_table(figures: dict[str, Any]) -> str:
    """Return the figures in plain text, the verdict first."""
    low, high = figures["interval"]
    lines = [
        f"word error rate {100 * figures['wer']:.1f} % (95 %: {100 * low:.1f} to "
        f"{100 * high:.1f}), from {FROM[figures['streams']]}",
        f"{figures['words']} words of {figures['clips']} clips of {figures['data']}: "
        f"{figures['substitutions']} read as others, {figures['deletions']} left out, "
        f"{figures['insertions']} put in; {figures['whole_clips']} clips without an error",
    ]
    swaps = [
        f"{each['said']} as {each['read']} ({each['times']})"
        for each in figures["confused"][:SHOWN]
    ]
    if swaps:
        lines.append(f"most confused: {', '.join(swaps)}")
    if figures["wordless"]:
        lines.append(f"left out, no whole word in them: {listed(figures['wordless'])}")
    return "\n".join(map(printable, lines))


def _said(evaluation: LipreadEvaluation, store: Store, place: int) -> Transcript:
    row = store.rows[place]
    end_s = row.start_s + row.duration_s
    return said_between(evaluation.transcripts, row.source, row.start_s, end_s)


def _read(
    evaluation: LipreadEvaluation, reader: LipReader, store: Store, said: dict[int, Transcript]
) -> Iterator[dict[str, Any]]:
    """Yield a row of plain data for every clip: what is said, what is read, how wrong that is."""
    with progress_bar(f"reading {evaluation.data.name}") as report:
        for number, (place, transcript) in enumerate(said.items(), start=1):
            clip = store[place]
            read = _read_clip(evaluation, reader, clip)
            found = count_word_errors(transcript.text, read)
            yield {"clip": clip.id, "said": transcript.text, "read": read, **counts_of(found)}
            report(number / len(said))


def _read_clip(evaluation: LipreadEvaluation, reader: LipReader, clip: PreparedClip) -> str:
    crops = None if evaluation.streams == "audio" else crops_for(reader.spec, clip)
    wav = None if evaluation.streams == "video" else moved(clip, evaluation.truth_ms)
    return read_clip(reader, crops, wav, evaluation.beam)
