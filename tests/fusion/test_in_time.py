import pytest
import torch

from avsync.fusion.in_time import JoinedInTime

torch.manual_seed(0)
JOINED = JoinedInTime(5, 3, dim=8, dilations=(1, 2, 4)).eval()


def streams(steps=80, tokens=20):
    g = torch.Generator().manual_seed(0)
    return torch.randn(1, 5, steps, generator=g), torch.randn(1, 3, tokens, generator=g)


@torch.no_grad()
def test_a_step_hears_as_far_as_it_says():
    sound, tokens = streams()
    changed = sound.clone()
    changed[..., 40] += 1
    moved = (JOINED(changed, tokens) - JOINED(sound, tokens)).abs().amax((0, 1)).nonzero()[:, 0]
    assert JOINED.reach == 7
    assert (int(moved.min()), int(moved.max())) == (33, 47)


@torch.no_grad()
def test_tokens_join_at_their_own_time():
    sound, tokens = streams()
    changed = tokens.clone()
    changed[..., 10] += 1
    moved = (JOINED(sound, changed) - JOINED(sound, tokens)).square().sum((0, 1))
    # Token 10 of 20 is the middle of steps 40 to 43 of 80.
    assert abs(float((moved * torch.arange(80)).sum() / moved.sum()) - 41.5) < 1


@torch.no_grad()
def test_tokens_may_come_at_any_rate():
    sound, tokens = streams(steps=81, tokens=20)
    assert JOINED(sound, tokens).shape == sound.shape


def test_streams_of_two_batches_are_refused():
    sound, tokens = streams()
    with pytest.raises(ValueError, match=r"got \(1, 5, 80\) and \(2, 3, 20\)"):
        JOINED(sound, tokens.repeat(2, 1, 1))
