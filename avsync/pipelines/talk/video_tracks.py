"""Track the faces of a video through every frame, at the frame rate of the video."""

from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from avsync.faces.detector import FaceDetector
from avsync.faces.tracking import follow_faces
from avsync.media.probe import MediaInfo
from avsync.media.video_reader import Tick, read_frames
from avsync.pipelines.progress import ProgressCallback
from avsync.scoring.decision import TrackExtent
from avsync.timing import FPS

# Frames are decoded at this size for detection: no detector uses more pixels, and it is cheaper.
DETECTION_SIDE = 640


class TrackedVideo(NamedTuple):
    """Times of the frames of a video and the faces in them.

    Args:
        times_s: presentation times `(P,)` in seconds from the first frame.
        durations_s: how long each frame is shown `(P,)`.
        tracks: boxes of each face, by track.
        size: width and height of the upright frame.
    """

    times_s: np.ndarray
    durations_s: np.ndarray
    tracks: Mapping[int, "TrackBoxes"]
    size: tuple[int, int]

    @property
    def end_s(self) -> float:
        """End time of the last frame."""
        return float(self.times_s[-1] + self.durations_s[-1])

    def faces(self) -> dict[int, TrackExtent]:
        """Return each face with its median box in pixels of the upright frame."""
        return {number: self._extent(number, boxes) for number, boxes in self.tracks.items()}

    def _extent(self, number: int, boxes: "TrackBoxes") -> TrackExtent:
        last = boxes.first + len(boxes) - 1
        end_s = float(self.times_s[last] + self.durations_s[last])
        box = boxes.median() * np.array([*self.size, *self.size])
        x0, y0, x1, y1 = box.tolist()
        return TrackExtent(number, float(self.times_s[boxes.first]), end_s, (x0, y0, x1, y1))


class TrackBoxes:
    """Boxes of one track, 16 bytes per frame.

    Boxes are x0, y0, x1, y1 in fractions of the frame's width and height.

    Args:
        first: number of the first frame.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self._values = array("f")

    def __len__(self) -> int:
        return len(self._values) // 4

    def add(self, number: int, box: np.ndarray) -> None:
        """Append the box in a frame later than all others."""
        missing = number - self.first - len(self)
        self._values.extend([np.nan] * (4 * missing))
        self._values.extend(box.tolist())

    def at(self, number: int) -> np.ndarray | None:
        """Return the box `(4,)` in a frame, None where the face is not detected."""
        start = 4 * (number - self.first)
        box = np.array(self._values[start : start + 4] if start >= 0 else [])
        return None if not len(box) or np.isnan(box).any() else box

    def median(self) -> np.ndarray:
        """Return the median box `(4,)`."""
        median: np.ndarray = np.nanmedian(np.array(self._values).reshape(-1, 4), axis=0)
        return median


def track_video(info: MediaInfo, detector: FaceDetector, report: ProgressCallback) -> TrackedVideo:
    """Track the faces of a video through every frame.

    Args:
        info: the video.
        detector: runs on every n-th frame, as many times a second as in `check`.
        report: called with the share done.
    """
    times, tracks = array("d"), dict[int, TrackBoxes]()
    stride = max(1, round(detector.stride * (info.fps or FPS) / FPS))
    for number, time_s, image, faces in follow_faces(_ticks(info, times), detector, stride):
        size = np.array(image.shape[1::-1] * 2)
        for face in faces:
            # A score of 0 marks a face that is lost and held at its last position.
            if face.score > 0:
                tracks.setdefault(face.track, TrackBoxes(number)).add(number, face.box / size)
        if info.duration_s and number % FPS == 0:
            report(min(1.0, time_s / info.duration_s))
    times_s = np.array(times) - times[0]
    usual_s = 1 / (info.fps or FPS)
    gaps_s = np.diff(times_s)
    durations_s = np.append(gaps_s, min(gaps_s[-1], usual_s) if len(gaps_s) else usual_s)
    return TrackedVideo(times_s, durations_s, tracks, (info.width, info.height))


def _ticks(info: MediaInfo, times: "array[float]") -> Iterator[Tick]:
    """Yield one tick per frame and append its time to `times`."""
    for number, frame in enumerate(read_frames(info.path, DETECTION_SIDE)):
        times.append(frame.time_s)
        yield Tick(number, frame.time_s - times[0], frame.image)
