"""Cut short windows of frames and audio out of the clips of a store, for training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avsync.data.sampling.crops import fit_crops
from avsync.data.store.npy_items import ArrayFiles
from avsync.data.store.reader import Store, clip_folder
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME


class ClipWindows:
    """Random access to frames, in a task's geometry, and audio of chosen clips, read-only.

    Args:
        store: prepared clips.
        indices: of the clips in the store.
        spec: input spec of the task.
        offset_ms: constant offset of the clips (positive = the audio leads), taken off so that what
            is cut at the same time is in sync.
        clip_offsets_ms: offsets of single clips by id, used instead of `offset_ms`.

    Raises:
        ValueError: the store has no crops of the kind that the task takes.
    """

    def __init__(
        self,
        store: Store,
        indices: Sequence[int],
        spec: ClipSpec,
        offset_ms: float = 0.0,
        clip_offsets_ms: Mapping[str, float] | None = None,
    ) -> None:
        rows = [store.rows[index] for index in indices]
        self.spec, self.files, self.rows = spec, ArrayFiles(), rows
        self.lengths = [row.frames for row in rows]
        folders = [clip_folder(store.path, row.id) for row in rows]
        self.crop_files = [str(folder / f"{spec.crop}.npy") for folder in folders]
        self.audio_files = [str(folder / "wav_16k.npy") for folder in folders]
        offsets_ms = [(clip_offsets_ms or {}).get(row.id, offset_ms) for row in rows]
        # Samples by which the audio leads.
        self.leads = [round(lead_ms * SAMPLE_RATE / 1000) for lead_ms in offsets_ms]
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
        """Return samples `(count,)` that belong to the frames of a clip.

        Args:
            clip: index of the clip.
            start: first sample, counted from the first frame; may be negative.
            count: samples; those beyond the ends of the clip are zeros.
        """
        begin = start - self.leads[clip]
        low, high = max(begin, 0), min(begin + count, self.num_samples(clip))
        if high - low == count:
            return self.files.items(self.audio_files[clip], low, high)
        out = np.zeros(count, np.float32)
        if low < high:
            out[low - begin : high - begin] = self.files.items(self.audio_files[clip], low, high)
        return out

    def starts(self, clip: int, frames: int, first: int, samples: int) -> range:
        """Return the frames at which a window can start and lie inside the clip completely.

        Args:
            clip: index of the clip.
            frames: frames of a window.
            first: first sample of the window's audio, counted from its first frame.
            samples: samples of the window's audio.
        """
        begin = first - self.leads[clip]
        low = max(0, -(begin // SAMPLES_PER_FRAME))
        last = (self.num_samples(clip) - samples - begin) // SAMPLES_PER_FRAME
        return range(low, min(self.lengths[clip] - frames, last) + 1)

    def num_samples(self, clip: int) -> int:
        return self.lengths[clip] * SAMPLES_PER_FRAME
