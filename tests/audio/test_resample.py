"""Sound at another rate, block by block: the same tone at the same time, however it is cut."""

import numpy as np
import pytest

from avsync.audio.resampling import Resampler

RATES = [(48000, 16384), (44100, 16384), (8000, 16384), (16384, 48000), (16384, 44100)]


def resampled(sound, source_rate, rate, cut):
    resampler = Resampler(source_rate, rate, len(sound))
    blocks = [resampler.push(sound[:, at : at + cut]) for at in range(0, sound.shape[1], cut)]
    return np.concatenate([*blocks, resampler.end()], axis=1)


def tone(rate, seconds, hz=1500.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)[None]


@pytest.mark.parametrize(("source_rate", "rate"), RATES)
def test_a_tone_is_the_same_tone_at_the_same_time(source_rate, rate):
    out = resampled(tone(source_rate, 2), source_rate, rate, cut=1000)
    inner = slice(rate // 4, -rate // 4)
    np.testing.assert_allclose(out[:, inner], tone(rate, 2)[:, inner], atol=3e-5)


@pytest.mark.parametrize(("source_rate", "rate"), RATES)
def test_cuts_change_nothing_and_the_length_is_right(source_rate, rate):
    noise = np.random.default_rng(0).normal(size=(2, source_rate + 33)).astype(np.float32)
    whole = resampled(noise, source_rate, rate, cut=10**6)
    np.testing.assert_array_equal(resampled(noise, source_rate, rate, cut=321), whole)
    assert whole.shape == (2, round((source_rate + 33) * rate / source_rate))


def test_the_same_rate_changes_nothing():
    noise = np.random.default_rng(0).normal(size=(1, 500)).astype(np.float32)
    np.testing.assert_array_equal(resampled(noise, 8000, 8000, cut=100), noise)


def test_no_sound_gives_none():
    resampler = Resampler(16384, 48000, 2)
    assert resampler.push(np.zeros((2, 0))).shape == resampler.end().shape == (2, 0)


def test_wrong_channels_and_rates_are_refused():
    with pytest.raises(ValueError, match=r"block must be \(2, n\), got \(1, 4\)"):
        Resampler(8000, 16000, 2).push(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="must be positive, got 8000, 0 and 1"):
        Resampler(8000, 0, 1)
