"""Does the voice lie further off than was searched? What a peak must be to say so."""

import numpy as np

from avsync.scoring.offset import FLANK_MS, HILL_MS, PEAK_MS
from avsync.scoring.track_scores import Curve

# A peak must rise so many standard deviations out of its surroundings to be believed to lie beyond
# the search. Of clips that no benchmark uses, 6 to 12 s long, all that were moved reach 6; one in
# twenty voices of someone else reaches 5, the highest 6.2.
LEAST_RISE = 5.0
# What fits within the search must rise by less than this share of it.
MOST_WITHIN = 0.75
# Fewer offsets than this around a point are no surroundings.
LEAST_AROUND = 12


def lies_beyond(curve: Curve, search_ms: float) -> bool:
    """Whether the voice fits best at an offset beyond +-`search_ms`, and beyond doubt.

    What rises over `HILL_MS` is left out: sentences that begin every few seconds fit anyone's lips
    broadly, again and again.
    """
    smooth = np.convolve(np.pad(curve.evidence, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    inside = np.abs(curve.offsets_ms) <= search_ms + 1e-6
    step_ms = curve.offsets_ms[1] - curve.offsets_ms[0]
    reach, inner = round(HILL_MS / step_ms), round(FLANK_MS / step_ms)
    if inside.all() or not inside.any() or len(smooth) < 2 * reach + 1:
        return False
    flanks = np.ones(2 * reach + 1)
    flanks[reach - inner : reach + inner + 1] = 0
    known = curve.evidence != 0
    around = np.convolve(known, flanks, mode="same")
    hill = np.convolve(np.where(known, smooth, 0), flanks, mode="same") / np.maximum(around, 1)
    rise = np.where(known & (around >= LEAST_AROUND), smooth - hill, 0.0)
    best = int(np.argmax(rise))
    elsewhere = (np.abs(curve.offsets_ms - curve.offsets_ms[best]) > PEAK_MS) & (rise != 0)
    if rise[inside].max() > MOST_WITHIN * rise[best] or elsewhere.sum() < 2 * LEAST_AROUND:
        return False
    return bool(rise[best] >= LEAST_RISE * rise[elsewhere].std())
