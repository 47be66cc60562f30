"""Runs of frames for training a talking face: frames to generate, and identity references."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.faces.crops import mouth_to_face_affine

# Consecutive frames of a run.
RUN_FRAMES = 5


class TalkingSample(NamedTuple):
    """Runs of frames of a clip, and its audio.

    Args:
        clip: index of the clip.
        identity: other frames of the same person, as many as `pose`, `(P, H, W, 3)` uint8.
        pose: frames to be generated `(P, H, W, 3)` uint8.
        pose_indices: index in the clip of each of these frames `(P,)`.
        wav: audio of the whole clip `(640 T,)`.
    """

    clip: int
    identity: np.ndarray
    pose: np.ndarray
    pose_indices: np.ndarray
    wav: np.ndarray


class TalkingClips:
    """Random runs of five frames of a clip, as in TalkLip, each with another run for identity.

    Args:
        clips: windows of clips, in face crops; clips that are too short are left out.
        runs: runs of each clip that is drawn; they may overlap.
        margin: frames of the clip on either side of every run.

    Raises:
        ValueError: a number is out of range, or no clip is long enough.
    """

    def __init__(self, clips: ClipWindows, runs: int, margin: int = 0) -> None:
        if runs < 1 or margin < 0:
            raise ValueError(
                f"runs must be 1 or more and margin 0 or more, got {runs} and {margin}"
            )
        self.clips, self.runs, self.margin = clips, runs, margin
        # One frame more, so that there is another run for identity.
        least = max(RUN_FRAMES + 1, RUN_FRAMES + 2 * margin)
        self.usable = [clip for clip, length in enumerate(clips.lengths) if length >= least]
        if not self.usable:
            raise ValueError(
                f"clips must hold one of {least} frames or more, got {len(clips)} shorter ones"
            )

    def __len__(self) -> int:
        return len(self.usable)

    def draw(self, rng: np.random.Generator) -> TalkingSample:
        """Draw random runs of a random clip."""
        clip = self.usable[int(rng.integers(len(self.usable)))]
        length = self.clips.lengths[clip]
        starts = rng.integers(self.margin, length - RUN_FRAMES - self.margin + 1, self.runs)
        # Any start but the run's own, all equally likely.
        others = rng.integers(length - RUN_FRAMES, size=self.runs)
        others += others >= starts
        wav = self.clips.audio(clip, 0, self.clips.num_samples(clip))
        indices = (starts[:, None] + np.arange(RUN_FRAMES)).ravel()
        return TalkingSample(
            clip, self._frames(clip, others), self._frames(clip, starts), indices, wav
        )

    def mouth_affines(self, clip: int, indices: np.ndarray) -> np.ndarray:
        """Return where the mouth crops of frames `(P,)` lie in their face crops, as `(P, 2, 3)`.

        The matrices are those of `mouth_to_face_affine`.
        """
        low, high = int(indices.min()), int(indices.max()) + 1
        boxes, points = (
            self.clips.files.items(self._array_file(clip, name), low, high)
            for name in ("boxes", "points")
        )
        found = [mouth_to_face_affine(boxes[k - low], points[k - low]) for k in indices]
        return np.stack(found).astype(np.float32)

    def _frames(self, clip: int, starts: np.ndarray) -> np.ndarray:
        runs = [self.clips.frames(clip, int(start), RUN_FRAMES) for start in starts]
        return np.concatenate(runs)

    def _array_file(self, clip: int, name: str) -> str:
        return str(Path(self.clips.crop_files[clip]).with_name(f"{name}.npy"))
