"""Other microphones and other rooms for voices, so that one speaker sounds like many places.

Each works on a batch of waveforms `(B, N)` and draws from a generator.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

# Knots of the equaliser lie evenly over octaves, from this frequency up to half the sample rate.
LOWEST_SHARE = 1 / 128
KNOTS = 9
# How far the equaliser goes, in dB: slope over the whole band, and bumps.
TILT_DB, BUMPS_DB = 5.0, 3.0
# Half of the voices stand in a room: 60 dB in so many seconds, so many dB under the voice.
ROOMS, DECAY_S, WET_DB = 0.5, (0.1, 0.5), (8.0, 25.0)
# Two thirds of the mixtures have noise, so many dB under them, and of this slope.
NOISES, NOISE_DB, NOISE_TILT_DB = 2 / 3, (20.0, 60.0), 12.0


def equalise(wav: Tensor, generator: Generator) -> Tensor:
    """Voices `(B, N)` through a random smooth response: a slope, and a few broad bumps."""
    knots = BUMPS_DB * _normal((len(wav), KNOTS), generator)
    slope = TILT_DB * _normal((len(wav), 1), generator)
    spectrum = torch.fft.rfft(wav)
    return torch.fft.irfft(spectrum * _response(spectrum, knots, slope), wav.shape[1])


def reverberate(wav: Tensor, sample_rate: int, generator: Generator) -> Tensor:
    """Some of the voices `(B, N)` with the decaying tail of a room, which belongs to them."""
    batch, count = wav.shape
    tail = min(round(DECAY_S[1] * sample_rate), count)
    decay = _between(DECAY_S, (batch, 1), generator) * sample_rate
    at = torch.arange(1, tail + 1)
    echoes = _normal((batch, tail), generator) * 10 ** (-3 * at / decay)
    wet = 10 ** (-_between(WET_DB, (batch, 1), generator) / 20)
    wet = torch.where(torch.rand((batch, 1), generator=generator) < ROOMS, wet, 0.0)
    room = torch.cat([torch.ones(batch, 1), wet * F.normalize(echoes, dim=1)], dim=1)
    whole = count + tail
    return torch.fft.irfft(torch.fft.rfft(wav, whole) * torch.fft.rfft(room, whole), whole)[
        :, :count
    ]


def noise_floor(wav: Tensor, generator: Generator) -> Tensor:
    """Noise of a random colour `(B, N)`, for some of the mixtures `(B, N)` and so far under them;
    zeros for the others.
    """
    each = (len(wav), 1)
    spectrum = torch.fft.rfft(_normal(tuple(wav.shape), generator))
    slope = NOISE_TILT_DB * _normal(each, generator)
    flat = torch.zeros(len(wav), KNOTS)
    noise = torch.fft.irfft(spectrum * _response(spectrum, flat, slope), wav.shape[1])
    level = wav.square().mean(1, keepdim=True).sqrt()
    level = level * 10 ** (-_between(NOISE_DB, each, generator) / 20)
    level = torch.where(torch.rand(each, generator=generator) < NOISES, level, 0.0)
    return noise / noise.square().mean(1, keepdim=True).sqrt() * level


def _response(spectrum: Tensor, knots_db: Tensor, slope_db: Tensor) -> Tensor:
    """Factors `(B, F)` for the bins of a spectrum, from dB `(B, K)` at the knots and `(B, 1)` from
    one end of the band to the other.
    """
    bins = spectrum.shape[1]
    # -1 at the lowest knot, 1 at the highest bin.
    octaves = (torch.arange(bins) / (bins - 1)).clamp_min(LOWEST_SHARE).log2()
    place = 1 - 2 * octaves / math.log2(LOWEST_SHARE)
    decibels = slope_db / 2 * torch.linspace(-1, 1, KNOTS) + knots_db
    low = ((place + 1) / 2 * (KNOTS - 1)).floor().long().clamp_max(KNOTS - 2)
    share = (place + 1) / 2 * (KNOTS - 1) - low
    share = (1 - torch.cos(math.pi * share)) / 2
    curve = decibels[:, low] * (1 - share) + decibels[:, low + 1] * share
    return 10 ** (curve / 20)


def _between(ends: tuple[float, float], shape: tuple[int, ...], generator: Generator) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * torch.rand(shape, generator=generator)


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator)
