"""Training data of the sync recipes, and validation on held-out clips."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, cast

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.crops import crops_for
from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import PreparedClip, Store, StoreClips
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.score_matrix import score_clip_band
from avsync.evaluation.sync_accuracy import measure_clips
from avsync.metrics.sync_accuracy import average_context, best_offsets
from avsync.scoring.embeddings import SyncModel
from avsync.tasks.calibration import Calibration
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME
from avsync.training.engine.early_stop import Watch

# A context that is longer than most windows, to measure what averaging gains.
LONG_CONTEXT = 15


@dataclass(frozen=True)
class ClipData:
    """Stores of prepared clips, and the size of a batch.

    Args:
        data: stores of prepared clips to train on (`avsync prepare`).
        splits: JSON file of clip names by split, for the first store: `train` is trained on, `val`
            is measured on. Without it all clips are trained on and nothing is measured.
        share: share of the draws from each store; by default proportional to its number of clips.
        corpus_offset_ms: constant offset of the clips of each store (positive = the audio leads),
            taken off the clips; 0 by default.
        clean: clean tables, which list clips to leave out or to move (`avsync audit`).
        batch: draws per step.
        validate_clips: clips of `val` that are measured on, 0 for all.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="STORE...")]
    splits: Path | None = None
    share: tuple[float, ...] = ()
    corpus_offset_ms: Annotated[tuple[float, ...], tyro.conf.arg(aliases=["--zero-ms"])] = ()
    clean: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="TABLE...")] = ()
    batch: int = 128
    validate_clips: int = 20

    def __post_init__(self) -> None:
        if self.batch < 1 or self.validate_clips < 0:
            raise ValueError(
                "batch must be 1 or more and validate_clips 0 or more, "
                f"got {self.batch} and {self.validate_clips}"
            )


@dataclass(frozen=True)
class Negatives:
    """How pairs out of sync are drawn: a window of frames with audio from elsewhere in its clip.

    Args:
        far: curriculum: least distance of wrong audio in frames, at the start of training; 1 is the
            published rule, anywhere in the clip, throughout.
        far_until: share of training over which that distance falls to one frame.
        least_frames: shorter clips are left out; published are 26 for LRS2, 251 for Acappella.
        both: each window of frames comes with its own audio and with wrong audio, and is encoded
            once; published is one of the two, by chance. Half the frames for as many pairs.
    """

    far: int = 1
    far_until: float = 0.5
    least_frames: int = 26
    both: bool = False

    def __post_init__(self) -> None:
        if self.far < 1 or not 0 <= self.far_until <= 1:
            raise ValueError(
                "far must be 1 or more and far_until in [0, 1], "
                f"got {self.far} and {self.far_until}"
            )


def open_sources(clips: ClipData, spec: ClipSpec) -> list[ClipWindows]:
    """Open the training clips of each store, in the crops of a task.

    Raises:
        ValueError: there is no store, or the number of offsets is not that of the stores.
    """
    if not clips.data:
        raise ValueError("data must name at least one store of prepared clips, got none")
    if clips.corpus_offset_ms and len(clips.corpus_offset_ms) != len(clips.data):
        raise ValueError(
            f"corpus_offset_ms must have {len(clips.data)} values, "
            f"got {len(clips.corpus_offset_ms)}"
        )
    clean = read_clean_lists(clips.clean)
    sources = []
    for number, path in enumerate(clips.data):
        store = Store(path)
        indices = clips_of_split(store, clips.splits if number == 0 else None, "train")
        kept = [index for index in indices if store.rows[index].id not in clean.dropped]
        offset_ms = clips.corpus_offset_ms[number] if clips.corpus_offset_ms else 0.0
        sources.append(ClipWindows(store, kept, spec, offset_ms, clean.moved_ms))
    return sources


def draw_shares(clips: ClipData, counts: list[int]) -> np.ndarray:
    """Return the share of the draws from each store, which add up to 1.

    Args:
        clips: settings.
        counts: number of usable clips of each store.

    Raises:
        ValueError: the shares of the settings do not fit the stores.
    """
    if clips.share and (len(clips.share) != len(counts) or min(clips.share) < 0):
        raise ValueError(
            f"share must have {len(counts)} values, none negative, got {clips.share or 'none'}"
        )
    shares = np.array(clips.share or counts, np.float64)
    if not shares.sum():
        raise ValueError(f"share must have a value over 0, got {clips.share}")
    return shares / shares.sum()


