import sys

import pytest

from avsync.metrics.word_errors import (
    WordErrors,
    sum_word_errors,
    word_error_rate_interval,
    word_errors,
)


@pytest.mark.parametrize(
    ("said", "read", "counts"),
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
def test_the_least_edits_are_counted_by_kind(said, read, counts):
    assert word_errors(said, read)[:4] == counts


def test_the_rate_is_edits_over_words():
    assert word_errors("bin blue at f two now", "bin green f two two now please").rate == 4 / 6
    assert word_errors("no", "not a single word").rate == 4
    assert word_errors("", "word").rate is None


def test_what_was_read_for_what_is_known():
    found = word_errors("place red by c five soon", "place red in z five soon now")
    assert found.swaps == (("by", "in"), ("c", "z"))


def test_case_and_spaces_do_not_matter():
    assert word_errors(" Bin  BLUE ", "bin blue").edits == 0


def test_long_texts_weigh_more_than_short_ones():
    texts = [word_errors("no", "yes"), word_errors("a b c d e f g h i", "a b c d e f g h i")]
    assert sum_word_errors(texts).rate == 0.1
    assert sum_word_errors(texts).swaps == (("no", "yes"),)


def test_the_interval_is_that_of_texts_drawn_anew():
    # Half of 40 texts of one word are wrong: the rate is binomial, its standard deviation 0.079.
    texts = [WordErrors(1, place % 2, 0, 0) for place in range(40)]
    low, high = word_error_rate_interval(texts)
    assert 0.5 - low == pytest.approx(1.96 * 0.079, abs=0.03)
    assert high - 0.5 == pytest.approx(1.96 * 0.079, abs=0.03)
    assert word_error_rate_interval([WordErrors(6, 1, 1, 1)] * 5) == (0.5, 0.5)


def test_without_jiwer_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(RuntimeError, match=r"pip install 'avsync\[evaluate\]'"):
        word_errors("a", "b")
