"""Track faces through a video: detect in some frames, interpolate between, one track per shot."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from avsync.faces.crops import Face
from avsync.faces.detector import FaceDetector
from avsync.faces.shot_detection import detect_shots
from avsync.media.video_reader import Tick

# A face that the detector loses stays in its track, at its last position, for this long.
HOLD_S = 1.0
# Between two detections a face must overlap its last box by this IoU, and not change its size by
# more than this factor.
MIN_IOU = 0.15
MAX_SCALE_CHANGE = 1.8

# A track's values `(15,)`: box, five points, score.
BOX, POINTS, SCORE = slice(0, 4), slice(4, 14), 14


class TrackedFace(NamedTuple):
    """A face of one track in one frame, in pixels.

    `box` (4,) and `points` (5, 2) are as in `Face`, smoothed. `score` is the detector's,
    interpolated; it is 0 where the face is lost and held at its last position.
    """

    track: int
    box: np.ndarray
    points: np.ndarray
    score: float


class TrackedTick(NamedTuple):
    """A frame at a constant rate (see `Tick`) with the faces in it."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    time_s: float
    image: np.ndarray
    faces: tuple[TrackedFace, ...]


def follow_faces(
    ticks: Iterable[Tick], detector: FaceDetector, stride: int = 5
) -> Iterator[TrackedTick]:
    """Track every face, yielding the frames in order, about `2 * stride` behind the input.

    The detector runs on each `stride`-th frame and on the first and last of each shot; boxes and
    points in between are interpolated and smoothed without lag. A track ends with its shot, or when
    the face is lost for `HOLD_S` seconds; its number is not reused. A face detected only once in a
    shot of several detections is taken for a false detection.

    Args:
        ticks: frames `(H, W, 3)` uint8 RGB at a constant rate.
        detector: detects the faces in a frame.
        stride: frames between detections; at most `2 * stride` + 4 frames are held.
    """
    if stride < 1:
        raise ValueError(f"stride must be at least 1, got {stride}")
    tracker = _ShotTracker(detector, stride)
    for tick, starts_shot in detect_shots(ticks):
        if starts_shot:
            yield from tracker.end_shot()
        yield from tracker.add(tick)
    yield from tracker.end_shot()


