"""Word error rate of a lip reader on prepared clips: `avsync evaluate lipread`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from avsync.data.corpora.transcripts import Transcript
from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.extras import require_extra
from avsync.metrics.word_error_rate import count_word_errors
from avsync.outputs import JSON_OUTPUT, check_output, write_output
from avsync.pipelines.check.messages import printable
from avsync.pipelines.evaluate.lip_reader_runner import (
    READER_INPUTS,
    ReaderInput,
    aligned_audio,
    check_vocabulary,
    edit_counts,
    join_names,
    load_reader,
    read_clip,
    transcript_between,
    word_error_figures,
)
from avsync.pipelines.progress import progress_bar
from avsync.tasks.lipreading.lip_reader import LipReader

SCHEMA = 1
# Substitutions that the table prints.
MAX_CONFUSED = 5
INPUT_NAMES = {"video": "the lips alone", "audio": "the speech alone", "both": "lips and speech"}


@dataclass(frozen=True)
class LipreadEvaluation:
    """Options of a word error rate measurement on clips with transcripts.

    Args:
        data: a store of prepared clips (`avsync prepare`).
        transcripts: folder of NAME.align or NAME.txt, as for training.
        weights: checkpoint of a lip reader, or of an AV-SyncNet, which contains one.
        streams: what the reader is given: the lips alone, the speech alone, or both.
        splits: JSON file of clip names by split.
        split: which split of that file to measure on.
        beam: beam width of the decoding; 1 is greedy.
        truth_ms: known offset of all clips, such as that of their corpus, subtracted first;
            positive = the audio leads. It moves the audio only.
        unknown: words that the reader's vocabulary cannot write: `refuse` to measure, or `count`
            them as errors.
        json: write the figures and the text read in each clip to this file.
        overwrite: let `json` replace a file that avsync did not write.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="STORE")]
    transcripts: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    weights: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    streams: ReaderInput = "video"
    splits: Path | None = None
    split: str = "test"
    beam: int = 1
    truth_ms: Annotated[float, tyro.conf.arg(aliases=["--corpus-offset-ms"])] = 0.0
    unknown: Literal["refuse", "count"] = "refuse"
    json: Path | None = None
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False

    def __post_init__(self) -> None:
        if self.streams not in READER_INPUTS:
            names = ", ".join(READER_INPUTS)
            raise ValueError(f"streams must be one of {names}, got {self.streams!r}")
        if self.beam < 1:
            raise ValueError(f"beam must be 1 or more, got {self.beam}")
        if self.unknown not in ("refuse", "count"):
            raise ValueError(f"unknown must be refuse or count, got {self.unknown!r}")


def evaluate_lipread(evaluation: LipreadEvaluation) -> dict[str, Any]:
    """Measure the word error rate of a lip reader on prepared clips.

    Returns:
        The figures as plain data, also written to `evaluation.json` if that is given.

    Raises:
        ValueError: a clip has no transcript, or words that the reader cannot write; raised before
            any clip is read.
        RuntimeError: the weights cannot be read or are of another model.
    """
    require_extra("evaluate", "avsync evaluate lipread", ("jiwer",))
    inputs = [path for path in (evaluation.weights, evaluation.splits) if path is not None]
    if evaluation.json is not None:
        check_output(evaluation.json, JSON_OUTPUT, inputs, overwrite=evaluation.overwrite)
    store = Store(evaluation.data)
    indices = clips_of_split(store, evaluation.splits, evaluation.split)
    if not indices:
        raise ValueError(f"store {store.path} holds no clips")
    transcripts = {index: _transcript_of(evaluation, store, index) for index in indices}
    spoken = {index: transcript for index, transcript in transcripts.items() if transcript.words}
    if not spoken:
        raise ValueError(f"no clip of store {store.path} holds a whole word of its transcript")
    reader = load_reader(evaluation.weights)
    if evaluation.unknown == "refuse":
        check_vocabulary(reader, spoken.values())
    rows = list(_read_clips(evaluation, reader, store, spoken))
    figures = {
        "schema": SCHEMA,
        "weights": evaluation.weights.name,
        "data": evaluation.data.name,
        "split": evaluation.split if evaluation.splits else None,
        "streams": evaluation.streams,
        "beam": evaluation.beam,
        "truth_ms": evaluation.truth_ms,
        "clips": len(rows),
        **word_error_figures([(row["said"], row["read"]) for row in rows]),
        "whole_clips": sum(row["said"] == row["read"] for row in rows),
        "wordless": [store.rows[index].id for index in indices if index not in spoken],
        "per_clip": rows,
    }
    if evaluation.json is not None:
        text = json.dumps(figures, indent=2, allow_nan=False) + "\n"
        write_output(evaluation.json, text, JSON_OUTPUT, inputs, overwrite=evaluation.overwrite)
    return figures


def lipread_table(figures: dict[str, Any]) -> str:
    """Format the figures as plain text, the word error rate first."""
    low, high = figures["interval"]
    lines = [
        f"word error rate {100 * figures['wer']:.1f} % (95 %: {100 * low:.1f} to "
        f"{100 * high:.1f}), from {INPUT_NAMES[figures['streams']]}",
        f"{figures['words']} words of {figures['clips']} clips of {figures['data']}: "
        f"{figures['substitutions']} substituted, {figures['deletions']} left out, "
        f"{figures['insertions']} inserted; {figures['whole_clips']} clips without an error",
    ]
    confused = [
        f"{swap['said']} as {swap['read']} ({swap['times']})"
        for swap in figures["confused"][:MAX_CONFUSED]
    ]
    if confused:
        lines.append(f"most confused: {', '.join(confused)}")
    if figures["wordless"]:
        lines.append(f"left out, no whole word in them: {join_names(figures['wordless'])}")
    return "\n".join(map(printable, lines))


def _transcript_of(evaluation: LipreadEvaluation, store: Store, index: int) -> Transcript:
    row = store.rows[index]
    end_s = row.start_s + row.duration_s
    return transcript_between(evaluation.transcripts, row.source, row.start_s, end_s)


def _read_clips(
    evaluation: LipreadEvaluation,
    reader: LipReader,
    store: Store,
    transcripts: dict[int, Transcript],
) -> Iterator[dict[str, Any]]:
    """Yield the true and the read text of each clip, and its edits, as plain data."""
    with progress_bar(f"reading {evaluation.data.name}") as report:
        for number, (index, transcript) in enumerate(transcripts.items(), start=1):
            clip = store[index]
            read = _read_clip(evaluation, reader, clip)
            errors = count_word_errors(transcript.text, read)
            yield {"clip": clip.id, "said": transcript.text, "read": read, **edit_counts(errors)}
            report(number / len(transcripts))


def _read_clip(evaluation: LipreadEvaluation, reader: LipReader, clip: PreparedClip) -> str:
    crops = None if evaluation.streams == "audio" else crops_for(reader.spec, clip)
    wav = None if evaluation.streams == "video" else aligned_audio(clip, evaluation.truth_ms)
    return read_clip(reader, crops, wav, evaluation.beam)
