"""Synthesize the voice: a glottal source, breath and frication through a moving vocal tract.

Source: Klatt, Software for a cascade/parallel formant synthesizer, 1980; Klatt and Klatt, Analysis,
synthesis, and perception of voice quality variations among female and male talkers, 1990.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, fftconvolve, lfilter, resample_poly, sosfilt

from avsync.synthetic.articulation import CONTROL_HZ, Articulation
from avsync.synthetic.phones import NOISE_BANDS_HZ
from avsync.synthetic.utterance import PASSAGE_S

# Below this rate the glottal pulses would alias audibly: lower rates are synthesized at a multiple
# and resampled.
_MIN_RATE_HZ = 32000
_FIXED_FORMANTS_HZ = (3500.0, 4500.0, 5500.0, 6600.0)
# Of the fixed formants, then of the first three.
_BANDWIDTHS_HZ = (220.0, 300.0, 400.0, 500.0, 75.0, 100.0, 150.0)
# Interval at which the vocal tract takes a new shape, and length of its impulse response.
_HOP_S, _RING_S = 0.005, 0.022


class SyntheticVoice(NamedTuple):
    """The parameters of a voice and of the room it is recorded in.

    `tract_length` is a factor on an average man's, `room` the level of the reverberation,
    `noise_floor_db` that of the room's noise, `level` the level of the voice.
    """

    pitch_hz: float
    tract_length: float
    open_quotient: float
    tilt_hz: float
    breathiness: float
    jitter: float
    frication: float
    room: float
    noise_floor_db: float
    level: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "SyntheticVoice":
        """Draw a random voice."""
        # From deep men to small children: a shorter vocal tract goes with a higher pitch, loosely.
        height = rng.uniform(0, 1)
        return SyntheticVoice(
            pitch_hz=80 * 2 ** (1.75 * height + rng.uniform(-0.15, 0.15)),
            tract_length=1.06 - 0.26 * height + rng.uniform(-0.04, 0.04),
            open_quotient=rng.uniform(0.5, 0.8),
            tilt_hz=rng.uniform(1200, 4500),
            breathiness=rng.choice((0.01, 0.03, 0.08)) * rng.uniform(0.7, 1.3),
            jitter=rng.uniform(0.003, 0.012),
            frication=rng.uniform(0.6, 1.6),
            room=rng.uniform(0.0, 0.25) if rng.random() < 0.6 else 0.0,
            noise_floor_db=rng.uniform(-75, -38),
            level=rng.uniform(0.15, 0.7),
        )


def synthesize_voice(
    articulation: Articulation, voice: SyntheticVoice, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Synthesize the waveform of a passage, without the room's noise.

    Args:
        articulation: the trajectories to follow.
        voice: the voice's parameters.
        sample_rate: in Hz.
        rng: draws noise, jitter and reverberation.

    Returns:
        Waveform `(PASSAGE_S * sample_rate,)` float32 in [-1, 1].
    """
    factor = max(1, -(-_MIN_RATE_HZ // sample_rate))
    rate = sample_rate * factor
    n = round(PASSAGE_S * rate)
    if not np.any(articulation.voicing > 0):
        return np.zeros(round(PASSAGE_S * sample_rate), np.float32)
    at = np.arange(n) * (CONTROL_HZ / rate)

    def control(values: np.ndarray) -> np.ndarray:
        return np.interp(at, np.arange(len(values)), values)

    pulses, openness = _glottal_source(control(articulation.pitch_hz), voice, rate, rng)
    white = rng.standard_normal(n)
    voicing, aspiration = control(articulation.voicing), control(articulation.aspiration)
    source = pulses * voicing + white * (0.25 * aspiration + voice.breathiness * voicing * openness)
    wav = _vocal_tract(source, articulation.formants / voice.tract_length, voice, rate)
    wav += _murmur(pulses * control(articulation.murmur), rate)
    wav += voice.frication * _frication(articulation, control, rate, rng)
    if voice.room > 0:
        wav = wav + voice.room * _reverberation(wav, rate, rng)
    if factor > 1:
        wav = resample_poly(wav, 1, factor)
    loud = np.percentile(np.abs(wav), 99.5)
    return np.tanh(wav * (voice.level / loud)).astype(np.float32)


def room_noise(voice: SyntheticVoice, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return a passage of the room's noise, low-passed, as float32."""
    white = rng.standard_normal(round(PASSAGE_S * sample_rate))
    soft = lfilter([0.25], [1, -0.75], white)
    return (10 ** (voice.noise_floor_db / 20) * soft).astype(np.float32)


def _glottal_source(
    pitch_hz: np.ndarray, voice: SyntheticVoice, rate: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivative of the glottal flow, and the glottis's opening in [0, 1], `(n,)`."""
    knots = rng.standard_normal((2, len(pitch_hz) // (rate // 250) + 2))
    grid = np.arange(len(pitch_hz)) * (250 / rate)
    wobble, shimmer = (np.interp(grid, np.arange(knots.shape[1]), k) for k in knots)
    phase = np.cumsum(pitch_hz * (1 + voice.jitter * wobble) / rate) % 1.0
    x = phase / voice.open_quotient
    inside = x < 1
    # Klatt and Klatt (1990): flow x^2 - x^3 while open, shut abruptly; a one-pole filter rounds the
    # corner.
    pulse = np.where(inside, 2 * x - 3 * x * x, 0.0) * (1 + 4 * voice.jitter * shimmer)
    pole = np.exp(-2 * np.pi * voice.tilt_hz / rate)
    pulse = lfilter([1 - pole], [1, -pole], pulse)
    return pulse, np.where(inside, 4 * x * (1 - x), 0.0)


def _vocal_tract(
    source: np.ndarray, formants: np.ndarray, voice: SyntheticVoice, rate: int
) -> np.ndarray:
    """Filter the source by a cascade of resonators whose formants `(3, n)` move every `_HOP_S`.

    After Klatt (1980). The source is cut into overlapping windows; each excites the vocal tract of
    its own time, and the responses are overlap-added: all windows at once, and no click where a
    formant moves.
    """
    hop = round(_HOP_S * rate)
    size = next_fast_len(2 * hop + round(_RING_S * rate), real=True)
    count = len(source) // hop + 2
    padded = np.zeros((count + 1) * hop)
    padded[hop : hop + len(source)] = source
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    fade = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)) ** 2
    moment = np.minimum(np.arange(count) * hop * CONTROL_HZ // rate, formants.shape[1] - 1)
    bins = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size).astype(np.complex64)
    fixed = np.array(_FIXED_FORMANTS_HZ)[:, None, None] / voice.tract_length
    denominator = np.ones_like(bins)
    for hz, width in zip((*fixed, *formants[:, moment, None]), _BANDWIDTHS_HZ, strict=True):
        denominator = denominator * _inverse_resonance(hz, width, bins, rate)
    responses = irfft(rfft((windows * fade).astype(np.float32), size) / denominator, size)
    out = np.zeros((count + size // hop + 1) * hop)
    for start in range(0, size, hop):
        part = responses[:, start : start + hop]
        whole = np.zeros((count, hop))
        whole[:, : part.shape[1]] = part
        out[start : start + count * hop] += whole.ravel()
    return out[hop : hop + len(source)]


def _inverse_resonance(hz: np.ndarray, width: float, bins: np.ndarray, rate: int) -> np.ndarray:
    """Return one over the frequency response of a resonator with unit gain at 0 Hz."""
    radius = np.exp(-np.pi * width / rate)
    a1 = -2 * radius * np.cos(2 * np.pi * np.minimum(hz, 0.46 * rate) / rate)
    a1 = a1.astype(np.float32)
    return (1 + a1 * bins + np.float32(radius**2) * bins * bins) / (1 + a1 + np.float32(radius**2))


def _murmur(source: np.ndarray, rate: int) -> np.ndarray:
    """Filter the source as nose and cheeks do: a low hum and a trace of two weak resonances."""
    hum = sosfilt(butter(2, (120, 380), "bandpass", fs=rate, output="sos"), source)
    nose = sosfilt(butter(1, (900, 2600), "bandpass", fs=rate, output="sos"), source)
    return 1.5 * hum + 0.25 * nose


def _frication(
    articulation: Articulation,
    control: Callable[[np.ndarray], np.ndarray],
    rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    n = round(PASSAGE_S * rate)
    out = np.zeros(n)
    for band, (low, high) in enumerate(NOISE_BANDS_HZ):
        edges = (low, min(high, 0.46 * rate))
        white = rng.standard_normal(n)
        filtered = sosfilt(butter(2, edges, "bandpass", fs=rate, output="sos"), white)
        gain = control(articulation.noise[band])
        for start_s, burst, stress in articulation.bursts:
            if burst == band:
                _add_burst(gain, start_s, 0.5 * stress, rate)
        out += filtered * gain
    return out


def _add_burst(gain: np.ndarray, start_s: float, loudness: float, rate: int) -> None:
    """Add a burst that starts exactly at `start_s` and decays within a few milliseconds."""
    first = round(start_s * rate)
    t = np.arange(min(round(0.03 * rate), len(gain) - first)) / rate
    gain[first : first + len(t)] += loudness * np.minimum(t / 0.001, 1) * np.exp(-t / 0.006)


def _reverberation(wav: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return reflections of the waveform, which start 8 ms after the direct signal."""
    t = np.arange(round(0.25 * rate)) / rate
    tail = rng.standard_normal(len(t)) * np.exp(-t / rng.uniform(0.03, 0.08))
    tail[: round(0.008 * rate)] = 0
    return fftconvolve(wav, tail / np.linalg.norm(tail))[: len(wav)]
