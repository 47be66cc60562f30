"""Targets of separation: faces and their voices, out of prepared stores."""

import math
import zipfile
import zlib
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

# What reading a damaged or foreign .npz file raises.
DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)


class FaceSource(NamedTuple):
    """Clips of a store, by index, and their offset (positive = the audio leads), taken off."""

    store: Store
    indices: Sequence[int]
    offset_ms: float = 0.0


class SeparationTargets:
    """Random access to voices and faces of chosen clips, at a separation task's rate and geometry.

    Args:
        sources: clips of one or more stores.
        spec: input spec of the task.
        cache: keeps the voices at the task's rate.
        landmarks: folder of `CLIP.npz`, by clip id, for tasks that take landmarks: an array
            `landmarks` `(T, 68, 2)`, x and y in pixels of the aligned face of 96 by 128, zeros
            where none was found.

    Raises:
        ValueError: two clips have the same name, a store lacks the crops, or the task takes
            landmarks and there is no folder of them.
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
            raise ValueError("this task takes landmarks: say in which folder they are")
        rows = [(source, source.store.rows[k]) for source in sources for k in source.indices]
        self.names = [f"{source.store.path.name}/{row.id}" for source, row in rows]
        if len(set(self.names)) < len(self.names):
            raise ValueError("stores must have folders of different names: clips go by them")
        self.landmark_files = [(landmarks or Path()) / f"{row.id}.npz" for _, row in rows]
        self.lengths = [row.frames for _, row in rows]
        self.speakers = [f"{source.store.path.name}/{row.speaker}" for source, row in rows]
        folders = [clip_folder(source.store.path, row.id) for source, row in rows]
        self.audio_files = [str(folder / "wav.npy") for folder in folders]
        self.sample_rates = [row.sample_rate for _, row in rows]
        self.leads = [round(source.offset_ms * spec.sample_rate / 1000) for source, _ in rows]
        self.windows = [_windows(source, spec) for source in sources]
        # Number of the source of each clip, and the clip's index in the windows of that source.
        self.origins = [
            (number, k) for number, source in enumerate(sources) for k in range(len(source.indices))
        ]

    def __len__(self) -> int:
        return len(self.names)

    def frames(self, clip: int, start: int, count: int) -> np.ndarray:
        """Return crops `(count, H, W, 3)` uint8 of a clip from frame `start` on."""
        windows, k = self._windows_of(clip)
        return windows.frames(k, start, count)

    def landmarks(self, clip: int, start: int, count: int) -> np.ndarray:
        """Return landmarks `(count, 68, 2)` float32 of a clip from frame `start` on.

        Raises:
            RuntimeError: the clip's file is missing or damaged, or belongs to another clip.
        """
        path, shape = self.landmark_files[clip], (self.lengths[clip], POINTS, 2)
        try:
            found = _read_landmarks(path, shape)
        except DAMAGED as error:
            raise RuntimeError(f"{path} is missing or damaged: {error}") from error
        if not np.isfinite(found).all():
            raise RuntimeError(f"landmarks in {path} must be zeros where none was found, not NaN")
        return found[start : start + count].astype(np.float32)

    def crop_file(self, clip: int) -> str:
        """Return the file that holds the crops of a clip."""
        windows, k = self._windows_of(clip)
        return windows.crop_files[k]

    def audio(self, clip: int, frame: int, count: int) -> np.ndarray:
        """Return the voice `(count,)` from frame `frame` on, zeros beyond the clip's ends."""
        cached = self.cache.add_array(self.audio_files[clip], self.sample_rates[clip])
        start = round(frame * self.spec.sample_rate / FPS) - self.leads[clip]
        return self.cache.read(cached, start, count)

    def _windows_of(self, clip: int) -> tuple[ClipWindows, int]:
        number, k = self.origins[clip]
        windows = self.windows[number]
        if windows is None:
            raise ValueError("this task looks at no frame")
        return windows, k


def _windows(source: FaceSource, spec: SeparationSpec) -> ClipWindows | None:
    if spec.crop is None:
        return None
    clip_spec = ClipSpec(
        crop=spec.crop,
        height=spec.height,
        width=spec.width,
        lower_half=spec.lower_half,
        # Not used: the audio is read from the cache, at another rate.
        window_frames=1,
        audio_from_s=0.0,
        audio_until_s=0.0,
    )
    return ClipWindows(source.store, source.indices, clip_spec)


def _read_landmarks(path: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the array of a .npz file, after its header: it may claim, or unpack to, terabytes."""
    with zipfile.ZipFile(path) as archive, archive.open("landmarks.npy") as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ValueError(f"landmarks.npy must be of format 1.0, got {version}")
        found, in_columns, dtype = np.lib.format.read_array_header_1_0(member)
        if found != shape:
            raise RuntimeError(f"landmarks in {path} must be {shape}, got {found}")
        if in_columns or dtype.kind not in "fiu":
            raise ValueError(f"landmarks.npy must hold numbers, got {dtype}")
        data = member.read(math.prod(shape) * dtype.itemsize)
        return np.frombuffer(data, dtype).reshape(shape)
