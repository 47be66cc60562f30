"""The voice: glottal pulses, breath and hiss through a throat whose resonances follow the
articulation."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, fftconvolve, lfilter, resample_poly, sosfilt

from avsync.synthetic.articulation import CONTROL_HZ, Articulation
from avsync.synthetic.phones import NOISE_BANDS
from avsync.synthetic.utterance import PASSAGE_S

# Below this the pulses would alias audibly: lower rates are made at a multiple and brought down.
_LEAST_HZ = 32000
_FIXED_FORMANTS_HZ = (3500.0, 4500.0, 5500.0, 6600.0)
# Of the fixed ones, then of the first three.
_BANDWIDTHS_HZ = (220.0, 300.0, 400.0, 500.0, 75.0, 100.0, 150.0)
# The throat takes a new shape this often, and what it rings of a moment is heard for so long.
_HOP_S, _RING_S = 0.005, 0.022


class Voice(NamedTuple):
    """Who is heard: pitch in Hz, `tract` (1 = an average man's length, less = shorter), character,
    room."""

    pitch_hz: float
    tract: float
    open_quotient: float
    tilt_hz: float
    breath: float
    jitter: float
    hiss: float
    room: float
    floor_db: float
    level: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "Voice":
        # From deep men to small children: a shorter throat goes with a higher pitch, loosely.
        height = rng.uniform(0, 1)
        return Voice(
            pitch_hz=80 * 2 ** (1.75 * height + rng.uniform(-0.15, 0.15)),
            tract=1.06 - 0.26 * height + rng.uniform(-0.04, 0.04),
            open_quotient=rng.uniform(0.5, 0.8),
            tilt_hz=rng.uniform(1200, 4500),
            breath=rng.choice((0.01, 0.03, 0.08)) * rng.uniform(0.7, 1.3),
            jitter=rng.uniform(0.003, 0.012),
            hiss=rng.uniform(0.6, 1.6),
            room=rng.uniform(0.0, 0.25) if rng.random() < 0.6 else 0.0,
            floor_db=rng.uniform(-75, -38),
            level=rng.uniform(0.15, 0.7),
        )


def speak(
    articulation: Articulation, voice: Voice, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """The sound of a passage, `(PASSAGE_S * sample_rate,)` float32 within [-1, 1], without the
    room's floor noise."""
    times = max(1, -(-_LEAST_HZ // sample_rate))
    rate = sample_rate * times
    n = round(PASSAGE_S * rate)
    if not np.any(articulation.voicing > 0):
        return np.zeros(round(PASSAGE_S * sample_rate), np.float32)
    at = np.arange(n) * (CONTROL_HZ / rate)

    def control(values: np.ndarray) -> np.ndarray:
        return np.interp(at, np.arange(len(values)), values)

    pulses, openness = _glottis(control(articulation.pitch_hz), voice, rate, rng)
    white = rng.standard_normal(n)
    voicing, aspiration = control(articulation.voicing), control(articulation.aspiration)
    source = pulses * voicing + white * (0.25 * aspiration + voice.breath * voicing * openness)
    sound = _throat(source, articulation.formants / voice.tract, voice, rate)
    sound += _murmur(pulses * control(articulation.murmur), rate)
    sound += voice.hiss * _hiss(articulation, control, rate, rng)
    if voice.room > 0:
        sound = sound + voice.room * _room(sound, rate, rng)
    if times > 1:
        sound = resample_poly(sound, 1, times)
    loud = np.percentile(np.abs(sound), 99.5)
    return np.tanh(sound * (voice.level / loud)).astype(np.float32)


def room_noise(voice: Voice, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The room while nobody speaks: a passage of soft low-passed noise."""
    white = rng.standard_normal(round(PASSAGE_S * sample_rate))
    soft = lfilter([0.25], [1, -0.75], white)
    return (10 ** (voice.floor_db / 20) * soft).astype(np.float32)


def _glottis(
    pitch_hz: np.ndarray, voice: Voice, rate: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the glottal flow, and how open the glottis is in [0, 1], both `(n,)`."""
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


def _throat(source: np.ndarray, formants: np.ndarray, voice: Voice, rate: int) -> np.ndarray:
    """A cascade of resonators after Klatt (1980), their formants `(3, n)` moving every `_HOP_S`.

    The source is cut into overlapping pieces; each rings through the throat of its own moment, and
    the rings are added up: all pieces at once, and no click where a formant moves.
    """
    hop = round(_HOP_S * rate)
    size = next_fast_len(2 * hop + round(_RING_S * rate), real=True)
    count = len(source) // hop + 2
    padded = np.zeros((count + 1) * hop)
    padded[hop : hop + len(source)] = source
    pieces = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    fade = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)) ** 2
    moment = np.minimum(np.arange(count) * hop * CONTROL_HZ // rate, formants.shape[1] - 1)
    bins = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size).astype(np.complex64)
    fixed = np.array(_FIXED_FORMANTS_HZ)[:, None, None] / voice.tract
    below = np.ones_like(bins)
    for hz, width in zip((*fixed, *formants[:, moment, None]), _BANDWIDTHS_HZ, strict=True):
        below = below * _resonance(hz, width, bins, rate)
    rings = irfft(rfft((pieces * fade).astype(np.float32), size) / below, size)
    out = np.zeros((count + size // hop + 1) * hop)
    for start in range(0, size, hop):
        part = rings[:, start : start + hop]
        whole = np.zeros((count, hop))
        whole[:, : part.shape[1]] = part
        out[start : start + count * hop] += whole.ravel()
    return out[hop : hop + len(source)]


def _resonance(hz: np.ndarray, width: float, bins: np.ndarray, rate: int) -> np.ndarray:
    """The denominator over the numerator of a resonator that leaves the lowest tones as they
    are."""
    radius = np.exp(-np.pi * width / rate)
    a1 = -2 * radius * np.cos(2 * np.pi * np.minimum(hz, 0.46 * rate) / rate)
    a1 = a1.astype(np.float32)
    return (1 + a1 * bins + np.float32(radius**2) * bins * bins) / (1 + a1 + np.float32(radius**2))


def _murmur(source: np.ndarray, rate: int) -> np.ndarray:
    """Voice through the nose or the cheeks: nothing but a low hum and a trace of two weak
    resonances."""
    hum = sosfilt(butter(2, (120, 380), "bandpass", fs=rate, output="sos"), source)
    nose = sosfilt(butter(1, (900, 2600), "bandpass", fs=rate, output="sos"), source)
    return 1.5 * hum + 0.25 * nose


def _hiss(
    articulation: Articulation,
    control: Callable[[np.ndarray], np.ndarray],
    rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    n = round(PASSAGE_S * rate)
    out = np.zeros(n)
    for band, (low, high) in enumerate(NOISE_BANDS):
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
    """A puff that begins exactly at `start_s` and dies within a few milliseconds."""
    first = round(start_s * rate)
    t = np.arange(min(round(0.03 * rate), len(gain) - first)) / rate
    gain[first : first + len(t)] += loudness * np.minimum(t / 0.001, 1) * np.exp(-t / 0.006)


def _room(sound: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Reflections of the sound, from 8 ms after it on: the direct sound stays where it is."""
    t = np.arange(round(0.25 * rate)) / rate
    tail = rng.standard_normal(len(t)) * np.exp(-t / rng.uniform(0.03, 0.08))
    tail[: round(0.008 * rate)] = 0
    return fftconvolve(sound, tail / np.linalg.norm(tail))[: len(sound)]
