import pytest
import torch

from avsync.encoders.avst import AvstAudioEncoder


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return AvstAudioEncoder(channels=(2, 3, 4, 4, 6)).eval()


@torch.no_grad()
@pytest.mark.parametrize(("columns", "tokens"), [(7, 1), (20, 4), (40, 9), (100, 24)])
def test_tokens_are_as_many_as_it_says(tiny, columns, tokens):
    assert tiny(torch.randn(2, 80, columns)).shape == (2, tokens, 6)
    assert tiny.token_count(columns) == tokens


@torch.no_grad()
def test_a_token_is_made_of_columns_near_its_own(tiny):
    mel = torch.randn(1, 80, 100)
    other = mel.clone()
    other[..., 60:] += 5
    moved = (tiny(other) - tiny(mel)).abs().amax((0, 2)) > 1e-6
    assert not moved[:8].any() and moved[15:].all()


@torch.no_grad()
def test_batch_items_do_not_mix(tiny):
    mel = torch.randn(3, 80, 20)
    torch.testing.assert_close(tiny(mel), torch.cat([tiny(one[None]) for one in mel]))


@pytest.mark.parametrize("shape", [(1, 80, 6), (1, 64, 20), (80, 20)])
def test_a_mel_of_another_shape_is_named(tiny, shape):
    with pytest.raises(ValueError, match=r"mel must be \(B, 80, S >= 7\), got"):
        tiny(torch.zeros(shape))
