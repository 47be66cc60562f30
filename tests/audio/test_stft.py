import math

import pytest
import torch

from avsync.audio.stft import ComplexStft

pytestmark = pytest.mark.arithmetic

STFT = ComplexStft()


@pytest.fixture
def wav():
    return torch.randn(2, 16383, generator=torch.Generator().manual_seed(0))


def test_a_second_less_one_sample_has_64_columns(wav):
    assert STFT(wav).shape == (2, 512, 64)
    assert STFT.columns(wav.shape[1]) == 64


def test_the_inverse_restores_the_waveform(wav):
    torch.testing.assert_close(STFT.inverse(STFT(wav), 16383), wav, atol=1e-5, rtol=0)


def test_a_sine_at_a_bins_centre_has_half_the_sum_of_the_window():
    n = torch.arange(16383, dtype=torch.float64)
    spectrum = STFT(torch.sin(2 * math.pi * 100 / 1022 * n)[None])[0]
    assert spectrum[:, 30].abs().argmax() == 100
    # A Hann window of 1022 samples sums to 511; a sine has two components of half its amplitude.
    assert spectrum[100, 30].abs().item() == pytest.approx(1022 / 4)


def test_channels_are_the_real_and_the_imaginary_part_of_every_second_bin(wav):
    spectrum = STFT(wav)
    x = STFT.as_channels(STFT.even_bins(spectrum))
    torch.testing.assert_close(x[:, 0, 3], spectrum.real[:, 6])
    torch.testing.assert_close(x[:, 1, 255], spectrum.imag[:, 510])


def test_a_mask_of_one_is_the_identity_and_one_of_i_rotates_the_phase(wav):
    spectrum = STFT(wav)
    logits = torch.zeros(2, 2, 256, 64)
    logits[:, 0] = 1
    torch.testing.assert_close(STFT.mask(logits, spectrum), spectrum)
    torch.testing.assert_close(STFT.mask(logits.flip(1), spectrum), 1j * spectrum)


def test_a_bin_of_a_mask_applies_to_two_bins(wav):
    spectrum = STFT(wav)
    logits = torch.zeros(2, 2, 256, 64)
    logits[:, 0, 7] = 1
    kept = STFT.mask(logits, spectrum).abs().sum((0, 2)).nonzero()[:, 0]
    assert kept.tolist() == [14, 15]


def test_too_short_a_waveform_is_named():
    with pytest.raises(ValueError, match=r"wav must be \(B, N\) with N > 511, got \(1, 511\)"):
        STFT(torch.zeros(1, 511))
