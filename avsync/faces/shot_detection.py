"""Where one shot is cut to the next: a jump of the whole picture that does not come back.

Works on thumbnails, so it costs a fraction of a millisecond a picture. Motion, flashes of light and
fades are no cuts.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import cv2
import numpy as np

from avsync.media.video_reader import Tick

# A cut changes a picture by at least this (see `difference`), and by this many times what changed
# around it.
MIN_JUMP = 0.25
JUMP_OVER_MOTION = 3.0
# Ticks before a picture that tell how much moves; ticks after it that tell a cut from a flash.
RECENT = 8
AHEAD = 3
THUMB_WIDTH, THUMB_HEIGHT = 48, 32
# Variance, in grey levels squared, below which a thumbnail is as good as flat.
FLAT = 150.0
# Lights that are switched on change a picture's contrast by at most this factor.
MAX_GAIN = 4.0


def detect_shots(ticks: Iterable[Tick]) -> Iterator[tuple[Tick, bool]]:
    """Each tick with True where it is the first of a shot, `AHEAD` ticks behind the input."""
    waiting: deque[tuple[Tick, np.ndarray]] = deque()
    cuts = _Cuts()
    expected = 0
    for tick in ticks:
        if tick.index != expected:  # Ticks are missing: what comes is a shot of its own.
            yield from _rest(waiting, cuts)
            cuts = _Cuts()
        expected = tick.index + 1
        waiting.append((tick, thumbnail(tick.image)))
        if len(waiting) > AHEAD:
            yield waiting[0][0], cuts.starts_shot([small for _, small in waiting])
            waiting.popleft()
    yield from _rest(waiting, cuts)


def _rest(waiting: deque[tuple[Tick, np.ndarray]], cuts: "_Cuts") -> Iterator[tuple[Tick, bool]]:
    while waiting:
        yield waiting[0][0], cuts.starts_shot([small for _, small in waiting])
        waiting.popleft()


class _Cuts:
    """What the current shot has looked like so far."""

    def __init__(self) -> None:
        self.last: np.ndarray | None = None
        self.recent: deque[float] = deque(maxlen=RECENT)

    def starts_shot(self, coming: list[np.ndarray]) -> bool:
        """True where the first coming thumbnail is cut away from the one given before it."""
        last, self.last = self.last, coming[0]
        if last is None:
            return True
        jump = difference(last, coming[0])
        is_cut = jump > MIN_JUMP and self._stands_out(jump, last, coming)
        if is_cut:
            self.recent.clear()
        else:
            self.recent.append(jump)
        return is_cut

    def _stands_out(self, jump: float, last: np.ndarray, coming: list[np.ndarray]) -> bool:
        motion = max(self.recent, default=0.0)
        if len(coming) > 1:
            motion = max(motion, difference(coming[0], coming[1]))
        comes_back = any(difference(last, later) < jump / 2 for later in islice(coming, 1, None))
        return jump > JUMP_OVER_MOTION * motion and not comes_back


def thumbnail(image: np.ndarray) -> np.ndarray:
    """An image `(H, W, 3)` uint8 as `(32, 48, 3)` float32 without its mean colour."""
    # Four samples a pixel or a few more are enough to tell shots apart, and cost little.
    down = max(1, image.shape[0] // (2 * THUMB_HEIGHT))
    across = max(1, image.shape[1] // (2 * THUMB_WIDTH))
    sampled = np.ascontiguousarray(image[::down, ::across])
    small = cv2.resize(sampled, (THUMB_WIDTH, THUMB_HEIGHT), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    return small - small.mean(axis=(0, 1))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """0 for thumbnails alike up to brightness and contrast, about 1 for unrelated ones.

    Correlation, but two flat pictures are alike, and a flat and a rich one are not.
    """
    poorer, richer = sorted((float(np.mean(a * a)), float(np.mean(b * b))))
    alike = (float(np.mean(a * b)) + FLAT) / (np.sqrt(poorer * richer) + FLAT)
    return float(1 - alike * min(1.0, (MAX_GAIN**2 * poorer + FLAT) / (richer + FLAT)))
