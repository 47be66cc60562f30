"""The word error rate of lip readers on clips that they were not trained on.

python benchmarks/lip_reading.py --data STORE --splits FILE --transcripts FOLDER
    --corpus-offset-ms MS [--video WEIGHTS] [--audio WEIGHTS] [--both WEIGHTS]

Beside it what a reader gets that sees and hears nothing, and always writes the words that are said
most often at each place of a sentence. Where a training's `log.csv` lies beside its weights, its
steps and seconds are written down as well.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from record import write_record

from avsync.metrics.word_error_rate import count_word_errors, sum_word_errors
from avsync.pipelines.evaluate.lipreading import LipreadEvaluation, evaluate_lipread, lipread_table
from avsync.tasks.registry import create_model

STREAMS = ("video", "audio", "both")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True)
    add("--splits", type=Path)
    add("--split", default="test")
    add("--transcripts", type=Path, required=True)
    add("--corpus-offset-ms", "--zero-ms", type=float, default=0.0, help="offset of all clips")
    add("--beam", type=int, default=1)
    for stream in STREAMS:
        add(f"--{stream}", type=Path, help="weights of a reader of that")
    asked = parser.parse_args()
    weights = {stream: getattr(asked, stream) for stream in STREAMS if getattr(asked, stream)}
    if not weights:
        parser.error("name a reader: --video, --audio or --both")
    readers = {stream: measured(asked, stream, path) for stream, path in weights.items()}
    about = {"data": asked.data.name, "split": asked.split, "beam": asked.beam}
    print(write_record("lip_reading", {**about, "readers": readers}))


def measured(asked: argparse.Namespace, stream: Any, weights: Path) -> dict[str, Any]:
    """The figures of one reader."""
    figures = evaluate_lipread(
        LipreadEvaluation(
            asked.data,
            asked.transcripts,
            weights,
            stream,
            asked.splits,
            asked.split,
            asked.beam,
            asked.corpus_offset_ms,
        )
    )
    print(lipread_table(figures), flush=True)
    kept = ("clips", "words", "wer", "interval", "substitutions", "deletions", "insertions")
    said = [row["said"] for row in figures["per_clip"]]
    model = create_model("lip_reader", weights=weights)
    return {
        **{name: figures[name] for name in (*kept, "whole_clips", "confused")},
        "knowing_nothing": round(
            sum_word_errors([count_word_errors(s, usual(said)) for s in said]).rate, 4
        ),
        "parameters": sum(each.numel() for each in model.parameters()),
        **training(weights.parent / "log.csv"),
    }


def usual(said: Sequence[str]) -> str:
    """The words that are said most often at each place of these sentences."""
    places = zip_longest(*(each.split() for each in said), fillvalue="")
    return " ".join(Counter(words).most_common(1)[0][0] for words in places).strip()


def training(log: Path) -> dict[str, int]:
    """Steps and seconds of a training, nothing where its log is not there."""
    if not log.is_file():
        return {}
    with log.open(encoding="utf-8", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    return {"steps": int(last["step"]), "train_seconds": int(last["seconds"])}


if __name__ == "__main__":
    main()
