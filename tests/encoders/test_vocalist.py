import pytest
import torch

from avsync.encoders.vocalist import VocalistAudioEncoder, VocalistVisualEncoder

pytestmark = pytest.mark.arithmetic

CHANNELS = (2, 2, 3, 4, 8)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return VocalistVisualEncoder(CHANNELS).eval()


def test_every_frame_gives_a_token(encoder):
    for frames in (1, 5, 9):
        assert encoder(torch.rand(2, 3, frames, 48, 96)).shape == (2, frames, 8)


def test_windows_are_encoded_as_if_alone(encoder):
    frames = torch.rand(2, 3, 12, 48, 96)
    tokens = encoder.windows(frames, 5)
    assert tokens.shape == (2, 8, 5, 8)
    for start in (0, 3, 7):
        alone = encoder(frames[:, :, start : start + 5])
        torch.testing.assert_close(tokens[:, start], alone, atol=1e-5, rtol=1e-5)


def test_tokens_depend_on_the_position_in_the_window(encoder):
    # Time is padded with zeros: this is why windows cannot share tokens.
    frames = torch.rand(1, 3, 12, 48, 96)
    tokens = encoder.windows(frames, 5)[0]
    assert not torch.allclose(tokens[0, 2], tokens[1, 1], rtol=1e-3)


def test_too_few_frames_are_named(encoder):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, H, W\), got \(1, 3, 4"):
        encoder.windows(torch.zeros(1, 3, 4, 48, 96), 5)


def test_every_column_gives_a_token():
    torch.manual_seed(0)
    encoder = VocalistAudioEncoder(CHANNELS).eval()
    for columns in (1, 16, 80):
        tokens = encoder(torch.randn(2, 80, columns))
        assert tokens.shape == (2, columns, 8) and (tokens >= 0).all()


def test_a_wrong_number_of_mel_bands_is_named():
    with pytest.raises(ValueError, match=r"mel must be \(B, 80, S\), got \(1, 64, 16\)"):
        VocalistAudioEncoder(CHANNELS)(torch.zeros(1, 64, 16))
