"""Synthetic evidence of a face with a given offset trajectory, in noise like a model's."""

import numpy as np

from avsync.scoring.score_sums import TrackScores

OFFSETS = np.arange(-2000, 2001, 20.0)
LENGTH_S = 120.0


def track(path, seed=0, length_s=LENGTH_S, keep=slice(None)):
    """Return scores of a face whose evidence is a ridge along `path` (seconds to ms), in noise."""
    rng = np.random.default_rng(seed)
    bins = np.arange(round(length_s / 0.4))[keep]
    # A window is counted by its start, and its centre is half its length later.
    t_s = (bins + 0.5) * 0.4 + 0.1
    spoken = rng.random(len(bins)) < 0.6
    ridge = np.exp(-0.5 * ((OFFSETS - path(t_s)[:, None]) / 45) ** 2)
    noise = rng.normal(size=(len(bins), len(OFFSETS) + 4))
    noise = np.stack([np.convolve(row, np.ones(5) / 5**0.5, "valid") for row in noise])
    return TrackScores(
        first_tick=0,
        last_tick=round(25 * length_s),
        offsets_ms=OFFSETS,
        bins=bins,
        evidence=100 * spoken[:, None] * ridge + 12 * noise,
        windows=np.full(len(bins), 10),
        motion=np.full(len(bins), 0.1),
    )


def steps(*segments):
    """Return the offset over time of `(start_s, offset_ms)` segments."""
    starts_s, levels_ms = np.array(segments).T
    return lambda t_s: levels_ms[np.searchsorted(starts_s, t_s, side="right") - 1]
