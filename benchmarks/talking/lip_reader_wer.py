"""Measure the word error rate of lip readers on held-out clips.

    python benchmarks/talking/lip_reader_wer.py --data STORE --splits FILE \
        --transcripts FOLDER --corpus-offset-ms MS [--video WEIGHTS] [--audio WEIGHTS] \
        [--both WEIGHTS]

The baseline is a constant transcript: at each position of the sentence the most frequent word. If
the `log.csv` of the training lies beside the weights, its steps and seconds are recorded as well.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from avsync.metrics.word_error_rate import count_word_errors, sum_word_errors
from avsync.pipelines.evaluate.lipreading import LipreadEvaluation, evaluate_lipread, lipread_table
from avsync.tasks.registry import create_model
from benchmarks.record import write_record

INPUTS = {"video": "the video", "audio": "the audio", "both": "video and audio"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True)
    add("--splits", type=Path)
    add("--split", default="test")
    add("--transcripts", type=Path, required=True)
    add("--corpus-offset-ms", "--zero-ms", type=float, default=0.0, help="offset of all clips")
    add("--beam", type=int, default=1)
    for stream in INPUTS:
        add(f"--{stream}", type=Path, help=f"weights of a reader of {INPUTS[stream]}")
    options = parser.parse_args()
    weights = {stream: getattr(options, stream) for stream in INPUTS if getattr(options, stream)}
    if not weights:
        parser.error("name a reader: --video, --audio or --both")
    readers = {stream: measure(options, stream, path) for stream, path in weights.items()}
    about = {"data": options.data.name, "split": options.split, "beam": options.beam}
    print(write_record("talking/lip_reader_wer", {**about, "readers": readers}))


def measure(options: argparse.Namespace, stream: Any, weights: Path) -> dict[str, Any]:
    """Measure one reader of `stream`: `video`, `audio` or `both`."""
    figures = evaluate_lipread(
        LipreadEvaluation(
            options.data,
            options.transcripts,
            weights,
            stream,
            options.splits,
            options.split,
            options.beam,
            options.corpus_offset_ms,
        )
    )
    print(lipread_table(figures), flush=True)
    names = ("clips", "words", "wer", "interval", "substitutions", "deletions", "insertions")
    transcripts = [row["said"] for row in figures["per_clip"]]
    constant = most_frequent_words(transcripts)
    baseline = [count_word_errors(transcript, constant) for transcript in transcripts]
    model = create_model("lip_reader", weights=weights)
    return {
        **{name: figures[name] for name in (*names, "whole_clips", "confused")},
        "knowing_nothing": round(sum_word_errors(baseline).rate, 4),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **read_log(weights.parent / "log.csv"),
    }


def most_frequent_words(transcripts: Sequence[str]) -> str:
    """Return the most frequent word at each position of the transcripts."""
    positions = zip_longest(*(transcript.split() for transcript in transcripts), fillvalue="")
    return " ".join(Counter(words).most_common(1)[0][0] for words in positions).strip()


def read_log(log: Path) -> dict[str, int]:
    """Read steps and seconds of a training from its log; empty if there is no log."""
    if not log.is_file():
        return {}
    with log.open(encoding="utf-8", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    return {"steps": int(last["step"]), "train_seconds": int(last["seconds"])}


if __name__ == "__main__":
    main()
