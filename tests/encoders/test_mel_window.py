import pytest
import torch

from avsync.encoders.wav2lip_expert import Wav2LipAudioEncoder

TINY = (2, 3, 4, 5, 6)


@torch.no_grad()
def test_windows_become_tokens_each_on_its_own():
    torch.manual_seed(0)
    encoder = Wav2LipAudioEncoder(TINY).eval()
    mel = torch.randn(3, 80, 16)
    tokens = encoder(mel)
    assert tokens.shape == (3, 6) and (tokens >= 0).all()
    torch.testing.assert_close(tokens, torch.cat([encoder(window[None]) for window in mel]))


@pytest.mark.parametrize("shape", [(1, 80, 17), (1, 16, 80), (1, 1, 80, 16)])
def test_windows_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"mel must be \(B, 80, 16\), got"):
        Wav2LipAudioEncoder(TINY)(torch.zeros(shape))
