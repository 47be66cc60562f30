import pytest
import torch

from avsync.encoders.vocalist import VocalistAudioEncoder


def test_every_column_gives_a_token():
    torch.manual_seed(0)
    encoder = VocalistAudioEncoder((2, 2, 3, 4, 8)).eval()
    for columns in (1, 16, 80):
        tokens = encoder(torch.randn(2, 80, columns))
        assert tokens.shape == (2, columns, 8) and (tokens >= 0).all()


def test_other_bands_are_named():
    with pytest.raises(ValueError, match=r"mel must be \(B, 80, S\), got \(1, 64, 16\)"):
        VocalistAudioEncoder((2, 2, 3, 4, 8))(torch.zeros(1, 64, 16))
