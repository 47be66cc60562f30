"""Where the faces of a film are, picture by picture: each picture at its own time, whatever the
rate."""

from array import array
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from avsync.media.faces import FaceDetector
from avsync.media.probe import MediaInfo
from avsync.media.tracks import follow_faces
from avsync.media.video import Tick, read_frames
from avsync.scoring.verdict import FaceTrack
from avsync.timing import FPS

# Pictures are looked at in this size: no detector looks at more pixels, and it costs less.
LOOK_SIDE = 640
Report = Callable[[float], None]


class Looked(NamedTuple):
    """What was seen of a film: when its pictures are shown `(P,)`, in seconds from the first, for
    how long `(P,)`, and the faces in them by track.
    """

    times_s: np.ndarray
    shown_s: np.ndarray
    tracks: Mapping[int, "Boxes"]
    size: tuple[int, int]

    @property
    def end_s(self) -> float:
        """When the last picture has been shown."""
        return float(self.times_s[-1] + self.shown_s[-1])

    def faces(self) -> dict[int, FaceTrack]:
        """Each face with its median box in pixels of the upright picture."""
        return {number: self._face(number, boxes) for number, boxes in self.tracks.items()}

    def _face(self, number: int, boxes: "Boxes") -> FaceTrack:
        last = boxes.first + len(boxes) - 1
        end_s = float(self.times_s[last] + self.shown_s[last])
        box = boxes.median() * np.array([*self.size, *self.size])
        x0, y0, x1, y1 = box.tolist()
        return FaceTrack(number, float(self.times_s[boxes.first]), end_s, (x0, y0, x1, y1))


class Boxes:
    """The boxes of one track, from the picture `first` on: 16 bytes a picture.

    Boxes are x0, y0, x1, y1 in shares of the picture's width and height.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self._values = array("f")

    def __len__(self) -> int:
        return len(self._values) // 4

    def add(self, number: int, box: np.ndarray) -> None:
        """The box in a picture that comes after all others."""
        missing = number - self.first - len(self)
        self._values.extend([np.nan] * (4 * missing))
        self._values.extend(box.tolist())

    def at(self, number: int) -> np.ndarray | None:
        """The box `(4,)` in a picture; None where the face is not seen."""
        place = 4 * (number - self.first)
        box = np.array(self._values[place : place + 4] if place >= 0 else [])
        return None if not len(box) or np.isnan(box).any() else box

    def median(self) -> np.ndarray:
        median: np.ndarray = np.nanmedian(np.array(self._values).reshape(-1, 4), axis=0)
        return median


def look(info: MediaInfo, detector: FaceDetector, report: Report) -> Looked:
    """Follows the faces of a film through every picture.

    Args:
        info: the film.
        detector: finds the faces in some of the pictures, as many a second as in `check`.
        report: told the share done.
    """
    times, tracks = array("d"), dict[int, Boxes]()
    every = max(1, round(detector.every * (info.fps or FPS) / FPS))
    for number, time_s, image, faces in follow_faces(_ticks(info, times), detector, every):
        size = np.array(image.shape[1::-1] * 2)
        for face in faces:
            # A score of 0 marks a face that was lost and is held where it was: nothing to draw.
            if face.score > 0:
                tracks.setdefault(face.track, Boxes(number)).add(number, face.box / size)
        if info.duration_s and number % FPS == 0:
            report(min(1.0, time_s / info.duration_s))
    times_s = np.array(times) - times[0]
    usual_s = 1 / (info.fps or FPS)
    gaps_s = np.diff(times_s)
    shown_s = np.append(gaps_s, min(gaps_s[-1], usual_s) if len(gaps_s) else usual_s)
    return Looked(times_s, shown_s, tracks, (info.width, info.height))


def _ticks(info: MediaInfo, times: "array[float]") -> Iterator[Tick]:
    """Each picture as a tick of its own; its time goes into `times`."""
    for number, frame in enumerate(read_frames(info.path, LOOK_SIDE)):
        times.append(frame.time_s)
        yield Tick(number, frame.time_s - times[0], frame.image)