class AudioRange(NamedTuple):
    """The audio of a window: its first sample, counted from the first frame, and its length."""

    first: int
    samples: int


def audio_range_in_use(spec: ClipSpec) -> AudioRange:
    """Return the audio of a window as in inference, with all that its feature columns reach."""
    first = round(spec.audio_from_s * SAMPLE_RATE)
    return AudioRange(first, round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE))


def audio_range_of_frames(spec: ClipSpec) -> AudioRange:
    """Return the audio of exactly the frames of a window, as in VocaLiST's public training.

    The mel spectrogram is computed without the audio beyond the window.
    """
    return AudioRange(0, spec.window_frames * SAMPLES_PER_FRAME)


def as_frames(crops: list[np.ndarray]) -> Tensor:
    """Stack crops `(T, H, W, 3)` uint8 of clips as frames `(B, 3, T, H, W)` uint8.

    `fit` passes them to the module in [0, 1].
    """
    return torch.from_numpy(np.stack(crops)).permute(0, 4, 1, 2, 3)


def held_out_clips(clips: ClipData) -> StoreClips | tuple[()]:
    """Return the clips of split `val` that are measured on; none without splits."""
    if clips.splits is None:
        return ()
    store = Store(clips.data[0])
    indices = clips_of_split(store, clips.splits, "val")
    return StoreClips(store, indices[: clips.validate_clips or None])


class SyncValidation:
    """Measure the share of windows whose best offset is within a frame, on held-out clips.

    At chance level it is 3 of 31, 0.097.

    Args:
        clips: clips of the recipe; nothing is measured without splits.
        window_frames: frames of the model's window, the short context.
    """

    def __init__(self, clips: ClipData, window_frames: int) -> None:
        self.contexts = sorted({window_frames, max(window_frames, LONG_CONTEXT)})
        self.watch = Watch(f"within_1_at_{window_frames}")
        self.offset_ms = clips.corpus_offset_ms[0] if clips.corpus_offset_ms else 0.0
        self.clips = held_out_clips(clips)

    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Measure the `model` of a training step, which is put into eval mode.

        Returns:
            Figures by name, one for each context; none without clips.
        """
        if not self.clips:
            return {}
        model = cast(SyncModel, task.get_submodule("model").eval())
        means = np.mean([self._shares(model, clip) for clip in self.clips], axis=0)
        names = [f"within_1_at_{context}" for context in self.contexts]
        return dict(zip(names, means.tolist(), strict=True))

    def _shares(self, model: SyncModel, clip: PreparedClip) -> list[float]:
        crops, wav = crops_for(model.spec, clip), np.asarray(clip.wav_16k)
        band = score_clip_band(model, crops, wav, self.offset_ms, empty_windows=False).band
        window = model.spec.window_frames
        offsets = [best_offsets(average_context(band, k, window)) for k in self.contexts]
        return [float((found.abs() <= 1).float().mean()) for found in offsets]


class StoreValidation:
    """Measure the share of windows within a frame of the best offset, on the clips of `val`.

    Args:
        store: prepared clips.
        splits: JSON file of clip names by split; nothing is measured without it.
    """

    contexts = (5, LONG_CONTEXT)
    watch = Watch(f"within_1_at_{contexts[0]}")

    def __init__(self, store: Path, splits: Path | None) -> None:
        self.clips: StoreClips | tuple[()] = ()
        if splits is not None:
            opened = Store(store)
            self.clips = StoreClips(opened, clips_of_split(opened, splits, "val"))

    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Return the figures of the `model` of a training step, none without clips."""
        if not self.clips:
            return {}
        # A copy on the CPU, where prepared clips are.
        model = cast(SyncModel, deepcopy(task.get_submodule("model")).cpu().eval())
        # Shares of windows need no calibration, and one fitted on other weights would not hold.
        measured = measure_clips(model, self.clips, self.contexts, Calibration())
        return {f"within_1_at_{k}": measured.within(k, 1) for k in self.contexts}
