import math

import pytest
import torch

from avsync.training.steps.encoder_alignment import Alignment

pytestmark = pytest.mark.arithmetic

LABELS = torch.tensor([1.0, 0, 1, 0])


def gradients(video, audio, labels, weight=1.0):
    """What the alignment alone asks of the tokens."""
    video, audio = video.clone().requires_grad_(), audio.clone().requires_grad_()
    loss = Alignment(weight)(torch.zeros(()), video, audio, labels)
    assert loss.item() == 0
    loss.backward()
    return video.grad, audio.grad


def test_a_window_is_drawn_to_its_own_sound_and_from_all_others():
    # Two windows with two audio streams each: the first is its own. All look alike as yet.
    video, audio = torch.ones(2, 5, 4), torch.ones(4, 16, 4)
    audio[0] += torch.tensor([1.0, 0, 0, 0])
    audio[1] += torch.tensor([0, 1.0, 0, 0])
    asked, _ = gradients(video, audio, LABELS)
    step = -asked[0].sum(0)
    assert step[0] > 0 > step[1]
    # The other window is drawn away from what is not its own.
    assert -asked[1].sum(0)[0] < 0


def test_windows_that_come_once_and_twice_are_asked_the_same():
    torch.manual_seed(0)
    video, audio = torch.rand(2, 5, 4), torch.rand(4, 16, 4)
    once, heard = gradients(video, audio, LABELS)
    twice, heard_twice = gradients(video.repeat_interleave(2, 0), audio, LABELS)
    torch.testing.assert_close(once, twice[::2] + twice[1::2])
    torch.testing.assert_close(heard, heard_twice)


def test_the_criterion_is_info_nce_both_ways(monkeypatch):
    alignment, seen = Alignment(1.0), []
    real = alignment.criterion.forward
    monkeypatch.setattr(
        alignment.criterion, "forward", lambda *a: seen.append(real(*a)) or seen[-1]
    )
    alignment(torch.zeros(()), torch.ones(2, 5, 4), torch.ones(4, 16, 4), LABELS)
    # All alike: one of four audio streams, one of two windows.
    assert [each.item() for each in seen] == pytest.approx([math.log(4), math.log(2)])


def test_batches_without_pairs_in_sync_are_left_alone():
    loss = torch.ones((), requires_grad=True)
    assert Alignment(1.0)(loss, torch.rand(2, 5, 4), torch.rand(2, 16, 4), torch.zeros(2)) is loss
    assert Alignment(0.0)(loss, torch.rand(2, 5, 4), torch.rand(2, 16, 4), torch.ones(2)) is loss
