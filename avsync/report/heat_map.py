"""Heat map of the scores of a file, time by shift, as a small PNG image."""

import base64
import struct
import zlib
from typing import NamedTuple

import cv2
import numpy as np

from avsync.scoring.result import TrackResult
from avsync.scoring.score_map import median_step, resample_cells


class Grain(NamedTuple):
    """Largest number of columns, lines and colours of an image."""

    columns: int
    lines: int
    colours: int


# 48 colours look the same as 256 and compress better.
FINE = Grain(720, 200, 48)
# One of hundreds on a page: packs to some 4 kB.
COARSE = Grain(160, 50, 16)


class HeatMap(NamedTuple):
    """An image from `low_ms` at the bottom to `high_ms` at the top; unknown is transparent."""

    data_uri: str
    low_ms: float
    high_ms: float
    worst_score: float
    best_score: float


def draw_heat_map(
    tracks: tuple[TrackResult, ...], end_s: float, grain: Grain = FINE
) -> HeatMap | None:
    """Draw the scores of consecutive tracks from 0 to `end_s` seconds; None if there are none."""
    maps = [track.score_map for track in tracks if track.score_map is not None]
    maps = [scores for scores in maps if np.isfinite(scores.scores).any()]
    if not maps or end_s <= 0:
        return None
    step_s = median_step([scores.t_s for scores in maps])
    step_ms = median_step([scores.shift_ms for scores in maps])
    low = float(min(scores.shift_ms.min() for scores in maps)) - step_ms / 2
    high = float(max(scores.shift_ms.max() for scores in maps)) + step_ms / 2
    columns = np.linspace(0, end_s, grain.columns + 1)
    count = min(grain.lines, max(1, round((high - low) / step_ms)))
    lines = np.linspace(low, high, count + 1)
    image = np.full((grain.columns, count), np.nan)
    for scores in maps:
        ends = scores.t_s[0] - step_s / 2, scores.t_s[-1] + step_s / 2
        first, last = np.searchsorted(columns, ends)
        here = slice(max(first - 1, 0), min(last, grain.columns))
        if here.start >= here.stop:
            continue
        narrow = resample_cells(
            scores.scores, scores.t_s, step_s, columns[here.start : here.stop + 1]
        )
        part = resample_cells(narrow.T, scores.shift_ms, step_ms, lines).T
        image[here] = np.where(np.isfinite(part), part, image[here])
    if not np.isfinite(image).any():
        return None
    worst, best = np.nanpercentile(image, (2, 99.8))
    levels = (image - worst) / max(best - worst, 1e-9)
    return HeatMap(_png_uri(levels.T[::-1], grain.colours), low, high, float(worst), float(best))


def _png_uri(levels: np.ndarray, colours: int) -> str:
    """Levels `(H, W)` in [0, 1] as a PNG with a palette, which packs far better than colours do."""
    height, width = levels.shape
    known = np.isfinite(levels)
    colour = np.where(known, 1 + (levels.clip(0, 1) * (colours - 1)).round(), 0).astype(np.uint8)
    packed = zlib.compress(np.hstack([np.zeros((height, 1), np.uint8), colour]).tobytes(), 6)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(3) + viridis(colours).tobytes()),
        (b"tRNS", bytes(1)),
        (b"IDAT", packed),
        (b"IEND", b""),
    )
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def viridis(colours: int) -> np.ndarray:
    """`(colours, 3)` uint8 RGB from dark to bright; as easy to tell apart for the colour-blind."""
    ramp = np.linspace(0, 255, colours).round().astype(np.uint8)[:, None]
    return cv2.cvtColor(cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)[:, 0]
