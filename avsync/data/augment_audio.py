"""Augment speech: other voices, microphones, rooms and noise, for waveforms and log-mel spectra.

The timing of the speech does not change. All draws come from the given generator, so that a run can
be repeated; it must be on the device of the tensors.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from avsync.audio.resampling import shift_pitch

# Knots of the equaliser are spaced evenly over octaves, from this share of half the sample rate up
# to half the sample rate.
LOWEST_SHARE = 1 / 128
KNOTS = 9
# Standard deviations of the equaliser, in dB: slope over the whole band, and bumps.
TILT_DB, BUMPS_DB = 5.0, 3.0
# Share of the voices with reverberation, the range of its decay time by 60 dB in seconds, and the
# range of its level under the voice.
ROOM_SHARE, DECAY_S, WET_DB = 0.5, (0.1, 0.5), (8.0, 25.0)
# Share of the mixtures with noise, the range of its level under them, and the standard deviation of
# its slope.
NOISE_SHARE, NOISE_DB, NOISE_TILT_DB = 2 / 3, (20.0, 60.0), 12.0
# Factors of pitch and formants: from a man's voice to about a woman's, and back.
VOICES = ((4, 5), (7, 8), (8, 7), (5, 4))


def alter_voices(wav: Tensor, share: float, generator: Generator) -> Tensor:
    """Shift pitch and formants of a share of the voices `(B, N)` at 16 kHz: other speakers."""
    altered = _uniform((len(wav),), generator) < share
    factors = torch.randint(len(VOICES), (len(wav),), generator=generator, device=generator.device)
    out = wav.clone()
    for clip in altered.nonzero()[:, 0].tolist():
        out[clip] = shift_pitch(wav[clip][None], *VOICES[int(factors[clip])])[0]
    return out


def change_rooms(wav: Tensor, sample_rate: int, share: float, generator: Generator) -> Tensor:
    """Give a share of the voices `(B, N)` another microphone, another room, and noise."""
    elsewhere = reverberate(equalise(wav, generator), sample_rate, generator)
    elsewhere = elsewhere + noise_floor(elsewhere, generator)
    return torch.where(_uniform((len(wav), 1), generator) < share, elsewhere, wav)


def equalise(wav: Tensor, generator: Generator) -> Tensor:
    """Filter voices `(B, N)` with a random smooth response: a slope, and a few broad bumps."""
    knots = BUMPS_DB * _normal((len(wav), KNOTS), generator)
    slope = TILT_DB * _normal((len(wav), 1), generator)
    spectrum = torch.fft.rfft(wav)
    return torch.fft.irfft(spectrum * _response(spectrum, knots, slope), wav.shape[1])


def reverberate(wav: Tensor, sample_rate: int, generator: Generator) -> Tensor:
    """Add the decaying reverberation of a room to some of the voices `(B, N)`."""
    batch, count = wav.shape
    tail = min(round(DECAY_S[1] * sample_rate), count)
    decay = _between(DECAY_S, (batch, 1), generator) * sample_rate
    at = torch.arange(1, tail + 1, device=generator.device)
    echoes = _normal((batch, tail), generator) * 10 ** (-3 * at / decay)
    wet = 10 ** (-_between(WET_DB, (batch, 1), generator) / 20)
    wet = torch.where(_uniform((batch, 1), generator) < ROOM_SHARE, wet, 0.0)
    direct = torch.ones(batch, 1, device=generator.device)
    room = torch.cat([direct, wet * F.normalize(echoes, dim=1)], dim=1)
    length = count + tail
    spectrum = torch.fft.rfft(wav, length) * torch.fft.rfft(room, length)
    return torch.fft.irfft(spectrum, length)[:, :count]


def noise_floor(wav: Tensor, generator: Generator) -> Tensor:
    """Return noise of a random colour `(B, N)` to be added to mixtures `(B, N)`.

    Its level is relative to that of the mixture; for some of the mixtures it is zero.
    """
    shape = (len(wav), 1)
    spectrum = torch.fft.rfft(_normal(tuple(wav.shape), generator))
    slope = NOISE_TILT_DB * _normal(shape, generator)
    flat = torch.zeros(len(wav), KNOTS, device=generator.device)
    noise = torch.fft.irfft(spectrum * _response(spectrum, flat, slope), wav.shape[1])
    level = wav.square().mean(1, keepdim=True).sqrt()
    level = level * 10 ** (-_between(NOISE_DB, shape, generator) / 20)
    level = torch.where(_uniform(shape, generator) < NOISE_SHARE, level, 0.0)
    return noise / noise.square().mean(1, keepdim=True).sqrt() * level


def augment_mel(mel: Tensor, generator: Generator) -> Tensor:
    """Augment log-mel powers `(B, M, S)` with another vocal tract, room, microphone and noise.

    Each clip gets random strengths from untouched to heavy; weak ones are more frequent.
    """
    mel = warp_frequency(mel, _uniform((len(mel), 1), generator), generator)
    strength = _uniform((len(mel), 1), generator) ** 2
    mel = reverberate_mel(mel, strength, generator)
    mel = equalise_mel(mel, strength, generator)
    return add_mel_noise(mel, strength, generator)


def warp_frequency(mel: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Warp the frequency axis of log-mel powers: vocal tract length perturbation (VTLP).

    Args:
        mel: `(B, M, S)`.
        strength: of each clip `(B, 1)`, in [0, 1].
        generator: draws.

    Source: Jaitly and Hinton, Vocal Tract Length Perturbation (2013).
    """
    batch, bands, steps = mel.shape
    strong = strength[..., None]
    scale = torch.exp(0.15 * strong * _normal((batch, 1, 1), generator))
    shift = 0.05 * strong * _normal((batch, 1, 1), generator)
    y = (_axis(bands, generator)[None, :, None] + 1) * scale - 1 + shift
    x = _axis(steps, generator)[None, None, :]
    grid = torch.stack([x.expand(batch, bands, steps), y.expand(batch, bands, steps)], dim=-1)
    warped = F.grid_sample(mel[:, None], grid, padding_mode="border", align_corners=True)
    return warped[:, 0]


