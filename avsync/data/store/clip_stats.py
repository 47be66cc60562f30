"""Statistics of a prepared clip without a model: distinct frames a second, silence, loudness."""

from typing import NamedTuple

import numpy as np

from avsync.data.store.reader import PreparedClip
from avsync.timing import FPS, SAMPLES_PER_FRAME

# Audio below this root mean square counts as silent (-40 dB of full scale), as in `SyncPairs`.
SILENCE_RMS = 0.01
# A frame repeats the one before if it changes by less than this share of the largest change within
# `NEIGHBOURS` frames: crops of a repeated frame still differ a little, because the face is tracked.
REPEATED_SHARE = 0.1
NEIGHBOURS = 4
# Points of the loudness curve by which two clips are compared.
LOUDNESS_POINTS = 64
# Clips whose loudness curves have a larger cosine similarity are the same recording; sentences of
# one speaker and form reach 0.95.
DUPLICATE_SIMILARITY = 0.99


class ClipStats(NamedTuple):
    """Statistics of one clip.

    Args:
        distinct_fps: frames a second that differ from the one before.
        silent_share: share of the frames whose audio is silent, in [0, 1].
        loudness: log loudness over time `(64,)`, of mean 0 and length 1; zeros if it is constant.
    """

    distinct_fps: float
    silent_share: float
    loudness: np.ndarray


def measure_clip(clip: PreparedClip) -> ClipStats:
    """Measure a clip; its audio and every fourth pixel of its face crops are read."""
    frames = np.asarray(clip.wav_16k).reshape(-1, SAMPLES_PER_FRAME).astype(np.float64)
    rms = np.sqrt((frames**2).mean(1))
    silent_share = float((rms < SILENCE_RMS).mean())
    return ClipStats(distinct_fps(np.asarray(clip.face)), silent_share, _loudness(rms))


def distinct_fps(crops: np.ndarray) -> float:
    """Count the distinct frames a second of crops `(T, H, W, 3)` uint8 at 25 fps.

    The count is below 25 if a source of fewer frames was converted to 25, or if its encoder left
    frames out. It is 25 for a clip without any movement.
    """
    grey = crops[:, ::4, ::4, 1].astype(np.int16)
    change = np.abs(np.diff(grey, axis=0)).mean((1, 2))
    if not len(change) or not change.any():
        return float(FPS)
    padded = np.pad(change, NEIGHBOURS)
    largest = np.max([padded[k : k + len(change)] for k in range(2 * NEIGHBOURS + 1)], axis=0)
    return FPS * float((change >= REPEATED_SHARE * largest).mean())


def find_duplicates(loudness: np.ndarray, frames: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of clips that are the same recording: same loudness and length, to a frame.

    Args:
        loudness: curves `(n, 64)` as in `ClipStats`.
        frames: lengths `(n,)`.
    """
    pairs = []
    order = np.argsort(frames, kind="stable")
    lengths = frames[order]
    for position, clip in enumerate(order):
        # Only later ones in the order of lengths, so that each pair is found once.
        stop = int(np.searchsorted(lengths, lengths[position] + 1, side="right"))
        later = order[position + 1 : stop]
        equal = later[loudness[later] @ loudness[clip] > DUPLICATE_SIMILARITY]
        pairs += [(min(int(clip), int(other)), max(int(clip), int(other))) for other in equal]
    return sorted(pairs)


def _loudness(rms: np.ndarray) -> np.ndarray:
    level = np.log(rms + SILENCE_RMS)
    at = np.linspace(0, len(level) - 1, LOUDNESS_POINTS)
    level = np.interp(at, np.arange(len(level)), level)
    level -= level.mean()
    size = float(np.linalg.norm(level))
    return level / size if size > 1e-6 else np.zeros(LOUDNESS_POINTS)
