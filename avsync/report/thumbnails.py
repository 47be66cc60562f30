"""Images of a face at a few moments of a file, and how loud the audio is around each.

Only the wanted moments are read, by seeking, and only for as long as a budget lasts: a report never
takes the time of a second pass over the file.
"""

import base64
import time
from collections.abc import Iterator
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.container import InputContainer

from avsync.media.container import UnreadableMedia, audio_stream, open_media, video_stream
from avsync.media.video_reader import Converter, decoded_frames, pixel_ratio
from avsync.pipelines.check.export import strain
from avsync.report.track_rows import Row
from avsync.scoring.result import Fault, TimelinePoint
from avsync.timing import Tolerance

MOMENTS = 5
# Half as much again as is shown, for dense screens.
PICTURE = 276
# A box holds brow to chin; twice its size shows whose face it is.
MARGIN = 2.0
JPEG_QUALITY = 80
# Audio is drawn this far to both sides of an image, in this many bars.
AROUND_S = 0.6
BARS = 80
# Some containers seek to somewhere past the place asked for: then again from further ahead.
LEADS_S = (0.0, 1.0, 4.0, 12.0)
# Times come from floats and from clocks of few ticks a second.
CLOSE_S = 0.005
WORST = "furthest from sync"
Box = tuple[float, float, float, float]


class Moment(NamedTuple):
    """A moment worth a look; `t_s` counts from the first video frame, no `box`: all of it."""

    t_s: float
    box: Box | None = None
    point: TimelinePoint | None = None
    note: str = ""


class Picture(NamedTuple):
    """A JPEG, its size in pixels, and the loudness `(BARS,)` in [0, 1] around it, if any."""

    data_uri: str
    width: int
    height: int
    loudness: np.ndarray | None