def reverberate_mel(mel: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Add reverberation to some clips by smearing their power over later columns.

    It decays by 60 dB in 0.15 to 0.6 s.

    Args:
        mel: log-mel powers `(B, M, S)`, 100 columns a second.
        strength: of each clip `(B, 1)`, in [0, 1].
        generator: draws.
    """
    batch, _, steps = mel.shape
    length = min(30, steps)
    columns = torch.arange(1, length, device=generator.device)
    decay = 0.15 + 0.45 * _uniform((batch, 1), generator)
    tail = 10 ** (-6 * columns * 0.01 / decay) * 0.3 * _uniform((batch, 1), generator)
    wet = _uniform((batch, 1), generator) < 0.6 * strength
    tail = torch.where(wet, tail, 0.0)
    impulse = F.pad(tail, (1, 0), value=1.0)
    power = F.pad(mel.exp(), (length - 1, 0))
    smeared = F.conv1d(power.transpose(0, 1), impulse.flip(1)[:, None], groups=batch)
    return smeared.transpose(0, 1).clamp_min(1e-8).log()


def equalise_mel(mel: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Change gain and spectral tilt of log-mel powers, and add a few broad bumps.

    Args:
        mel: `(B, M, S)`.
        strength: of each clip `(B, 1)`, in [0, 1].
        generator: draws.
    """
    batch, bands, _ = mel.shape
    tilt = 1.5 * _normal((batch, 1), generator) * _axis(bands, generator)
    knots = 0.7 * _normal((batch, 1, 6), generator)
    bumps = F.interpolate(knots, bands, mode="linear", align_corners=True)[:, 0]
    gain = 2.0 * _normal((batch, 1), generator)
    return mel + (gain + strength * (tilt + bumps))[..., None]


def add_mel_noise(mel: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Add noise of a random colour, 5 to 70 dB below the loud parts, to half of the clips.

    The others keep what is audible in their silence, such as breath and lips that part.

    Args:
        mel: log-mel powers `(B, M, S)`.
        strength: of each clip `(B, 1)`, in [0, 1].
        generator: draws.
    """
    batch, bands, _ = mel.shape
    clean = _uniform((batch, 1, 1), generator) < 0.5
    loud = mel.amax(1).quantile(0.9, dim=-1)[:, None, None]
    deepest_db = 70 - 30 * strength[..., None]
    depth_db = deepest_db - 35 * strength[..., None] * _uniform((batch, 1, 1), generator)
    depth = depth_db * math.log(10) / 10
    tilt = 0.8 * _normal((batch, 1, 1), generator) * _axis(bands, generator)[:, None]
    grain = 0.5 * _normal(tuple(mel.shape), generator)
    return torch.where(clean, mel, torch.logaddexp(mel, loud - depth + tilt + grain))


def _response(spectrum: Tensor, knots_db: Tensor, slope_db: Tensor) -> Tensor:
    """Return the gain `(B, F)` of each bin of a spectrum.

    Args:
        spectrum: `(B, F)`.
        knots_db: gain at the knots `(B, K)`.
        slope_db: rise of the gain from one end of the band to the other `(B, 1)`.
    """
    bins = spectrum.shape[1]
    # -1 at the lowest knot, 1 at the highest bin.
    frequency = torch.arange(bins, device=spectrum.device) / (bins - 1)
    position = 1 - 2 * frequency.clamp_min(LOWEST_SHARE).log2() / math.log2(LOWEST_SHARE)
    decibels = slope_db / 2 * torch.linspace(-1, 1, KNOTS, device=spectrum.device) + knots_db
    low = ((position + 1) / 2 * (KNOTS - 1)).floor().long().clamp_max(KNOTS - 2)
    share = (position + 1) / 2 * (KNOTS - 1) - low
    share = (1 - torch.cos(math.pi * share)) / 2
    curve = decibels[:, low] * (1 - share) + decibels[:, low + 1] * share
    return 10 ** (curve / 20)


def _between(ends: tuple[float, float], shape: tuple[int, ...], generator: Generator) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * _uniform(shape, generator)


def _axis(steps: int, generator: Generator) -> Tensor:
    """Return coordinates `(steps,)` from -1 to 1, on the generator's device."""
    return torch.linspace(-1, 1, steps, device=generator.device)


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)
