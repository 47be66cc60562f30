"""Faces through time: detected every few ticks, interpolated between, one track a face and shot."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from avsync.faces.crops import Face
from avsync.faces.detector import FaceDetector
from avsync.faces.shot_detection import detect_shots
from avsync.media.video_reader import Tick

# A face that the detector loses stays a track, where it was, for this long.
HOLD_S = 1.0
# Between two looks a face must overlap its last box by this much, and not change its size by more
# than this factor.
MIN_IOU = 0.15
MAX_SCALE_CHANGE = 1.8

BOX, POINTS, SCORE = slice(0, 4), slice(4, 14), 14


class TrackedFace(NamedTuple):
    """A face of one track at one tick, in the picture's pixels.

    `box` (4,) and `points` (5, 2) are as in `Face`, smoothed. `score` is the detector's,
    interpolated; it is 0 where the face was lost and is held where it was last seen.
    """

    track: int
    box: np.ndarray
    points: np.ndarray
    score: float


class TrackedTick(NamedTuple):
    """A tick of the steady clock with the faces in its picture."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    time_s: float
    image: np.ndarray
    faces: tuple[TrackedFace, ...]


def follow_faces(
    ticks: Iterable[Tick], detector: FaceDetector, every: int = 5
) -> Iterator[TrackedTick]:
    """Follows every face from tick to tick, in order, some `2 * every` ticks behind the input.

    The detector runs on each `every`-th tick and on the first and last of each shot; boxes and
    points between are interpolated and smoothed without lag. A track ends with its shot, or after
    `HOLD_S` seconds unseen; its number is never used again. A face seen only once in a shot of
    several looks is taken for an error of the detector.

    Args:
        ticks: pictures `(H, W, 3)` uint8 RGB on a steady clock.
        detector: finds the faces in a picture.
        every: ticks between detections; at most `2 * every` + 4 pictures are held.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    follower = _Follower(detector, every)
    for tick, starts_shot in detect_shots(ticks):
        if starts_shot:
            yield from follower.end_shot()
        yield from follower.add(tick)
    yield from follower.end_shot()


class _Follower:
    """The state of `follow_faces` inside one shot: waiting ticks and living tracks."""

    def __init__(self, detector: FaceDetector, every: int) -> None:
        self.detector = detector
        self.every = every
        self.waiting: deque[Tick] = deque()
        self.tracks: list[FaceTrack] = []
        self.next_number = 0
        self.looks = 0
        self.next_look: int | None = None
        self.last_look = -1

    def add(self, tick: Tick) -> Iterator[TrackedTick]:
        self.waiting.append(tick)
        if self.next_look is None or tick.index >= self.next_look:
            self._look(tick)
            yield from self._release(until=tick.index - self.every, shot_ended=False)

    def end_shot(self) -> Iterator[TrackedTick]:
        if self.waiting:
            if self.waiting[-1].index > self.last_look:
                self._look(self.waiting[-1])
            yield from self._release(until=self.waiting[-1].index, shot_ended=True)
        self.tracks, self.looks, self.next_look = [], 0, None

    def _look(self, tick: Tick) -> None:
        faces = self.detector(tick.image)
        self.tracks = [t for t in self.tracks if tick.time_s - t.last_seen_s <= HOLD_S]
        matched = match_faces([track.last_box for track in self.tracks], faces)
        for number, face in enumerate(faces):
            if number not in matched.values():
                self.tracks.append(FaceTrack(tick.index, tick.time_s, face))
        for track_number, face_number in matched.items():
            self.tracks[track_number].see(tick.index, tick.time_s, faces[face_number])
        self.looks += 1
        self.last_look = tick.index
        lost = any(track.last_seen < tick.index for track in self.tracks if track.sightings > 1)
        self.next_look = tick.index + (max(1, self.every // 2) if lost else self.every)

    def _release(self, until: int, shot_ended: bool) -> Iterator[TrackedTick]:
        while self.waiting and self.waiting[0].index <= until:
            tick = self.waiting.popleft()
            faces = []
            for track in self.tracks:
                if track.sightings == 1 and self.looks > 1:
                    continue
                values = track.at(tick.index, self.every, hold=not shot_ended)
                if values is None:
                    continue
                if track.number is None:
                    track.number, self.next_number = self.next_number, self.next_number + 1
                points = values[POINTS].reshape(5, 2)
                faces.append(TrackedFace(track.number, values[BOX], points, float(values[SCORE])))
            yield TrackedTick(tick.index, tick.time_s, tick.image, tuple(faces))


class FaceTrack:
    """Where one face was seen, and where it is taken to be between.

    Args:
        tick: index of the tick of the first sighting.
        time_s: its time.
        face: what was seen.
    """

    def __init__(self, tick: int, time_s: float, face: Face) -> None:
        self.number: int | None = None
        self.first_seen = tick
        self.sightings = 0
        self._ticks: list[int] = []
        self._values: list[np.ndarray] = []
        self.see(tick, time_s, face)

    def see(self, tick: int, time_s: float, face: Face) -> None:
        self.last_seen, self.last_seen_s, self.last_box = tick, time_s, face.box
        self.sightings += 1
        self._append(tick, np.concatenate([face.box, face.points.ravel(), [face.score]]))

    def at(self, tick: int, half_window: int, hold: bool) -> np.ndarray | None:
        """Box, points and score `(15,)` at a tick, None where the face is not there.

        Ticks must be asked for in order. The average is triangular over `half_window` ticks on each
        side, less near the track's ends so that it stays symmetrical and a moving face is not left
        behind.
        """
        if tick < self.first_seen:
            return None
        if tick > self._ticks[-1]:
            if not hold:
                return None
            self._append(tick, np.append(self._values[-1][:SCORE], 0.0))
        self._forget(before=tick - half_window)
        reach = min(half_window, tick - self.first_seen, self._ticks[-1] - tick)
        offsets = np.arange(-reach, reach + 1)
        triangle = (reach + 1.0 - np.abs(offsets)) / (reach + 1.0) ** 2
        values = triangle @ interpolate(
            np.array(self._ticks), np.array(self._values), tick + offsets
        )
        return values

    def _append(self, tick: int, values: np.ndarray) -> None:
        self._ticks.append(tick)
        self._values.append(values)

    def _forget(self, before: int) -> None:
        while len(self._ticks) > 1 and self._ticks[1] <= before:
            del self._ticks[0], self._values[0]


def interpolate(knots: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values `(N, D)` at increasing knots `(N,)`, linearly interpolated at `(M,)` to `(M, D)`."""
    if len(knots) == 1:
        return np.repeat(values, len(at), axis=0)
    right = np.clip(np.searchsorted(knots, at), 1, len(knots) - 1)
    left = right - 1
    part = np.clip((at - knots[left]) / (knots[right] - knots[left]), 0, 1)[:, None]
    return (1 - part) * values[left] + part * values[right]


def match_faces(boxes: list[np.ndarray], faces: list[Face]) -> dict[int, int]:
    """Pairs tracks' last boxes with new faces, best overlap first: box index -> face index."""
    pairs = sorted(
        (
            (overlap, i, j)
            for i, box in enumerate(boxes)
            for j, face in enumerate(faces)
            if (overlap := iou(box, face.box)) >= MIN_IOU
            and 1 / MAX_SCALE_CHANGE <= side(box) / side(face.box) <= MAX_SCALE_CHANGE
        ),
        reverse=True,
    )
    matched: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in matched and j not in matched.values():
            matched[i] = j
    return matched


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes `(4,)`."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (side(a) ** 2 + side(b) ** 2 - shared))


def side(box: np.ndarray) -> float:
    """Side in pixels of the square with the area of a box `(4,)`."""
    return float(np.sqrt(max(box[2] - box[0], 1e-6) * max(box[3] - box[1], 1e-6)))
