"""Discriminate music from speech by pauses, syllable modulation and spectral flux.

Speech pauses, and swells and falls with its syllables; music does less.

Source: Scheirer and Slaney, Construction and Evaluation of a Robust Multifeature Speech/Music
Discriminator (ICASSP 1997): of their features, the share of low-energy frames, the modulation at
4 Hz and the spectral flux.
"""

import numpy as np
import torch

from avsync.audio.features import LogMel
from avsync.timing import SAMPLE_RATE

# Audio is classified in segments of this length, in seconds; shorter ones than `MIN_SEGMENT_S` are
# left out.
SEGMENT_S = 3.0
MIN_SEGMENT_S = 1.0
COLUMNS_PER_S = 100
# What is this much below the loudest, in nats of power (40 dB), counts as silence.
FLOOR_NATS = 9.2
# A mel column this far below the mean power, in nats (10 dB), is a pause.
PAUSE_NATS = 2.3
# Syllables come at these rates, in Hz; they are weighed against all changes from 0.5 Hz on.
SYLLABLES_HZ, CHANGES_HZ = (2.5, 8.0), (0.5, 25.0)
# Log-odds of music: fitted by logistic regression on GRID s1's training clips, rendered voices and
# MIR-1K's solo voices against MIR-1K's accompaniments and every other instrument of music_cc.
BIAS, PAUSES, SYLLABLES = -1.4, -7.8, -2.4
# A spectrum whose shape changes less than this in 0.1 s, half of the time that there is audio, is
# a held tone: the logarithm of nats. Of the speech above, one segment in ten lies below -0.0.
STEADY = -0.5
LAG = COLUMNS_PER_S // 10


def is_music(wav: np.ndarray) -> bool:
    """Return whether most of a waveform `(N,)` at 16 kHz is music, with or without singing.

    False for less than a second of audio.
    """
    size = round(SEGMENT_S * SAMPLE_RATE)
    segments = [wav[at : at + size] for at in range(0, max(1, len(wav) - size // 2), size)]
    log_odds = [_log_odds(part) for part in segments if len(part) >= MIN_SEGMENT_S * SAMPLE_RATE]
    known = [value for value in log_odds if value is not None]
    return bool(known) and float(np.median(known)) > 0


def _log_odds(wav: np.ndarray) -> float | None:
    """Return the log-odds that a segment is music; None for silence."""
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

    def modulation(low_hz: float, high_hz: float) -> float:
        return float(spectrum[(rates_hz >= low_hz) & (rates_hz < high_hz)].sum()) + 1e-12

    syllables = np.log(modulation(*SYLLABLES_HZ) / modulation(*CHANGES_HZ))
    unlike_speech = float(BIAS + PAUSES * pauses + SYLLABLES * syllables)
    return max(unlike_speech, STEADY - _spectral_flux(mel, power))


def _spectral_flux(mel: np.ndarray, power: np.ndarray) -> float:
    """Return the log of the median change of the spectrum's shape in `LAG` columns.

    Only the louder 60 % of the columns are compared.
    """
    shape = mel - mel.mean(0)
    change = np.sqrt(((shape[:, LAG:] - shape[:, :-LAG]) ** 2).mean(0))
    loud = power > np.percentile(power, 40)
    return float(np.log(np.median(change[loud[LAG:]]) + 1e-6))
