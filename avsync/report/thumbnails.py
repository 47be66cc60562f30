"""Thumbnails of a face at a few times of a file, with the loudness of the audio around each.

Only these times are decoded, by seeking, within a time budget: a report never takes a second pass
over the file.
"""

import base64
import time
from typing import NamedTuple

import cv2
import numpy as np

from avsync.media.container import UnreadableMedia
from avsync.media.probe import channel_names
from avsync.media.seek import AudioSeeker, VideoSeeker
from avsync.pipelines.check.export import tolerance_share
from avsync.report.mouth_landmarks import MouthFinder, draw_mouth
from avsync.report.track_rows import TrackRow
from avsync.scoring.result import CheckResult, Fault, TimelinePoint
from avsync.timing import Tolerance

MOMENTS = 5
# Pixels; 1.5 times the displayed size, for dense screens.
THUMBNAIL_PX = 276
# A box is from brow to chin; twice its size shows the whole head.
MARGIN = 2.0
JPEG_QUALITY = 80
# Loudness is drawn this far to both sides of a thumbnail, in this many bars.
AROUND_S = 0.6
BARS = 80
WORST = "furthest from sync"
Box = tuple[float, float, float, float]


class MediaSource(NamedTuple):
    """File with the positions of its streams to show; `channel` is None for the mix of all."""

    path: str
    video: int = 0
    audio: int = 0
    channel: int | None = None


def source_of(result: CheckResult) -> MediaSource:
    """Return the streams of a file that its result is of."""
    audio, channel = result.audio or 0, None
    if result.channel is not None:
        names = channel_names(result.file, audio)
        channel = names.index(result.channel) if result.channel in names else None
    return MediaSource(result.file, result.video, audio, channel)


class Moment(NamedTuple):
    """A time to show; `t_s` counts from the first video frame, without `box` the whole frame."""

    t_s: float
    box: Box | None = None
    point: TimelinePoint | None = None
    note: str = ""


class Thumbnail(NamedTuple):
    """A JPEG as data URI, its size in pixels, and the loudness `(BARS,)` in [0, 1] around it.

    `landmarks` is true if those of the mouth are drawn on it.
    """

    data_uri: str
    width: int
    height: int
    loudness: np.ndarray | None
    landmarks: bool = False


def choose_moments(
    row: TrackRow, limits: Tolerance, fault: Fault | None = None, most: int = MOMENTS
) -> list[Moment]:
    """Choose the moments to show of a row.

    The furthest from sync, the most confident, one of each segment of a fault, and others spread
    over the time that the faces are in view.
    """
    measured = row.measured
    if not measured:
        shown = [row.tracks[k] for k in _evenly(len(row.tracks), most)]
        parts = most // len(shown)
        return [
            Moment(t_s, track.box)
            for track in shown
            for t_s in spread(track.start_s, track.end_s, parts)
        ]
    trusted = max(point.confidence for point in measured) / 2
    candidates = [point for point in measured if point.confidence >= trusted]
    worst = max(candidates, key=lambda point: tolerance_share(point.offset_ms or 0.0, limits))
    surest = max(candidates, key=lambda point: point.confidence)
    parts_of_fault = () if fault is None or len(fault.pieces) < 2 else fault.pieces
    inner = [
        [p for p in candidates if part.start_s <= p.t_s < part.end_s] for part in parts_of_fault
    ]
    typical = [max(points, key=lambda point: point.confidence) for points in inner if points]
    others = [measured[k] for k in _evenly(len(measured), most)]
    notes = {surest: "surest", worst: WORST}
    chosen = list(dict.fromkeys([worst, *typical, surest, *others]))[:most]
    chosen.sort(key=lambda point: point.t_s)
    return [
        Moment(point.t_s, _box_at(row, point.t_s), point, notes.get(point, "")) for point in chosen
    ]


def spread(start_s: float, end_s: float, parts: int = MOMENTS) -> list[float]:
    """Return the centres of `parts` equal parts of a time interval."""
    return [start_s + (end_s - start_s) * (k + 0.5) / parts for k in range(parts)]


