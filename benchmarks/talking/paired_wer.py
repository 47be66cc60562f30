"""Compare the word error rates of two trainings by a paired bootstrap over clips.

    python benchmarks/talking/paired_wer.py --without A0.json A1.json --with B0.json B1.json

The files are written by `avsync evaluate talking --json`, all on the same clips. The n-th files of
both sides share a seed. The interval is the 95 % bootstrap interval of the difference: clips are
resampled with all their transcripts, seeds are not.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from avsync.metrics.word_error_rate import count_word_errors
from benchmarks.record import write_record

DRAWS = 10_000


def main() -> None:
    options = parsed()
    sides = [[read(file) for file in files] for files in (options.without, options.with_)]
    if len({tuple(counts) for side in sides for counts in side}) != 1:
        raise SystemExit("the files must be of the same clips, in the same order")
    # (sides, seeds, clips, edits and words)
    counts = np.array([[list(by_clip.values()) for by_clip in side] for side in sides])
    figures = {"clips": counts.shape[2], "seeds": counts.shape[1], **compare(counts)}
    print(json.dumps(figures, indent=2))
    write_record(f"talking/{options.name}", figures, script="talking/paired_wer")


def read(file: Path) -> dict[str, tuple[int, int]]:
    """Count edits and words of every clip."""
    found = {}
    for row in json.loads(file.read_text(encoding="utf-8"))["per_clip"]:
        errors = count_word_errors(row["said"], row["read"])
        found[row["clip"]] = (errors.edits, errors.words)
    return found


def compare(counts: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Compute the word error rates of both sides, their difference and its interval.

    Args:
        counts: edits and words `(sides, seeds, clips, 2)`.
        seed: seed of the bootstrap.
    """
    edits, words = np.moveaxis(counts, -1, 0)
    rng = np.random.default_rng(seed)
    # A clip is drawn together with all its seeds.
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--without", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--with", dest="with_", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--name", default="paired_wer", help="name of the record")
    options = parser.parse_args()
    if len(options.without) != len(options.with_):
        parser.error("--without and --with need equal numbers of files, one for each seed")
    return options


if __name__ == "__main__":
    main()
