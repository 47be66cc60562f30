"""Short windows out of the clips of a store: what training draws from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avsync.data.sampling.crops import fit_crops
from avsync.data.store.npy_items import ArrayFiles
from avsync.data.store.reader import Store, clip_folder
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME


class ClipWindows:
    """Cuts frames in a task's geometry, and audio, out of chosen clips, read-only.

    Args:
        store: prepared clips.
        places: of the clips in the store.
        spec: of the task that will see them.
        zero_ms: offset of the clips (positive = the audio leads), taken off, so that what is cut at
            the same time is in sync.
        own_ms: offsets of single clips by id, in place of `zero_ms`.
    """

    def __init__(
        self,
        store: Store,
        places: Sequence[int],
        spec: ClipSpec,
        zero_ms: float = 0.0,
        own_ms: Mapping[str, float] | None = None,
    ) -> None:
        rows = [store.rows[place] for place in places]
        self.spec, self.files, self.rows = spec, ArrayFiles(), rows
        self.lengths: list[int] = [row["frames"] for row in rows]
        folders = [clip_folder(store.path, row["id"]) for row in rows]
        self.crop_files = [str(folder / f"{spec.crop}.npy") for folder in folders]
        self.sound_files = [str(folder / "wav_16k.npy") for folder in folders]
        own_ms = own_ms or {}
        self.leads = [round(own_ms.get(row["id"], zero_ms) * SAMPLE_RATE / 1000) for row in rows]
        if rows and not Path(self.crop_files[0]).exists():
            raise ValueError(
                f"store {store.path} has no {spec.crop} crops, which this model looks at: "
                f"make it with avsync prepare --crops {spec.crop}"
            )

    def __len__(self) -> int:
        return len(self.lengths)

    def frames(self, clip: int, start: int, count: int) -> np.ndarray:
        """Return frames `(count, H, W, 3)` uint8 of a clip from frame `start` on."""
        crops = self.files.items(self.crop_files[clip], start, start + count)
        return fit_crops(self.spec, crops)

    def audio(self, clip: int, start: int, count: int) -> np.ndarray:
        """Sample `(count,)` of a clip that belong to its frames from sample `start` after its
        first frame on; silence beyond the clip's ends.
        """
        begin = start - self.leads[clip]
        low, high = max(begin, 0), min(begin + count, self.samples(clip))
        if high - low == count:
            return self.files.items(self.sound_files[clip], low, high)
        out = np.zeros(count, np.float32)
        if low < high:
            out[low - begin : high - begin] = self.files.items(self.sound_files[clip], low, high)
        return out

    def starts(self, clip: int, frames: int, first: int, samples: int) -> range:
        """Return the frames at which a window may start so that all of it lies inside the clip: `frames`
        frames, and `samples` of audio from sample `first` of the window on.
        """
        begin = first - self.leads[clip]
        low = max(0, -(begin // SAMPLES_PER_FRAME))
        last = (self.samples(clip) - samples - begin) // SAMPLES_PER_FRAME
        return range(low, min(self.lengths[clip] - frames, last) + 1)

    def samples(self, clip: int) -> int:
        return self.lengths[clip] * SAMPLES_PER_FRAME
