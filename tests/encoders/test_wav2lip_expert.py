import pytest
import torch

from avsync.encoders.wav2lip_expert import Wav2LipAudioEncoder, Wav2LipVisualEncoder

pytestmark = pytest.mark.arithmetic

TINY = (2, 3, 4, 5, 6)


@torch.no_grad()
def test_every_window_of_five_frames_has_a_token():
    torch.manual_seed(0)
    encoder = Wav2LipVisualEncoder(TINY).eval()
    frames = torch.rand(2, 3, 8, 48, 96)
    tokens = encoder(frames)
    assert tokens.shape == (2, 4, 6) and (tokens >= 0).all()
    alone = torch.cat([encoder(frames[:, :, k : k + 5]) for k in range(4)], dim=1)
    torch.testing.assert_close(tokens, alone)
    assert not torch.allclose(tokens, encoder(frames.flip(2)).flip(1), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3, 4, 48, 96), (1, 3, 5, 96, 96), (1, 15, 48, 96)])
def test_frames_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, 48, 96\), got"):
        Wav2LipVisualEncoder(TINY)(torch.zeros(shape))


@torch.no_grad()
def test_mel_windows_are_encoded_independently():
    torch.manual_seed(0)
    encoder = Wav2LipAudioEncoder(TINY).eval()
    mel = torch.randn(3, 80, 16)
    tokens = encoder(mel)
    assert tokens.shape == (3, 6) and (tokens >= 0).all()
    torch.testing.assert_close(tokens, torch.cat([encoder(window[None]) for window in mel]))


@pytest.mark.parametrize("shape", [(1, 80, 17), (1, 16, 80), (1, 1, 80, 16)])
def test_mel_windows_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"mel must be \(B, 80, 16\), got"):
        Wav2LipAudioEncoder(TINY)(torch.zeros(shape))