def choose_moments(
    row: Row, limits: Tolerance, fault: Fault | None = None, most: int = MOMENTS
) -> list[Moment]:
    """Return the furthest from sync, the surest, one of each piece of a fault, and others spread over the
    time the faces are in view.
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
    worst = max(candidates, key=lambda point: strain(point.offset_ms or 0.0, limits))
    surest = max(candidates, key=lambda point: point.confidence)
    pieces = () if fault is None or len(fault.pieces) < 2 else fault.pieces
    inner = [[p for p in candidates if piece.start_s <= p.t_s < piece.end_s] for piece in pieces]
    typical = [max(points, key=lambda point: point.confidence) for points in inner if points]
    others = [measured[k] for k in _evenly(len(measured), most)]
    notes = {surest: "surest", worst: WORST}
    chosen = list(dict.fromkeys([worst, *typical, surest, *others]))[:most]
    chosen.sort(key=lambda point: point.t_s)
    return [
        Moment(point.t_s, _box_at(row, point.t_s), point, notes.get(point, "")) for point in chosen
    ]


def spread(start_s: float, end_s: float, parts: int = MOMENTS) -> list[float]:
    """Return the middles of equal parts of a stretch of time."""
    return [start_s + (end_s - start_s) * (k + 0.5) / parts for k in range(parts)]


def read_images(path: str, moments: list[Moment], budget_s: float = 6.0) -> list[Picture | None]:
    """One image for each moment, None where the budget ran out or nothing could be decoded there.

    Raises UnreadableMedia where the file is gone or holds no video.
    """
    deadline = time.monotonic() + budget_s
    with open_media(path) as container:
        stream = video_stream(container)
        first = next(decoded_frames(container, stream), None)
        if first is None:
            raise UnreadableMedia("damaged", "no image of the video could be decoded")
        origin_s = first[0]
        images = [
            _picture_at(container, stream, origin_s + moment.t_s, moment.box, deadline)
            for moment in moments
        ]
    loud = _loudness(path, [origin_s + moment.t_s for moment in moments], deadline)
    return [
        None if image is None else Picture(jpeg_uri(image), image.shape[1], image.shape[0], audio)
        for image, audio in zip(images, loud, strict=True)
    ]


def _evenly(count: int, most: int) -> list[int]:
    """Up to `most` of the numbers below count, first and last among them."""
    return sorted({round(k) for k in np.linspace(0, count - 1, most)})


def _box_at(row: Row, t_s: float) -> Box:
    return min(row.tracks, key=lambda track: max(track.start_s - t_s, t_s - track.end_s)).box


def _picture_at(
    container: InputContainer,
    stream: av.VideoStream,
    at_s: float,
    box: Box | None,
    deadline: float,
) -> np.ndarray | None:
    """Return the image on screen at a time of the file, cut to the box; None where none came in time."""
    for lead_s in LEADS_S:
        try:
            container.seek(int((at_s - lead_s) * av.time_base), backward=True)
        except (av.error.FFmpegError, OSError, OverflowError):
            continue
        shown = None
        for time_s, frame in decoded_frames(container, stream):
            if time.monotonic() > deadline:
                return None
            if time_s > at_s + CLOSE_S:
                break
            shown = time_s, frame
        if shown is not None and at_s - shown[0] < 0.5:
            image = Converter(pixel_ratio(stream))(shown[1])
            return shrink(image if box is None else around(image, box), PICTURE)
    return None


def around(image: np.ndarray, box: Box) -> np.ndarray:
    """Return the square about a face, moved inside the image where it reaches over the edge."""
    height, width = image.shape[:2]
    side = int(min(MARGIN * max(box[2] - box[0], box[3] - box[1], 16), height, width))
    left = int(np.clip((box[0] + box[2] - side) / 2, 0, width - side))
    top = int(np.clip((box[1] + box[3] - side) / 2, 0, height - side))
    return image[top : top + side, left : left + side]


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


def _loudness(path: str, times_s: list[float], deadline: float) -> list[np.ndarray | None]:
    """Loudness `(BARS,)` around each time against the loudest of all; None where none was read."""
    try:
        with open_media(path) as container:
            stream = audio_stream(container)
            energies = [_energy(container, stream, at_s, deadline) for at_s in times_s]
    except (UnreadableMedia, av.error.FFmpegError, OSError):
        return [None] * len(times_s)
    loudest = max((float(energy.max()) for energy in energies if energy is not None), default=0.0)
    return [None if energy is None else (energy / max(loudest, 1e-3)) ** 0.6 for energy in energies]


def _energy(
    container: InputContainer, stream: av.AudioStream, at_s: float, deadline: float
) -> np.ndarray | None:
    """Effective amplitude `(BARS,)` of the audio within AROUND_S of a time on the file's clock."""
    start_s = at_s - AROUND_S
    container.seek(int(max(start_s - 0.3, 0) * av.time_base), backward=True)
    squares, counts = np.zeros(BARS), np.zeros(BARS)
    for begin_s, wav in audio_of(container, stream):
        if time.monotonic() > deadline:
            return None
        if begin_s > at_s + AROUND_S:
            break
        at = (begin_s - start_s + np.arange(len(wav)) / stream.rate) / (2 * AROUND_S) * BARS
        bars = at.astype(int)
        inside = (at >= 0) & (bars < BARS)
        squares += np.bincount(bars[inside], wav[inside].astype(np.float64) ** 2, BARS)
        counts += np.bincount(bars[inside], minlength=BARS)
    return np.sqrt(squares / np.maximum(counts, 1)) if counts.any() else None


def audio_of(
    container: InputContainer, stream: av.AudioStream, rate: int | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """Blocks of mono audio `(N,)` from where a container stands, and when each begins on the clock
    of the file; at the stream's own rate where none is given. Ends where a block has no time.
    """
    rate = rate or stream.rate
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    for frame in _sound(container, stream):
        if frame.pts is None or frame.time_base is None:
            return
        for mono in resampler.resample(frame):
            if mono.pts is not None and mono.time_base is not None:
                yield float(mono.pts * mono.time_base), mono.to_ndarray()[0]


def _sound(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    # After a seek the first packet may be half a frame, and a damaged file breaks anywhere.
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue
