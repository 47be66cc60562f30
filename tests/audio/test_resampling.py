import math

import numpy as np
import pytest
import torch

from avsync.audio.resampling import (
    Resampler,
    resample,
    resample_with_gradients,
    shift_pitch,
)

pytestmark = pytest.mark.arithmetic

RATES = [(16000, 16384), (44100, 16384), (48000, 16384), (16384, 44100), (8000, 16384)]
STREAM_RATES = [(48000, 16384), (44100, 16384), (8000, 16384), (16384, 48000), (16384, 44100)]


def resample_blocks(wav, source_rate, rate, cut):
    resampler = Resampler(source_rate, rate, len(wav))
    blocks = [resampler.push(wav[:, start : start + cut]) for start in range(0, wav.shape[1], cut)]
    return np.concatenate([*blocks, resampler.flush()], axis=1)


def stream_tone(rate, seconds, hz=1500.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)[None]


@pytest.mark.parametrize(("source_rate", "rate"), STREAM_RATES)
def test_a_resampled_stream_of_a_tone_is_the_same_tone_in_time(source_rate, rate):
    out = resample_blocks(stream_tone(source_rate, 2), source_rate, rate, cut=1000)
    inner = slice(rate // 4, -rate // 4)
    np.testing.assert_allclose(out[:, inner], stream_tone(rate, 2)[:, inner], atol=3e-5)


@pytest.mark.parametrize(("source_rate", "rate"), STREAM_RATES)
def test_stream_output_does_not_depend_on_the_cuts(source_rate, rate):
    noise = np.random.default_rng(0).normal(size=(2, source_rate + 33)).astype(np.float32)
    whole = resample_blocks(noise, source_rate, rate, cut=10**6)
    np.testing.assert_array_equal(resample_blocks(noise, source_rate, rate, cut=321), whole)
    assert whole.shape == (2, round((source_rate + 33) * rate / source_rate))


def test_a_stream_at_the_same_rate_is_unchanged():
    noise = np.random.default_rng(0).normal(size=(1, 500)).astype(np.float32)
    np.testing.assert_array_equal(resample_blocks(noise, 8000, 8000, cut=100), noise)


def test_an_empty_stream_gives_no_samples():
    resampler = Resampler(16384, 48000, 2)
    assert resampler.push(np.zeros((2, 0))).shape == resampler.flush().shape == (2, 0)


def test_invalid_channels_and_rates_are_rejected():
    with pytest.raises(ValueError, match=r"block must be \(2, n\), got \(1, 4\)"):
        Resampler(8000, 16000, 2).push(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="must be positive, got 8000, 0 and 1"):
        Resampler(8000, 0, 1)


def tone(hz: float, rate: int, seconds: float = 1.0) -> torch.Tensor:
    seconds_at = torch.arange(math.ceil(seconds * rate), dtype=torch.float64) / rate
    return torch.sin(2 * math.pi * hz * seconds_at).float()


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_tone_within_both_bands_is_the_same_tone(source, target):
    resampled = resample(tone(3000, source), source, target)
    assert len(resampled) == target
    inside = slice(target // 20, -target // 20)
    torch.testing.assert_close(resampled[inside], tone(3000, target)[inside], atol=2e-5, rtol=0)


def test_a_tone_beyond_the_lower_band_is_removed():
    resampled = resample(tone(9000, 44100), 44100, 16384)
    assert resampled[1000:-1000].abs().max() < 1e-4


def test_the_length_is_rounded_up_and_sample_0_stays():
    click = torch.zeros(2, 1001)
    click[:, 0] = 1
    resampled = resample(click, 16000, 16384)
    assert resampled.shape == (2, math.ceil(1001 * 16384 / 16000))
    assert resampled.abs().argmax(-1).tolist() == [0, 0]


def test_the_same_rate_returns_the_waveform():
    wav = torch.randn(3, 100)
    assert resample(wav, 16000, 16000) is wav


def test_invalid_rates_and_empty_waveforms_are_rejected():
    with pytest.raises(ValueError, match="rates must be positive, got 0 and 16384"):
        resample(torch.zeros(10), 0, 16384)
    with pytest.raises(ValueError, match=r"wav must be \(..., N\) with N >= 1, got \(2, 0\)"):
        resample(torch.zeros(2, 0), 8000, 16384)


@pytest.mark.parametrize(("up", "down"), [(4, 5), (7, 8), (5, 4)])
def test_a_shifted_pitch_keeps_its_timing(up, down):
    # A tone that begins in the middle.
    wav = tone(400, 16000)
    wav[:8000] = 0
    shifted = shift_pitch(wav[None], up, down)[0]
    assert shifted.shape == wav.shape
    spectrum = torch.fft.rfft(shifted[9000:13000] * torch.hann_window(4000)).abs()
    assert int(spectrum.argmax()) * 4 == pytest.approx(400 * up / down, abs=4)
    level = shifted.square().unfold(0, 160, 160).mean(-1)
    begins_s = 0.01 * int((level > level[60:90].mean() / 2).nonzero()[0])
    assert begins_s == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("source_rate", [8000, 22050, 44100, 48000])
def test_resampling_with_gradients_gives_the_same_tone_in_time_and_rejects_higher_ones(source_rate):
    for hz, expected in ((1500.0, tone(1500.0, 16000)), (9500.0, torch.zeros(16000))):
        if 2 * hz < source_rate:
            out = resample_with_gradients(tone(hz, source_rate), source_rate, 16000)
            torch.testing.assert_close(out[2000:-2000], expected[2000:-2000], atol=1e-3, rtol=0)


def test_resampling_with_gradients_is_differentiable_in_float64():
    wav = torch.randn(2, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(
        lambda x: resample_with_gradients(x, 3, 2), wav.requires_grad_()
    )
    assert resample_with_gradients(wav, 3, 2).shape == (2, 20)
    assert resample_with_gradients(wav, 3, 3) is wav
