import pytest
import torch

from avsync.fusion.temporal_conv import TemporalConvFusion

pytestmark = pytest.mark.arithmetic

torch.manual_seed(0)
FUSION = TemporalConvFusion(5, 3, 4, dim=8, dilations=(1, 2, 4)).eval()


def streams(steps=80, tokens=20):
    g = torch.Generator().manual_seed(0)
    return torch.randn(1, 5, steps, generator=g), torch.randn(1, 3, tokens, generator=g)


@torch.no_grad()
def test_a_step_sees_as_far_as_reach():
    audio, tokens = streams()
    changed = audio.clone()
    changed[..., 40] += 1
    change = (FUSION(changed, tokens) - FUSION(audio, tokens)).abs().amax((0, 1)).nonzero()[:, 0]
    assert FUSION.reach == 7
    assert (int(change.min()), int(change.max())) == (33, 47)


@torch.no_grad()
def test_tokens_are_aligned_in_time():
    audio, tokens = streams()
    changed = tokens.clone()
    changed[..., 10] += 1
    change = (FUSION(audio, changed) - FUSION(audio, tokens)).square().sum((0, 1))
    # The centre of token 10 is 10.5 times 4 steps from the beginning.
    assert abs(float((change * torch.arange(80)).sum() / change.sum()) - 42) < 1


def test_tokens_are_interpolated_linearly():
    tokens = torch.tensor([[[0.0, 4.0, 8.0]]])
    interpolated = FUSION._interpolate(tokens, 13)[0, 0]
    expected = [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 8.0, 8.0]
    torch.testing.assert_close(interpolated, torch.tensor(expected))


def test_too_few_tokens_are_rejected():
    audio, tokens = streams(steps=84, tokens=20)
    with pytest.raises(ValueError, match="must cover 84 audio steps, got 20"):
        FUSION(audio, tokens)


def test_streams_of_different_batch_sizes_are_rejected():
    audio, tokens = streams()
    with pytest.raises(ValueError, match=r"got \(1, 5, 80\) and \(2, 3, 20\)"):
        FUSION(audio, tokens.repeat(2, 1, 1))
