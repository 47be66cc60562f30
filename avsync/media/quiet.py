"""Where sound can be cut without being heard: the quietest moments near those that were asked."""

import os
from collections.abc import Sequence
from contextlib import closing

import numpy as np

from avsync.media.audio import AudioClock
from avsync.media.warp import Stretch
from avsync.timing import SAMPLE_RATE

# Jumps are located no better than this, so a pause as near as this is as good a place.
NEAR_S = 0.3
STEP_S = 0.01
# Sound this long counts on either side of a cut.
WINDOW_S = 0.03


def cut_where_quiet(
    path: str | os.PathLike[str], origin_s: float, stretches: Sequence[Stretch]
) -> list[Stretch]:
    """The stretches with the moments between them moved, by 0.3 s at most, to where both ends of
    the sound that meet there are quietest.

    Args:
        path: a media file; its first sound counts.
        origin_s: the time of the first picture, from which the stretches count.
        stretches: what `retime_audio` takes, of constant offsets.
    """
    moved = list(stretches)
    keep_s = 10 + max(abs(each.offset_ms) for each in stretches) / 500
    with closing(AudioClock(path, origin_s, keep_s=keep_s)) as sound:
        for index in range(1, len(moved)):
            before, after = moved[index - 1], moved[index]
            moments = after.start_s + np.arange(-NEAR_S, NEAR_S + STEP_S / 2, STEP_S)
            moments = moments[(moments > before.start_s) & (moments < after.end_s)]
            if len(moments) == 0:
                continue
            # In rising order of time: the sound is read once, forward.
            later, earlier = sorted((before.offset_ms, after.offset_ms))
            loud = _levels(sound, moments - earlier / 1000)
            loud += _levels(sound, moments - later / 1000)
            # Of moments equally quiet the nearest to the one asked for.
            away = 1e-6 * np.abs(moments - after.start_s)
            at_s = float(moments[np.argmin(loud + away)])
            moved[index - 1] = before._replace(end_s=at_s)
            moved[index] = after._replace(start_s=at_s)
    return moved


def _levels(sound: AudioClock, moments: np.ndarray) -> np.ndarray:
    """How loud it is around each of rising moments, in seconds, as root mean squares."""
    first_s = moments[0] - WINDOW_S / 2
    wav = sound.window(first_s, moments[-1] + WINDOW_S)
    length = round(WINDOW_S * SAMPLE_RATE)
    starts = np.round((moments - moments[0]) * SAMPLE_RATE).astype(int)
    return np.array([np.sqrt(np.mean(wav[at : at + length] ** 2)) for at in starts])
