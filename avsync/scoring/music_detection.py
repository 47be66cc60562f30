"""Is what is heard music? Speech pauses, and swells and falls with its syllables; music does less.

Scheirer and Slaney, Construction and Evaluation of a Robust Multifeature Speech/Music Discriminator
(ICASSP 1997): of their features, the share of low-energy frames, the modulation at 4 Hz and the
spectral flux.
"""

import numpy as np
import torch

from avsync.audio.features import LogMel
from avsync.timing import SAMPLE_RATE

# Audio is judged in stretches of so many seconds; shorter ones are not judged.
STRETCH_S = 3.0
LEAST_S = 1.0
COLUMNS_PER_S = 100
# What is this much below the loudest, in nats of power (40 dB), is as good as silence.
FLOOR_NATS = 9.2
# A column this far below the mean power, in nats (10 dB), is a pause.
PAUSE_NATS = 2.3
# Syllables come at these rates, in Hz; they are weighed against all changes from 0.5 Hz on.
SYLLABLES_HZ, CHANGES_HZ = (2.5, 8.0), (0.5, 25.0)
# Log-odds of music: fitted by logistic regression on GRID s1's training clips, rendered voices and
# MIR-1K's solo voices against MIR-1K's accompaniments and every other instrument of music_cc.
BIAS, PAUSES, SYLLABLES = -1.4, -7.8, -2.4
# A spectrum whose shape changes less than this in 0.1 s, half of the time that there is audio, is
# a tone held: the logarithm of nats. Of the speech above one stretch in ten lies below -0.0.
STEADY = -0.5
LAG = COLUMNS_PER_S // 10


def is_music(wav: np.ndarray) -> bool:
    """Return whether most of a waveform `(N,)` at 16 kHz is music, with or without singing; False for one
    of less than a second.
    """
    size = round(STRETCH_S * SAMPLE_RATE)
    stretches = [wav[at : at + size] for at in range(0, max(1, len(wav) - size // 2), size)]
    heard = [_log_odds(part) for part in stretches if len(part) >= LEAST_S * SAMPLE_RATE]
    odds = [each for each in heard if each is not None]
    return bool(odds) and float(np.median(odds)) > 0


def _log_odds(wav: np.ndarray) -> float | None:
    """Log-odds that a stretch is music; None for silence."""
    loud = np.percentile(np.abs(wav), 99.5)
    if loud < 1e-5:
        return None
    level = torch.from_numpy((0.5 / loud * wav).astype(np.float32))
    mel = LogMel(hop_length=SAMPLE_RATE // COLUMNS_PER_S)(level[None])[0].double().numpy()
    mel = np.maximum(mel, mel.max() - FLOOR_NATS)
    power = np.exp(mel).mean(0)
    pauses = float(np.mean(np.log(power) < np.log(power.mean()) - PAUSE_NATS))
    bands = (mel - mel.mean(1, keepdims=True)) * np.hanning(mel.shape[1])
    spectrum = (np.abs(np.fft.rfft(bands, axis=1)) ** 2).sum(0)
    rates_hz = np.fft.rfftfreq(mel.shape[1], 1 / COLUMNS_PER_S)

    def changes(low_hz: float, high_hz: float) -> float:
        return float(spectrum[(rates_hz >= low_hz) & (rates_hz < high_hz)].sum()) + 1e-12

    syllables = np.log(changes(*SYLLABLES_HZ) / changes(*CHANGES_HZ))
    speechless = float(BIAS + PAUSES * pauses + SYLLABLES * syllables)
    return max(speechless, STEADY - _flux(mel, power))


def _flux(mel: np.ndarray, power: np.ndarray) -> float:
    """Return how much the shape of the spectrum changes in `LAG` columns, where there is audio."""
    shape = mel - mel.mean(0)
    change = np.sqrt(((shape[:, LAG:] - shape[:, :-LAG]) ** 2).mean(0))
    heard = power > np.percentile(power, 40)
    return float(np.log(np.median(change[heard[LAG:]]) + 1e-6))
