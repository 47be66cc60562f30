"""How a head moves while its mouth does something else: sway, turns, nods, blinks, brows. A
function of time alone."""

from typing import NamedTuple

import numpy as np

_WAVES = 5
# Blinks repeat after this many; nobody will notice.
_BLINKS = 400


class HeadPose(NamedTuple):
    """Shift as a share of the face's room in the picture, scale factor, angles in radians, eyes and
    brows."""

    shift_x: float
    shift_y: float
    scale: float
    roll: float
    yaw: float
    pitch: float
    eyes_open: float
    gaze_x: float
    gaze_y: float
    brow_mm: float


class Motion:
    """One person's habit of moving.

    Args:
        rng: draws the habit; afterwards the motion depends on time only.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        energy = rng.choice((0.15, 0.6, 1.0, 1.6))
        # shift_x, shift_y, scale, roll, yaw, pitch, gaze_x, gaze_y, brow
        reach = np.array([0.05, 0.03, 0.04, 0.06, 0.13, 0.09, 0, 0, 0.8]) * energy
        reach[6:8] = 1.2, 0.5
        self.amplitude = reach[:, None] * rng.normal(0, 0.5, (9, _WAVES))
        self.hz = rng.uniform(0.05, 0.7, (9, _WAVES))
        self.hz[8] *= 1.5
        self.phase = rng.uniform(0, 2 * np.pi, (9, _WAVES))
        self.steady = rng.normal(0, (0.05, 0.03, 0.0, 0.05, 0.09, 0.06, 0.4, 0.3, 0.5))
        self.blinks = np.cumsum(rng.gamma(2.0, 1.8, _BLINKS) + 0.3)

    def at(self, time_s: float) -> HeadPose:
        """The pose at a time of the clip."""
        waves = self.amplitude * np.sin(2 * np.pi * self.hz * time_s + self.phase)
        value = self.steady + waves.sum(1)
        value = np.clip(value, *_LIMITS)
        now = time_s % self.blinks[-1]
        since = now - self.blinks[max(np.searchsorted(self.blinks, now) - 1, 0)]
        shut = np.clip(1 - abs(since - 0.09) / 0.09, 0, 1) if since > 0 else 0.0
        x, y, scale, roll, yaw, pitch, gaze_x, gaze_y, brow = (float(v) for v in value)
        eyes = float(1 - min(1.6 * shut, 1))
        return HeadPose(x, y, 1 + scale, roll, yaw, pitch, eyes, gaze_x, gaze_y, brow)


_LIMITS = (
    np.array([-0.12, -0.07, -0.15, -0.22, -0.26, -0.18, -3, -1.5, -1.5]),
    np.array([0.12, 0.07, 0.15, 0.22, 0.26, 0.18, 3, 1.5, 3.5]),
)
