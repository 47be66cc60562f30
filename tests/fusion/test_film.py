import pytest
import torch

from avsync.fusion.film import Film, resample_tokens

pytestmark = pytest.mark.arithmetic


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Film(token_dim=6, channels=4)


def test_a_step_is_modulated_by_its_own_token_only(layer):
    x, tokens = torch.randn(2, 4, 3, 5), torch.randn(2, 5, 6)
    other = tokens.clone()
    other[:, 2] += 1
    changed = (layer(x, other) - layer(x, tokens)).abs().sum((0, 1, 2)) > 0
    assert changed.tolist() == [False, False, True, False, False]


def test_modulation_is_affine_in_the_feature_map(layer):
    x, tokens = torch.randn(1, 4, 3, 2), torch.randn(1, 2, 6)
    y = layer(x, tokens)
    expected = x[0, 1, 2, 1] * layer.scale(tokens[0, 1])[1] + layer.shift(tokens[0, 1])[1]
    torch.testing.assert_close(y[0, 1, 2, 1], expected)


def test_more_tokens_than_steps_are_averaged():
    tokens = torch.arange(6.0)[None, :, None]
    assert resample_tokens(tokens, 3).flatten().tolist() == [0.5, 2.5, 4.5]
    # With 100 frames and 16 steps, as published, step 1 averages frames 6 to 12.
    steps = resample_tokens(torch.arange(100.0)[None, :, None], 16).flatten()
    assert steps[:2].tolist() == [3.0, 9.0]


def test_fewer_tokens_than_steps_are_repeated():
    steps = resample_tokens(torch.arange(13.0)[None, :, None], 16).flatten()
    assert steps.tolist() == [0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12]


def test_tokens_of_another_width_are_named(layer):
    with pytest.raises(ValueError, match=r"tokens must be \(1, L, 6\), got \(1, 5, 7\)"):
        layer(torch.zeros(1, 4, 3, 5), torch.zeros(1, 5, 7))
