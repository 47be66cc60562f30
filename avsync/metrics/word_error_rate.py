"""Word error rate (WER): substitutions, deletions and insertions over the words of a reference.

jiwer finds the minimal edits (Levenshtein, 1966). Over several texts the rate is all edits over all
words, as in papers on speech, not the mean of the rates.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class WordErrors(NamedTuple):
    """Edits from a reference text to a hypothesis.

    Args:
        words: words of the reference.
        substitutions: words replaced by another.
        deletions: words left out.
        insertions: words added.
        swaps: reference and hypothesis word of each substitution.
    """

    words: int
    substitutions: int
    deletions: int
    insertions: int
    swaps: tuple[tuple[str, str], ...] = ()

    @property
    def edits(self) -> int:
        """Total number of edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Word error rate: 0 is right, 1 as bad as no text, more is possible; None if no words."""
        return self.edits / self.words if self.words else None


def count_word_errors(reference: str, hypothesis: str) -> WordErrors:
    """Count the word errors of a hypothesis, ignoring case.

    Args:
        reference: the text that was said.
        hypothesis: the text that was recognised.

    Raises:
        RuntimeError: jiwer is not installed.
    """
    try:
        from jiwer import process_words
    except ImportError as error:
        raise RuntimeError("word error rates need jiwer: pip install 'avsync[evaluate]'") from error
    found = process_words(_normalise(reference), _normalise(hypothesis))
    true, guessed = found.references[0], found.hypotheses[0]
    swaps = tuple(
        (true[part.ref_start_idx + index], guessed[part.hyp_start_idx + index])
        for part in found.alignments[0]
        if part.type == "substitute"
        for index in range(part.ref_end_idx - part.ref_start_idx)
    )
    return WordErrors(len(true), found.substitutions, found.deletions, found.insertions, swaps)


def _normalise(text: str) -> str:
    return " ".join(text.lower().split())


def sum_word_errors(texts: Sequence[WordErrors]) -> WordErrors:
    """Add up the word errors of several texts."""
    return WordErrors(
        sum(errors.words for errors in texts),
        sum(errors.substitutions for errors in texts),
        sum(errors.deletions for errors in texts),
        sum(errors.insertions for errors in texts),
        tuple(swap for errors in texts for swap in errors.swaps),
    )


def word_error_rate_interval(
    texts: Sequence[WordErrors], seed: int = 0, draws: int = 2000
) -> tuple[float, float]:
    """Return the 95 % bootstrap confidence interval of the rate of all texts together.

    Args:
        texts: word errors of each text, at least one of them with a word.
        seed: seed of the bootstrap.
        draws: bootstrap samples.
    """
    counts = np.array([(errors.edits, errors.words) for errors in texts])
    rng = np.random.default_rng(seed)
    edits, words = counts[rng.integers(len(counts), size=(draws, len(counts)))].sum(1).T
    low, high = np.percentile(edits[words > 0] / words[words > 0], [2.5, 97.5])
    return float(low), float(high)
