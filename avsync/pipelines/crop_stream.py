"""Stream the crops of every face in a video, and record where and when each face was seen."""

from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from avsync.data.sampling.crops import CropSpec, cut_crop
from avsync.faces.detector import FaceDetector
from avsync.faces.tracking import TrackedFace, follow_faces
from avsync.media.prefetch import prefetch
from avsync.media.probe import MediaInfo
from avsync.media.read_log import ReadLog
from avsync.media.video_reader import at_rate, read_frames
from avsync.scoring.decision import TrackExtent
from avsync.scoring.engine import CroppedTick
from avsync.timing import FPS

# Frames are scaled down to this while they are decoded: faces of talking people stay large
# enough, and 4K costs what HD does.
MAX_SIDE = 1280
# Ticks that are prefetched.
PREFETCH_TICKS = 100
Cut = Callable[[np.ndarray, TrackedFace], np.ndarray | None]


class CropStream:
    """Crops of a video's faces, tick by tick; after iterating, `faces` describes each track.

    Args:
        info: the video.
        spec: which part of a face, at which size.
        detector: detects the faces.
        wanted: numbers of the tracks that are cropped; None for all.
        cut: called with a frame and a face instead of cutting the crop that `spec` defines; may
            return None to skip the face.
        log: filled while the frames are read.
    """

    def __init__(
        self,
        info: MediaInfo,
        spec: CropSpec,
        detector: FaceDetector,
        wanted: Collection[int] | None = None,
        cut: Cut | None = None,
        log: ReadLog | None = None,
    ) -> None:
        self.info, self.spec, self.detector, self.wanted = info, spec, detector, wanted
        self.cut, self.log = cut or partial(cut_crop, spec), log
        self.ticks = 0
        self.scale = 1.0
        self.sightings: dict[int, _Sightings] = {}

    def __iter__(self) -> Iterator[CroppedTick]:
        # Faces are detected and cropped in a background thread while the model scores.
        return prefetch(self._crop_ticks(), PREFETCH_TICKS)

    def faces(self) -> dict[int, TrackExtent]:
        """Return where and when each face was seen, by track, in pixels of the video."""
        return {n: sightings.extent(n, self.scale) for n, sightings in self.sightings.items()}

    def _crop_ticks(self) -> Generator[CroppedTick]:
        frames = read_frames(self.info.path, MAX_SIDE, self.info.video, self.log)
        ticks = at_rate(frames, self.spec.fps)
        for number, _, image, faces in follow_faces(ticks, self.detector, self.detector.stride):
            self.ticks = number + 1
            self.scale = self.info.width / image.shape[1]
            crops = {}
            for face in faces:
                # A score of 0 marks a face that is lost and held at its last position.
                if face.score <= 0:
                    continue
                self.sightings.setdefault(face.track, _Sightings(number)).add(number, face.box)
                if self.wanted is None or face.track in self.wanted:
                    crops[face.track] = self.cut(image, face)
            yield CroppedTick(number, {k: crop for k, crop in crops.items() if crop is not None})


@dataclass
class _Sightings:
    """First and last tick of a face, and one box a second, whatever the length of the track."""

    first: int
    last: int = 0
    boxes: list[np.ndarray] = field(default_factory=list)

    def add(self, number: int, box: np.ndarray) -> None:
        if number >= self.first + FPS * len(self.boxes):
            self.boxes.append(box)
        self.last = number

    def extent(self, number: int, scale: float) -> TrackExtent:
        x0, y0, x1, y1 = (scale * np.median(self.boxes, axis=0)).tolist()
        return TrackExtent(number, self.first / FPS, (self.last + 1) / FPS, (x0, y0, x1, y1))
