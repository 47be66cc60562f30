"""What a talking face learns from: runs of frames to draw anew, and the voice of their clip."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.faces.crops import mouth_to_face_affine

RUN = 5


class TalkingDraw(NamedTuple):
    """Of clip number `clip`: the frames `pose` to be drawn and as many others of the same person,
    `identity`, each `(P, H, W, 3)` uint8; the places of the first in the clip `(P,)`; its audio
    `(640 T,)`.
    """

    clip: int
    identity: np.ndarray
    pose: np.ndarray
    places: np.ndarray
    wav: np.ndarray


class TalkingClips:
    """Draws runs of five frames of a clip, as TalkLip does, and for each another run of the clip to
    tell who it is.

    Args:
        clips: where they are cut, face crops; clips that are too short are left out.
        runs: of each clip that is drawn; they may overlap.
        margin: frames of the clip on either side of every run.
    """

    def __init__(self, clips: ClipWindows, runs: int, margin: int = 0) -> None:
        if runs < 1 or margin < 0:
            raise ValueError(
                f"runs must be 1 or more and margin 0 or more, got {runs} and {margin}"
            )
        self.clips, self.runs, self.margin = clips, runs, margin
        # One frame more, so that there is another run to tell who it is.
        least = max(RUN + 1, RUN + 2 * margin)
        self.usable = [clip for clip, length in enumerate(clips.lengths) if length >= least]
        if not self.usable:
            raise ValueError(
                f"clips must hold one of {least} frames or more, got {len(clips)} shorter ones"
            )

    def __len__(self) -> int:
        return len(self.usable)

    def draw(self, rng: np.random.Generator) -> TalkingDraw:
        """Random runs of a random clip."""
        clip = self.usable[int(rng.integers(len(self.usable)))]
        length = self.clips.lengths[clip]
        starts = rng.integers(self.margin, length - RUN - self.margin + 1, self.runs)
        # Any start but the run's own, all equally likely.
        others = rng.integers(length - RUN, size=self.runs)
        others += others >= starts
        audio = self.clips.audio(clip, 0, self.clips.samples(clip))
        places = (starts[:, None] + np.arange(RUN)).ravel()
        return TalkingDraw(clip, self._cut(clip, others), self._cut(clip, starts), places, audio)

    def mouths_at(self, clip: int, places: np.ndarray) -> np.ndarray:
        """Return where the mouth crops of a clip's frames `(P,)` lie in their face crops `(P, 2, 3)`: see
        `mouth_to_face_affine`.
        """
        low, high = int(places.min()), int(places.max()) + 1
        boxes, points = (
            self.clips.files.items(self._beside(clip, name), low, high)
            for name in ("boxes", "points")
        )
        found = [mouth_to_face_affine(boxes[k - low], points[k - low]) for k in places]
        return np.stack(found).astype(np.float32)

    def _cut(self, clip: int, starts: np.ndarray) -> np.ndarray:
        return np.concatenate([self.clips.frames(clip, int(start), RUN) for start in starts])

    def _beside(self, clip: int, name: str) -> str:
        return str(Path(self.clips.crop_files[clip]).with_name(f"{name}.npy"))
