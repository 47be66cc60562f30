import sys

import pytest

from avsync.metrics.word_error_rate import (
    WordErrors,
    count_word_errors,
    sum_word_errors,
    word_error_rate_interval,
)

pytestmark = pytest.mark.arithmetic


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("bin blue at f two now", "bin blue at f two now", (6, 0, 0, 0)),
        ("bin blue at f two now", "bin green at f two now", (6, 1, 0, 0)),
        ("bin blue at f two now", "bin at f two now", (6, 0, 1, 0)),
        ("bin blue at f two now", "bin blue at f two two now", (6, 0, 0, 1)),
        ("bin blue at f two now", "bin green f two two now please", (6, 1, 1, 2)),
        ("bin blue", "", (2, 0, 2, 0)),
        ("", "bin blue", (0, 0, 0, 2)),
    ],
)
def test_minimal_edits_are_counted_by_kind(reference, hypothesis, counts):
    assert count_word_errors(reference, hypothesis)[:4] == counts


def test_the_rate_is_edits_over_words():
    assert (
        count_word_errors("bin blue at f two now", "bin green f two two now please").rate == 4 / 6
    )
    assert count_word_errors("no", "not a single word").rate == 4
    assert count_word_errors("", "word").rate is None


def test_swaps_pair_reference_and_hypothesis_words():
    found = count_word_errors("place red by c five soon", "place red in z five soon now")
    assert found.swaps == (("by", "in"), ("c", "z"))


def test_case_and_spaces_do_not_matter():
    assert count_word_errors(" Bin  BLUE ", "bin blue").edits == 0


def test_texts_are_weighted_by_their_words():
    texts = [
        count_word_errors("no", "yes"),
        count_word_errors("a b c d e f g h i", "a b c d e f g h i"),
    ]
    assert sum_word_errors(texts).rate == 0.1
    assert sum_word_errors(texts).swaps == (("no", "yes"),)


def test_the_interval_is_that_of_a_bootstrap_over_texts():
    # Half of 40 texts of one word are wrong: the rate is binomial, its standard deviation 0.079.
    texts = [WordErrors(1, index % 2, 0, 0) for index in range(40)]
    low, high = word_error_rate_interval(texts)
    assert 0.5 - low == pytest.approx(1.96 * 0.079, abs=0.03)
    assert high - 0.5 == pytest.approx(1.96 * 0.079, abs=0.03)
    assert word_error_rate_interval([WordErrors(6, 1, 1, 1)] * 5) == (0.5, 0.5)


def test_without_jiwer_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(RuntimeError, match=r"pip install 'avsync\[evaluate\]'"):
        count_word_errors("a", "b")
