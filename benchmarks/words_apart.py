"""By how much do two trainings differ in the words that are read wrong?

    python benchmarks/words_apart.py --without A0.json A1.json --with B0.json B1.json

The files are those of `avsync evaluate talking --json`, all of the same clips; the first of each
side share a seed, and so on. The interval holds 95 % of the differences when clips are drawn anew,
each with all its readings: seeds are as they are.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from record import write_record

from avsync.metrics.word_error_rate import count_word_errors

DRAWS = 10_000


def main() -> None:
    options = parsed()
    sides = [[read(file) for file in files] for files in (options.without, options.with_)]
    if len({tuple(each) for side in sides for each in side}) != 1:
        raise SystemExit("the files must be of the same clips, in the same order")
    # (sides, seeds, clips, edits and words)
    counts = np.array([[list(each.values()) for each in side] for side in sides])
    figures = {"clips": counts.shape[2], "seeds": counts.shape[1], **apart(counts)}
    print(json.dumps(figures, indent=2))
    write_record(options.name, figures, script="words_apart")


def read(file: Path) -> dict[str, tuple[int, int]]:
    """Edits and words of every clip."""
    found = {}
    for row in json.loads(file.read_text(encoding="utf-8"))["per_clip"]:
        errors = count_word_errors(row["said"], row["read"])
        found[row["clip"]] = (errors.edits, errors.words)
    return found


def apart(counts: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Word error rates without and with, of all seeds and of each, and their difference."""
    edits, words = np.moveaxis(counts, -1, 0)
    rng = np.random.default_rng(seed)
    # Of every clip, all seeds together.
    picks = rng.integers(counts.shape[2], size=(DRAWS, counts.shape[2]))
    drawn = edits.sum(1)[:, picks].sum(-1) / words.sum(1)[:, picks].sum(-1)
    without, with_ = edits.sum((1, 2)) / words.sum((1, 2))
    low, high = np.percentile(drawn[1] - drawn[0], [2.5, 97.5])
    return {
        "without": round(float(without), 4),
        "with": round(float(with_), 4),
        "difference": round(float(with_ - without), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "by_seed": (edits.sum(2) / words.sum(2)).T.round(4).tolist(),
        "words": int(words[0].sum()),
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--with", dest="with_", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--name", default="words_apart", help="of the record")
    options = parser.parse_args()
    if len(options.without) != len(options.with_):
        parser.error("--without and --with need as many files, a seed each")
    return options


if __name__ == "__main__":
    main()
