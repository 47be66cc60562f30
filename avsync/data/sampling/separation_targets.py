"""Faces with their voices, out of prepared stores: the targets of separation."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.cache.audio import AudioCache
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.store.reader import Store, clip_folder
from avsync.encoders.st_gcn import POINTS
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.timing import FPS


class FaceSource(NamedTuple):
    """Clips of a store: which ones, and their offset (positive = the audio leads), taken off."""

    store: Store
    places: Sequence[int]
    zero_ms: float = 0.0


class SeparationTargets:
    """Voices and faces of chosen clips at a separation task's rate and geometry.

    Args:
        sources: clips of one or more stores.
        spec: of the task.
        cache: where the voices are kept at the task's rate.
        landmarks: folder of `CLIP.npz`, by clip id, for tasks that see these: an array `landmarks`
            `(T, 68, 2)`, x and y in pixels of the aligned face of 96 by 128, zeros where none was
            found.

    ValueError where two clips would have the same name, or a store lacks the crops.
    """

    def __init__(
        self,
        sources: Sequence[FaceSource],
        spec: SeparationSpec,
        cache: AudioCache,
        landmarks: Path | None = None,
    ) -> None:
        self.spec, self.cache = spec, cache
        if spec.landmarks and landmarks is None:
            raise ValueError("this task sees landmarks: say in which folder they are")
        folder = landmarks or Path()
        rows = [(source, source.store.rows[place]) for source in sources for place in source.places]
        self.names = [f"{source.store.path.name}/{row['id']}" for source, row in rows]
        if len(set(self.names)) < len(self.names):
            raise ValueError("stores must have folders of different names: clips go by them")
        self.points = [folder / f"{row['id']}.npz" for _, row in rows]
        self.lengths: list[int] = [row["frames"] for _, row in rows]
        self.speakers = [f"{source.store.path.name}/{row['speaker']}" for source, row in rows]
        folders = [clip_folder(source.store.path, row["id"]) for source, row in rows]
        self.sounds = [str(folder / "wav.npy") for folder in folders]
        self.rates: list[int] = [row["sample_rate"] for _, row in rows]
        self.leads = [round(source.zero_ms * spec.sample_rate / 1000) for source, _ in rows]
        self.windows = [_windows(source, spec) for source in sources]
        self.homes = [
            (number, k) for number, source in enumerate(sources) for k in range(len(source.places))
        ]

    def __len__(self) -> int:
        return len(self.names)

    def frames(self, clip: int, start: int, count: int) -> np.ndarray:
        """Crops `(count, H, W, 3)` uint8 of a clip from frame `start` on."""
        number, k = self.homes[clip]
        windows = self.windows[number]
        if windows is None:
            raise ValueError("this task looks at no frame")
        return windows.frames(k, start, count)

    def landmarks(self, clip: int, start: int, count: int) -> np.ndarray:
        """Landmarks `(count, 68, 2)` float32 of a clip from frame `start` on.

        RuntimeError where the file of the clip's is missing or damaged, or another clip's.
        """
        path, shape = self.points[clip], (self.lengths[clip], POINTS, 2)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = arrays["landmarks"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RuntimeError(f"{path} is missing or damaged: {error}") from error
        if found.shape != shape:
            raise RuntimeError(f"landmarks in {path} must be {shape}, got {found.shape}")
        if not np.isfinite(found).all():
            raise RuntimeError(f"landmarks in {path} must be zeros where none was found, not NaN")
        return found[start : start + count].astype(np.float32)

    def crop_file(self, clip: int) -> str:
        """Return the file that the crops of a clip are cut from."""
        number, k = self.homes[clip]
        windows = self.windows[number]
        if windows is None:
            raise ValueError("this task looks at no frame")
        return windows.crop_files[k]

    def audio(self, clip: int, frame: int, count: int) -> np.ndarray:
        """Return the voice `(count,)` from frame `frame` on; silence beyond the clip's ends."""
        kept = self.cache.of_array(self.sounds[clip], self.rates[clip])
        start = round(frame * self.spec.sample_rate / FPS) - self.leads[clip]
        return self.cache.part(kept, start, count)


def _windows(source: FaceSource, spec: SeparationSpec) -> ClipWindows | None:
    if spec.crop is None:
        return None
    seen = ClipSpec(
        crop=spec.crop,
        height=spec.height,
        width=spec.width,
        lower_half=spec.lower_half,
        # The audio is cut here, at another rate; these say nothing.
        window_frames=1,
        audio_from_s=0.0,
        audio_until_s=0.0,
    )
    return ClipWindows(source.store, source.places, seen)
