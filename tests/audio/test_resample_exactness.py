import math

import pytest
import torch

from avsync.audio.features import resample

RATES = [(16000, 16384), (44100, 16384), (48000, 16384), (16384, 44100), (8000, 16384)]


def tone(hz: float, rate: int, seconds: float = 1.0) -> torch.Tensor:
    at = torch.arange(math.ceil(seconds * rate), dtype=torch.float64) / rate
    return torch.sin(2 * math.pi * hz * at).float()


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_tone_that_both_rates_hold_is_the_same_tone(source, target):
    found = resample(tone(3000, source), source, target)
    assert len(found) == target
    inside = slice(target // 20, -target // 20)
    torch.testing.assert_close(found[inside], tone(3000, target)[inside], atol=2e-5, rtol=0)


def test_what_the_lower_rate_cannot_hold_is_gone():
    found = resample(tone(9000, 44100), 44100, 16384)
    assert found[1000:-1000].abs().max() < 1e-4


def test_the_ends_are_rounded_up_and_the_start_stays():
    click = torch.zeros(2, 1001)
    click[:, 0] = 1
    found = resample(click, 16000, 16384)
    assert found.shape == (2, math.ceil(1001 * 16384 / 16000))
    assert found.abs().argmax(-1).tolist() == [0, 0]


def test_the_same_rate_changes_nothing():
    wav = torch.randn(3, 100)
    assert resample(wav, 16000, 16000) is wav


def test_rates_must_be_positive_and_sound_not_empty():
    with pytest.raises(ValueError, match="rates must be positive, got 0 and 16384"):
        resample(torch.zeros(10), 0, 16384)
    with pytest.raises(ValueError, match=r"wav must be \(..., N\) with N >= 1, got \(2, 0\)"):
        resample(torch.zeros(2, 0), 8000, 16384)
