import threading
from typing import NamedTuple

import pytest
import torch
from torch import nn

from avsync.scoring import encoding_threads
from avsync.scoring.encoding_threads import analyse, frames_to_analyse, suitable_threads


class Means(NamedTuple):
    mean: torch.Tensor
    looked_at: torch.Tensor


class Analysing(nn.Module):
    """Gives the mean of each chosen frame, and remembers which thread gave it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.threads, self.together = set(), threading.Barrier(2)

    def analyse_frames(self, frames, chosen):
        self.threads.add(threading.get_ident())
        self.together.wait(timeout=20)  # Breaks unless two threads are here at once.
        assert torch.is_inference_mode_enabled()
        return Means(
            (self.weight.sum() / 3 * frames.mean((1, 3, 4))).where(chosen, 0), chosen[None]
        )


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_small_models_run_on_one_thread_and_leave_the_number_as_it_was(two_threads, monkeypatch):
    with suitable_threads(nn.Linear(3, 3)) as threads:
        assert (threads, torch.get_num_threads()) == (2, 1)
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), suitable_threads(nn.Linear(3, 3)):
        raise KeyError
    assert torch.get_num_threads() == 2
    monkeypatch.setattr(encoding_threads, "SMALL_NETWORK", 11)
    with suitable_threads(nn.Linear(3, 3)) as threads:
        assert (threads, torch.get_num_threads()) == (2, 2)


def test_each_thread_analyses_frames_of_its_own_in_order():
    frames = torch.arange(31.0)[None, None, :, None, None].expand(1, 3, 31, 2, 2)
    chosen = torch.arange(31) % 2 == 0
    model = Analysing()
    found = analyse(model, frames, chosen, threads=2)
    assert len(model.threads) == 2
    torch.testing.assert_close(found.mean, torch.arange(31.0).where(chosen, 0))
    assert torch.equal(found.looked_at, chosen)


def test_few_frames_are_not_worth_a_second_thread():
    model = Analysing()
    model.together = threading.Barrier(1)
    frames = torch.rand(1, 3, 8, 2, 2)
    found = analyse(model, frames, torch.ones(8, dtype=torch.bool), threads=2)
    assert model.threads == {threading.get_ident()}
    torch.testing.assert_close(found.mean, frames.mean((0, 1, 3, 4)))
    # Nor is there anything to do for none at all.
    assert len(analyse(model, frames, torch.zeros(8, dtype=torch.bool), threads=2).mean) == 8


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [(False, False, [6, 9]), (True, False, [5, 6, 9]), (False, True, [6, 9, 10])],
)
def test_frames_are_chosen_by_the_numbers_of_their_ticks(begins, ends, expected, monkeypatch):
    monkeypatch.setattr(encoding_threads, "ALL_ANALYSED_TICKS", 4)
    chosen = frames_to_analyse(5, 6, 3, begins, ends)
    assert (5 + chosen.nonzero()[:, 0]).tolist() == expected
    # Of the first four after the face was seen at tick 3, all.
    chosen = frames_to_analyse(5, 6, 3, begins, ends, seen=3)
    assert (5 + chosen.nonzero()[:, 0]).tolist() == sorted({5, 6, *expected})
