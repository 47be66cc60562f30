import pytest
import torch

from avsync.tasks.lipreading.lip_reader import beam_search

# Probabilities of END, a and b after each text.
TABLE = {
    (): (0.0, 0.6, 0.4),
    (1,): (0.1, 0.5, 0.4),
    (2,): (0.9, 0.05, 0.05),
}


def follows(texts):
    rows = [TABLE.get(tuple(text[1:]), (0.34, 0.33, 0.33)) for text in texts.tolist()]
    return torch.tensor(rows).log()


def test_greedy_takes_the_likeliest_symbol_each_time():
    assert beam_search(follows, beam=1, longest=10) == [1, 1]


def test_a_beam_finds_the_likelier_text():
    # b: 0.4 * 0.9 over two symbols; a a: 0.6 * 0.5 * 0.34 over three.
    assert beam_search(follows, beam=2, longest=10) == [2]


def test_a_text_that_does_not_end_is_cut():
    never = torch.tensor([[0.0, 1.0, 0.0]]).log()
    assert beam_search(lambda texts: never.expand(len(texts), 3), longest=4) == [1, 1, 1, 1]


def test_an_empty_text_can_be_the_likeliest():
    silent = torch.tensor([[0.9, 0.1]]).log()
    assert beam_search(lambda texts: silent.expand(len(texts), 2), beam=2) == []


def test_a_beam_of_zero_is_refused():
    with pytest.raises(ValueError, match="beam and longest must be 1 or more, got 0 and 5"):
        beam_search(follows, beam=0, longest=5)