class _ShotTracker:
    """The state of `follow_faces` in one shot: waiting frames and active tracks."""

    def __init__(self, detector: FaceDetector, stride: int) -> None:
        self.detector = detector
        self.stride = stride
        self.waiting: deque[Tick] = deque()
        self.tracks: list[_SmoothedTrack] = []
        self.next_number = 0
        self.detections = 0
        self.next_detection: int | None = None
        self.last_detection = -1

    def add(self, tick: Tick) -> Iterator[TrackedTick]:
        self.waiting.append(tick)
        if self.next_detection is None or tick.index >= self.next_detection:
            self._detect(tick)
            yield from self._release(until=tick.index - self.stride, shot_ended=False)

    def end_shot(self) -> Iterator[TrackedTick]:
        if self.waiting:
            if self.waiting[-1].index > self.last_detection:
                self._detect(self.waiting[-1])
            yield from self._release(until=self.waiting[-1].index, shot_ended=True)
        self.tracks, self.detections, self.next_detection = [], 0, None

    def _detect(self, tick: Tick) -> None:
        faces = self.detector(tick.image)
        self.tracks = [t for t in self.tracks if tick.time_s - t.last_seen_s <= HOLD_S]
        matched = match_faces([track.last_box for track in self.tracks], faces)
        for number, face in enumerate(faces):
            if number not in matched.values():
                self.tracks.append(_SmoothedTrack(tick.index, tick.time_s, face))
        for track_number, face_number in matched.items():
            self.tracks[track_number].add(tick.index, tick.time_s, faces[face_number])
        self.detections += 1
        self.last_detection = tick.index
        lost = any(track.last_seen < tick.index for track in self.tracks if track.detections > 1)
        self.next_detection = tick.index + (max(1, self.stride // 2) if lost else self.stride)

    def _release(self, until: int, shot_ended: bool) -> Iterator[TrackedTick]:
        while self.waiting and self.waiting[0].index <= until:
            tick = self.waiting.popleft()
            faces = []
            for track in self.tracks:
                if track.detections == 1 and self.detections > 1:
                    continue
                values = track.at(tick.index, self.stride, hold=not shot_ended)
                if values is None:
                    continue
                if track.number is None:
                    track.number, self.next_number = self.next_number, self.next_number + 1
                points = values[POINTS].reshape(5, 2)
                faces.append(TrackedFace(track.number, values[BOX], points, float(values[SCORE])))
            yield TrackedTick(tick.index, tick.time_s, tick.image, tuple(faces))


class _SmoothedTrack:
    """The detections of one face, interpolated and smoothed between them.

    Args:
        index: index of the frame of the first detection.
        time_s: its time.
        face: the first detection.
    """

    def __init__(self, index: int, time_s: float, face: Face) -> None:
        self.number: int | None = None
        self.first_seen = index
        self.detections = 0
        self._indices: list[int] = []
        self._values: list[np.ndarray] = []
        self.add(index, time_s, face)

    def add(self, index: int, time_s: float, face: Face) -> None:
        self.last_seen, self.last_seen_s, self.last_box = index, time_s, face.box
        self.detections += 1
        self._append(index, np.concatenate([face.box, face.points.ravel(), [face.score]]))

    def at(self, index: int, half_window: int, hold: bool) -> np.ndarray | None:
        """Return box, points and score `(15,)` in a frame, None where the face is absent.

        Frames must be asked for in order. The average is triangular over `half_window` frames on
        each side, fewer near the track's ends so that it stays symmetric and does not lag behind a
        moving face.
        """
        if index < self.first_seen:
            return None
        if index > self._indices[-1]:
            if not hold:
                return None
            self._append(index, np.append(self._values[-1][:SCORE], 0.0))
        self._forget(before=index - half_window)
        reach = min(half_window, index - self.first_seen, self._indices[-1] - index)
        offsets = np.arange(-reach, reach + 1)
        triangle = (reach + 1.0 - np.abs(offsets)) / (reach + 1.0) ** 2
        values = triangle @ interpolate(
            np.array(self._indices), np.array(self._values), index + offsets
        )
        return values

    def _append(self, index: int, values: np.ndarray) -> None:
        self._indices.append(index)
        self._values.append(values)

    def _forget(self, before: int) -> None:
        while len(self._indices) > 1 and self._indices[1] <= before:
            del self._indices[0], self._values[0]


def interpolate(knots: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate values `(N, D)` at increasing knots `(N,)` linearly at `(M,)` to `(M, D)`."""
    if len(knots) == 1:
        return np.repeat(values, len(at), axis=0)
    right = np.clip(np.searchsorted(knots, at), 1, len(knots) - 1)
    left = right - 1
    fraction = np.clip((at - knots[left]) / (knots[right] - knots[left]), 0, 1)[:, None]
    return (1 - fraction) * values[left] + fraction * values[right]


def match_faces(boxes: list[np.ndarray], faces: list[Face]) -> dict[int, int]:
    """Match tracks' last boxes to new faces, best overlap first: box index -> face index."""
    pairs = sorted(
        (
            (overlap, i, j)
            for i, box in enumerate(boxes)
            for j, face in enumerate(faces)
            if (overlap := iou(box, face.box)) >= MIN_IOU
            and 1 / MAX_SCALE_CHANGE <= box_side(box) / box_side(face.box) <= MAX_SCALE_CHANGE
        ),
        reverse=True,
    )
    matched: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in matched and j not in matched.values():
            matched[i] = j
    return matched


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union of two boxes `(4,)`."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (box_side(a) ** 2 + box_side(b) ** 2 - shared))


def box_side(box: np.ndarray) -> float:
    """Return the side in pixels of the square with the area of a box `(4,)`."""
    return float(np.sqrt(max(box[2] - box[0], 1e-6) * max(box[3] - box[1], 1e-6)))
