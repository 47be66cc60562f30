"""What a prepared clip shows of itself, without a model: frames a second, silence, its twins."""

from typing import NamedTuple

import numpy as np

from avsync.data.store.reader import PreparedClip
from avsync.timing import FPS, SAMPLES_PER_FRAME

# Audio below this root mean square counts as quiet (-40 dB of full scale), as in `SyncPairs`.
QUIET = 0.01
# A frame is the one before, shown again, where it changes by less than this share of the largest
# change near it: crops of one frame still differ a little, for the face is followed.
SAME = 0.1
NEAR = 4
# Points of a clip's loudness that tell whether another is the same recording.
PRINT = 64
# Above this their product says that they are; sentences of one speaker and form reach 0.95.
ALIKE = 0.99


class ClipStats(NamedTuple):
    """One clip: `new_fps` frames a second that are new, the share of its frames that are `quiet`,
    in [0, 1], and its loudness over time `(64,)`, of mean 0 and length 1, all 0 where it is even.
    """

    new_fps: float
    quiet: float
    loudness: np.ndarray


def look_at(clip: PreparedClip) -> ClipStats:
    """Look at a clip; reads its face crops, thinned out, and its audio."""
    frames = np.asarray(clip.wav_16k).reshape(-1, SAMPLES_PER_FRAME).astype(np.float64)
    rms = np.sqrt((frames**2).mean(1))
    return ClipStats(new_fps(np.asarray(clip.face)), float((rms < QUIET).mean()), _print(rms))


def new_fps(crops: np.ndarray) -> float:
    """Frames a second that are new, of crops `(T, H, W, 3)` uint8 at 25 a second.

    Below 25 where a source of fewer was brought to 25, or where its encoder left frames out. 25
    for a clip in which nothing moves.
    """
    grey = crops[:, ::4, ::4, 1].astype(np.int16)
    change = np.abs(np.diff(grey, axis=0)).mean((1, 2))
    if not len(change) or not change.any():
        return float(FPS)
    around = np.pad(change, NEAR)
    largest = np.max([around[k : k + len(change)] for k in range(2 * NEAR + 1)], axis=0)
    return FPS * float((change >= SAME * largest).mean())


def twins(loudness: np.ndarray, frames: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of clips that are the same recording: as loud at every moment and as long, to a frame.

    Args:
        loudness: `(n, 64)`, as `look_at` gives it.
        frames: lengths `(n,)`.
    """
    pairs = []
    order = np.argsort(frames, kind="stable")
    lengths = frames[order]
    for place, clip in enumerate(order):
        # Only longer ones and as long ones: each pair once.
        stop = int(np.searchsorted(lengths, lengths[place] + 1, side="right"))
        later = order[place + 1 : stop]
        alike = later[loudness[later] @ loudness[clip] > ALIKE]
        pairs += [(min(int(clip), int(other)), max(int(clip), int(other))) for other in alike]
    return sorted(pairs)


def _print(rms: np.ndarray) -> np.ndarray:
    level = np.log(rms + QUIET)
    at = np.linspace(0, len(level) - 1, PRINT)
    level = np.interp(at, np.arange(len(level)), level)
    level -= level.mean()
    size = float(np.linalg.norm(level))
    return level / size if size > 1e-6 else np.zeros(PRINT)