def read_images(
    source: MediaSource,
    moments: list[Moment],
    budget_s: float = 6.0,
    mouths: MouthFinder | None = None,
) -> list[Thumbnail | None]:
    """Read a thumbnail for each moment; None if the budget ran out or decoding failed there.

    Args:
        source: the file.
        moments: what to show.
        budget_s: seconds that reading may take.
        mouths: finds the landmarks that are drawn on the faces; None for none.

    Raises:
        UnreadableMedia: if the file does not exist or has no video.
    """
    deadline_s = time.monotonic() + budget_s
    with VideoSeeker(source.path, deadline_s, source.video) as video:
        times_s = [video.first_s + moment.t_s for moment in moments]
        images = [
            _cut(video.frame_at(at_s), moment.box, mouths)
            for at_s, moment in zip(times_s, moments, strict=True)
        ]
    loud = _loudness(source, times_s, deadline_s)
    return [
        None if cut is None else _thumbnail(*cut, audio)
        for cut, audio in zip(images, loud, strict=True)
    ]


def _thumbnail(image: np.ndarray, landmarks: bool, loudness: np.ndarray | None) -> Thumbnail:
    return Thumbnail(jpeg_uri(image), image.shape[1], image.shape[0], loudness, landmarks)


def _evenly(count: int, most: int) -> list[int]:
    """Return up to `most` evenly spread indices below `count`, first and last included."""
    return sorted({round(k) for k in np.linspace(0, count - 1, most)})


def _box_at(row: TrackRow, t_s: float) -> Box:
    return min(row.tracks, key=lambda track: max(track.start_s - t_s, t_s - track.end_s)).box


def _cut(
    image: np.ndarray | None, box: Box | None, mouths: MouthFinder | None
) -> tuple[np.ndarray, bool] | None:
    """Return a frame cropped to the box, at thumbnail size, and whether landmarks are on it."""
    if image is None:
        return None
    if box is None:
        return shrink(image, THUMBNAIL_PX), False
    left, top, side = _square(image, box)
    small = shrink(image[top : top + side, left : left + side], THUMBNAIL_PX)
    points = None if mouths is None else mouths(image, box)
    if points is None:
        return small, False
    # Pixel centres are at half-integers, in the frame as in the thumbnail.
    scaled = (points + 0.5 - (left, top)) * (len(small) / side) - 0.5
    return draw_mouth(small, scaled), True


def around(image: np.ndarray, box: Box) -> np.ndarray:
    """Return the square crop around a face, shifted to lie inside the image."""
    left, top, side = _square(image, box)
    return image[top : top + side, left : left + side]


def _square(image: np.ndarray, box: Box) -> tuple[int, int, int]:
    """Return the left and upper edge and the side of that crop."""
    height, width = image.shape[:2]
    side = int(min(MARGIN * max(box[2] - box[0], box[3] - box[1], 16), height, width))
    left = int(np.clip((box[0] + box[2] - side) / 2, 0, width - side))
    top = int(np.clip((box[1] + box[3] - side) / 2, 0, height - side))
    return left, top, side


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """Return the image with its longer side at most `side` pixels."""
    scale = min(1.0, side / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def jpeg_uri(image: np.ndarray) -> str:
    """Return an image `(H, W, 3)` RGB uint8 as a JPEG in a data URI."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _loudness(
    source: MediaSource, times_s: list[float], deadline_s: float
) -> list[np.ndarray | None]:
    """Return the loudness `(BARS,)` around each time, relative to the loudest; None if not read."""
    try:
        with AudioSeeker(source.path, source.audio, source.channel) as audio:
            energies = [_energy(audio, at_s, deadline_s) for at_s in times_s]
    except (UnreadableMedia, OSError):
        return [None] * len(times_s)
    loudest = max((float(energy.max()) for energy in energies if energy is not None), default=0.0)
    return [None if energy is None else (energy / max(loudest, 1e-3)) ** 0.6 for energy in energies]


def _energy(audio: AudioSeeker, at_s: float, deadline_s: float) -> np.ndarray | None:
    """Return the RMS amplitude `(BARS,)` within AROUND_S of a time on the file's clock."""
    start_s = at_s - AROUND_S
    squares, counts = np.zeros(BARS), np.zeros(BARS)
    for begin_s, wav in audio.blocks_from(start_s):
        if time.monotonic() > deadline_s:
            return None
        if begin_s > at_s + AROUND_S:
            break
        at = (begin_s - start_s + np.arange(len(wav)) / audio.rate) / (2 * AROUND_S) * BARS
        bars = at.astype(int)
        inside = (at >= 0) & (bars < BARS)
        squares += np.bincount(bars[inside], wav[inside].astype(np.float64) ** 2, BARS)
        counts += np.bincount(bars[inside], minlength=BARS)
    return np.sqrt(squares / np.maximum(counts, 1)) if counts.any() else None
