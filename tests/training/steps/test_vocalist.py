import math

import pytest
import torch

from avsync.training.steps.vocalist import EncoderAlignmentLoss

pytestmark = pytest.mark.arithmetic

LABELS = torch.tensor([1.0, 0, 1, 0])


def gradients(video, audio, labels, weight=1.0):
    """Return the gradients of the alignment alone with respect to the tokens."""
    video, audio = video.clone().requires_grad_(), audio.clone().requires_grad_()
    loss = EncoderAlignmentLoss(weight)(torch.zeros(()), video, audio, labels)
    assert loss.item() == 0
    loss.backward()
    return video.grad, audio.grad


def test_a_window_is_pulled_to_its_own_audio_and_from_all_others():
    # Two windows with two audio streams each: the first is its own. All are equal as yet.
    video, audio = torch.ones(2, 5, 4), torch.ones(4, 16, 4)
    audio[0] += torch.tensor([1.0, 0, 0, 0])
    audio[1] += torch.tensor([0, 1.0, 0, 0])
    gradient, _ = gradients(video, audio, LABELS)
    step = -gradient[0].sum(0)
    assert step[0] > 0 > step[1]
    # The other window is pushed away from what is not its own.
    assert -gradient[1].sum(0)[0] < 0


def test_windows_that_come_once_and_twice_get_equal_gradients():
    torch.manual_seed(0)
    video, audio = torch.rand(2, 5, 4), torch.rand(4, 16, 4)
    once, audio_once = gradients(video, audio, LABELS)
    twice, audio_twice = gradients(video.repeat_interleave(2, 0), audio, LABELS)
    torch.testing.assert_close(once, twice[::2] + twice[1::2])
    torch.testing.assert_close(audio_once, audio_twice)


def test_the_criterion_is_info_nce_both_ways(monkeypatch):
    alignment, seen = EncoderAlignmentLoss(1.0), []
    real = alignment.criterion.forward
    monkeypatch.setattr(
        alignment.criterion, "forward", lambda *a: seen.append(real(*a)) or seen[-1]
    )
    alignment(torch.zeros(()), torch.ones(2, 5, 4), torch.ones(4, 16, 4), LABELS)
    # All equal: one of four audio streams, one of two windows.
    assert [loss.item() for loss in seen] == pytest.approx([math.log(4), math.log(2)])


def test_batches_without_pairs_in_sync_are_left_alone():
    loss = torch.ones((), requires_grad=True)
    assert (
        EncoderAlignmentLoss(1.0)(loss, torch.rand(2, 5, 4), torch.rand(2, 16, 4), torch.zeros(2))
        is loss
    )
    assert (
        EncoderAlignmentLoss(0.0)(loss, torch.rand(2, 5, 4), torch.rand(2, 16, 4), torch.ones(2))
        is loss
    )
