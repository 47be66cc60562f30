"""The crops that a model asks for, of every face in a video, and what was seen of each face."""

from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from avsync.data.sampling.crops import CropSpec, cut_crop
from avsync.faces.detector import FaceDetector
from avsync.faces.tracking import TrackedFace, follow_faces
from avsync.media.prefetch import ahead
from avsync.media.probe import MediaInfo
from avsync.media.video_reader import at_rate, read_frames
from avsync.scoring.decision import FaceTrack
from avsync.scoring.engine import CroppedTick
from avsync.timing import FPS

# Frames are scaled down to this while they are decoded: faces of talking people stay large
# enough, and 4K costs what HD does.
MAX_SIDE = 1280
CROPS_AHEAD = 100
Cut = Callable[[np.ndarray, TrackedFace], np.ndarray | None]


class CropStream:
    """The crops of a file's faces, tick by tick; afterwards, what was seen of each face.

    Args:
        info: the file.
        spec: which part of a face, at which size.
        detector: finds the faces.
        wanted: the tracks of which crops are cut; None for all.
        cut: what is taken of a face in a frame instead of its crop; None where there is nothing.
    """

    def __init__(
        self,
        info: MediaInfo,
        spec: CropSpec,
        detector: FaceDetector,
        wanted: Collection[int] | None = None,
        cut: Cut | None = None,
    ) -> None:
        self.info, self.spec, self.detector, self.wanted = info, spec, detector, wanted
        self.cut = cut or partial(cut_crop, spec)
        self.ticks = 0
        self.scale = 1.0
        self.seen: dict[int, _Seen] = {}

    def __iter__(self) -> Iterator[CroppedTick]:
        # Faces are found and cut by a thread of their own while the model scores the last block.
        return ahead(self._cropped(), CROPS_AHEAD)

    def _cropped(self) -> Generator[CroppedTick]:
        ticks = at_rate(read_frames(self.info.path, MAX_SIDE), self.spec.fps)
        for number, _, image, faces in follow_faces(ticks, self.detector, self.detector.stride):
            self.ticks = number + 1
            self.scale = self.info.width / image.shape[1]
            # A score of 0 marks a face that was lost and is held where it was: nothing to look at.
            there = [face for face in faces if face.score > 0]
            for face in there:
                self.seen.setdefault(face.track, _Seen(number)).add(number, face.box)
            some = [face for face in there if self.wanted is None or face.track in self.wanted]
            crops = {face.track: self.cut(image, face) for face in some}
            yield CroppedTick(number, {k: crop for k, crop in crops.items() if crop is not None})

    def faces(self) -> dict[int, FaceTrack]:
        return {number: seen.face(number, self.scale) for number, seen in self.seen.items()}


@dataclass
class _Seen:
    """Where a face was, sparsely: one box a second, whatever the length of the track."""

    first: int
    last: int = 0
    boxes: list[np.ndarray] = field(default_factory=list)

    def add(self, number: int, box: np.ndarray) -> None:
        if number >= self.first + FPS * len(self.boxes):
            self.boxes.append(box)
        self.last = number

    def face(self, number: int, scale: float) -> FaceTrack:
        x0, y0, x1, y1 = (scale * np.median(self.boxes, axis=0)).tolist()
        return FaceTrack(number, self.first / FPS, (self.last + 1) / FPS, (x0, y0, x1, y1))
