"""Detect cuts between shots: a jump of the whole image that does not revert.

Works on thumbnails, so it costs a fraction of a millisecond per frame. Motion, flashes of light and
fades are no cuts.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import cv2
import numpy as np

from avsync.media.video_reader import Tick

# A cut changes the image by at least this (see `difference`), and by this many times the change
# around it.
MIN_JUMP = 0.25
JUMP_OVER_MOTION = 3.0
# Frames before a jump that measure motion; frames after it that distinguish a cut from a flash.
RECENT = 8
LOOKAHEAD = 3
THUMB_WIDTH, THUMB_HEIGHT = 48, 32
# Variance, in grey levels squared, below which a thumbnail counts as flat.
FLAT = 150.0
# Lights that are switched on change the contrast by at most this factor.
MAX_GAIN = 4.0


def detect_shots(ticks: Iterable[Tick]) -> Iterator[tuple[Tick, bool]]:
    """Yield each frame with True where it is the first of a shot.

    Frames come out `LOOKAHEAD` behind the input. Frames after a gap in `Tick.index` start a shot.

    Args:
        ticks: frames at a constant rate.
    """
    waiting: deque[tuple[Tick, np.ndarray]] = deque()
    shot = _Shot()
    expected = 0
    for tick in ticks:
        if tick.index != expected:
            yield from _flush(waiting, shot)
            shot = _Shot()
        expected = tick.index + 1
        waiting.append((tick, thumbnail(tick.image)))
        if len(waiting) > LOOKAHEAD:
            yield waiting[0][0], shot.ends_before([small for _, small in waiting])
            waiting.popleft()
    yield from _flush(waiting, shot)


def _flush(waiting: deque[tuple[Tick, np.ndarray]], shot: "_Shot") -> Iterator[tuple[Tick, bool]]:
    while waiting:
        yield waiting[0][0], shot.ends_before([small for _, small in waiting])
        waiting.popleft()


class _Shot:
    """The last thumbnail and the recent motion of the current shot."""

    def __init__(self) -> None:
        self.last: np.ndarray | None = None
        self.recent_changes: deque[float] = deque(maxlen=RECENT)

    def ends_before(self, coming: list[np.ndarray]) -> bool:
        """Return whether the first coming thumbnail starts a new shot, and take it in."""
        last, self.last = self.last, coming[0]
        if last is None:
            return True
        jump = difference(last, coming[0])
        is_cut = jump > MIN_JUMP and self._stands_out(jump, last, coming)
        if is_cut:
            self.recent_changes.clear()
        else:
            self.recent_changes.append(jump)
        return is_cut

    def _stands_out(self, jump: float, last: np.ndarray, coming: list[np.ndarray]) -> bool:
        motion = max(self.recent_changes, default=0.0)
        if len(coming) > 1:
            motion = max(motion, difference(coming[0], coming[1]))
        reverts = any(difference(last, later) < jump / 2 for later in islice(coming, 1, None))
        return jump > JUMP_OVER_MOTION * motion and not reverts


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return an image `(H, W, 3)` uint8 as `(32, 48, 3)` float32 without its mean colour."""
    # At least four samples per pixel suffice to distinguish shots, and cost little.
    step_y = max(1, image.shape[0] // (2 * THUMB_HEIGHT))
    step_x = max(1, image.shape[1] // (2 * THUMB_WIDTH))
    sampled = np.ascontiguousarray(image[::step_y, ::step_x])
    small = cv2.resize(sampled, (THUMB_WIDTH, THUMB_HEIGHT), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    return small - small.mean(axis=(0, 1))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Compare two thumbnails: 0 if equal up to brightness and contrast, about 1 if unrelated.

    One minus their correlation, except that two flat images count as equal, and a flat and a
    detailed one do not.
    """
    low, high = sorted((float(np.mean(a * a)), float(np.mean(b * b))))
    similarity = (float(np.mean(a * b)) + FLAT) / (np.sqrt(low * high) + FLAT)
    return float(1 - similarity * min(1.0, (MAX_GAIN**2 * low + FLAT) / (high + FLAT)))
