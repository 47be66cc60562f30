import pytest
import torch

from avsync.fusion.temporal_conv import TemporalConvFusion

torch.manual_seed(0)
JOINED = TemporalConvFusion(5, 3, 4, dim=8, dilations=(1, 2, 4)).eval()


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
    # The middle of token 10 is ten and a half of four steps from the beginning.
    assert abs(float((moved * torch.arange(80)).sum() / moved.sum()) - 42) < 1


def test_between_tokens_there_are_straight_lines():
    tokens = torch.tensor([[[0.0, 4.0, 8.0]]])
    found = JOINED._at_steps(tokens, 13)[0, 0]
    expected = [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 8.0, 8.0]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_tokens_that_are_too_few_are_refused():
    sound, tokens = streams(steps=84, tokens=20)
    with pytest.raises(ValueError, match="must last 84 steps of sound, got 20"):
        JOINED(sound, tokens)


def test_streams_of_two_batches_are_refused():
    sound, tokens = streams()
    with pytest.raises(ValueError, match=r"got \(1, 5, 80\) and \(2, 3, 20\)"):
        JOINED(sound, tokens.repeat(2, 1, 1))
