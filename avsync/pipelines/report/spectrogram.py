"""Pictures of sound: spectrograms, and the share of a mixture that a voice is at every moment and
pitch."""

import cv2
import numpy as np

from avsync.pipelines.report.heat_map import viridis

TOP_HZ = 8000
WINDOW_S = 0.04
WIDTH, HEIGHT = 800, 200
# What lies so far under the loudest of the mixture is dark.
RANGE_DB = 70.0
COLOURS = viridis(256)


def power(wav: np.ndarray, rate: int) -> np.ndarray:
    """Power of a sound `(N,)` at `WIDTH` moments and every frequency up to 8 kHz, low to high `(F,
    WIDTH)`; zero above half the rate.
    """
    length = round(WINDOW_S * rate)
    window = np.hanning(length + 2)[1:-1]
    padded = np.pad(np.asarray(wav, np.float64), (length // 2, length))
    starts = np.linspace(0, max(len(wav) - 1, 0), WIDTH).round().astype(int)
    frames = padded[starts[:, None] + np.arange(length)]
    spectrum = np.abs(np.fft.rfft(frames * window, axis=1).T) ** 2
    rows = round(TOP_HZ * length / rate)
    return np.pad(spectrum[:rows], [(0, max(0, rows - len(spectrum))), (0, 0)])


def loudness_picture(spectrum: np.ndarray, loudest: float) -> np.ndarray:
    """A spectrum `(F, T)` against the loudest power, as a picture `(HEIGHT, WIDTH, 3)` uint8."""
    decibels = 10 * np.log10(np.maximum(spectrum, 1e-20) / max(loudest, 1e-20))
    return _coloured(1 + decibels / RANGE_DB)


def share_picture(voice: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """The share of a mixture's amplitude that a voice is, from 0 to 1, as a picture; none where
    the mixture is silent.
    """
    heard = mixture > 10 ** (-RANGE_DB / 10) * max(float(mixture.max()), 1e-20)
    return _coloured(np.where(heard, np.sqrt(voice / np.maximum(mixture, 1e-20)), 0))


def _coloured(levels: np.ndarray) -> np.ndarray:
    """Levels `(F, T)` from 0 to 1, low frequencies first, as colours with high ones on top."""
    image = cv2.resize(levels[::-1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return COLOURS[np.clip(255 * image, 0, 255).round().astype(np.uint8)]
