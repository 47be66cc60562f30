"""Word error rate: how many words must be changed, left out or put in to make one text of another.

The least such edits are found by jiwer (Levenshtein, 1966). Over several texts the rate is all
edits over all words, as papers on speech give it, not the mean of the rates.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class WordErrors(NamedTuple):
    """What is wrong with texts of `words` words, and which words were read as which others."""

    words: int
    substitutions: int
    deletions: int
    insertions: int
    swaps: tuple[tuple[str, str], ...] = ()

    @property
    def edits(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Edits over words: 0 is right, 1 as bad as no text, more is possible; None for no word."""
        return self.edits / self.words if self.words else None


def word_errors(said: str, read: str) -> WordErrors:
    """Compares a text with what was said, word by word, both in lower case.

    RuntimeError where jiwer is not installed.
    """
    try:
        from jiwer import process_words
    except ImportError as error:
        raise RuntimeError("word error rates need jiwer: pip install 'avsync[evaluate]'") from error
    found = process_words(" ".join(said.lower().split()), " ".join(read.lower().split()))
    true, guessed = found.references[0], found.hypotheses[0]
    swaps = tuple(
        (true[part.ref_start_idx + place], guessed[part.hyp_start_idx + place])
        for part in found.alignments[0]
        if part.type == "substitute"
        for place in range(part.ref_end_idx - part.ref_start_idx)
    )
    return WordErrors(len(true), found.substitutions, found.deletions, found.insertions, swaps)


def sum_word_errors(texts: Sequence[WordErrors]) -> WordErrors:
    """What is wrong with several texts together."""
    return WordErrors(
        sum(each.words for each in texts),
        sum(each.substitutions for each in texts),
        sum(each.deletions for each in texts),
        sum(each.insertions for each in texts),
        tuple(swap for each in texts for swap in each.swaps),
    )


def word_error_rate_interval(
    texts: Sequence[WordErrors], seed: int = 0, draws: int = 2000
) -> tuple[float, float]:
    """The central 95 % of the rate of all texts together, over texts drawn anew with replacement.

    Texts without a word must not be all there is.
    """
    counts = np.array([(each.edits, each.words) for each in texts])
    rng = np.random.default_rng(seed)
    edits, words = counts[rng.integers(len(counts), size=(draws, len(counts)))].sum(1).T
    low, high = np.percentile(edits[words > 0] / words[words > 0], [2.5, 97.5])
    return float(low), float(high)
