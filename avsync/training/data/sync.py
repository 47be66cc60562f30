"""Which clips a recipe trains on, and which it is measured on."""

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
from avsync.evaluation.score_matrix import clip_band
from avsync.metrics.sync_accuracy import average_context, best_offsets
from avsync.scoring.engine import SyncModel
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLE_RATE
from avsync.training.engine.loop import Watch

# A longer context than most windows: what averaging gives.
LONG_CONTEXT = 15


@dataclass(frozen=True)
class ClipData:
    """Stores of prepared clips, and what a batch takes of them.

    Args:
        data: stores of prepared clips to train on (`avsync prepare`).
        splits: JSON file of clip names by split, for the first store: `train` is trained on, `val`
            is measured on. Without it all clips are trained on and nothing is measured.
        share: share of the draws from each store; by default as many as it has clips.
        corpus_offset_ms: constant offset of the clips of each store (positive = the audio leads),
            taken off the clips; 0 by default.
        clean: tables that say which clips are left out and which are moved (`avsync audit`).
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


def open_sources(clips: ClipData, spec: ClipSpec) -> list[ClipWindows]:
    """Return the training clips of each store, as a task sees them."""
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
        places = clips_of_split(store, clips.splits if number == 0 else None, "train")
        kept = [place for place in places if store.rows[place].id not in clean.dropped]
        offset_ms = clips.corpus_offset_ms[number] if clips.corpus_offset_ms else 0.0
        sources.append(ClipWindows(store, kept, spec, offset_ms, clean.moved_ms))
    return sources


def shares_of(clips: ClipData, counts: list[int]) -> np.ndarray:
    """Return the share of the draws from each store, which has so many clips: they add up to 1."""
    if clips.share and (len(clips.share) != len(counts) or min(clips.share) < 0):
        raise ValueError(
            f"share must have {len(counts)} values, none negative, got {clips.share or 'none'}"
        )
    shares = np.array(clips.share or counts, np.float64)
    if not shares.sum():
        raise ValueError(f"share must have a value over 0, got {clips.share}")
    return shares / shares.sum()


class Span(NamedTuple):
    """Audio of a window: from which sample after its first frame, and how many."""

    first: int
    samples: int


def audio_of_frames(spec: ClipSpec) -> Span:
    """Return the audio of a window as the model hears it in use, with all that its columns reach."""
    first = round(spec.audio_from_s * SAMPLE_RATE)
    return Span(first, round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE))


def as_frames(crops: list[np.ndarray]) -> Tensor:
    """Crops `(T, H, W, 3)` uint8 of each clip as frames `(B, 3, T, H, W)` uint8, which `fit` hands
    to the task in [0, 1].
    """
    return torch.from_numpy(np.stack(crops)).permute(0, 4, 1, 2, 3)


def held_out_clips(clips: ClipData) -> StoreClips | tuple[()]:
    """Return the clips of split `val` that are measured on; none where the recipe has no splits."""
    if clips.splits is None:
        return ()
    store = Store(clips.data[0])
    indices = clips_of_split(store, clips.splits, "val")
    return StoreClips(store, indices[: clips.validate_clips or None])


class Validation:
    """Measures the `model` of a training step on the held-out clips: shares of windows within a
    frame; chance is 0.097.

    Args:
        clips: of the recipe; nothing is measured where it has no splits.
        window_frames: of the model: the short context.
    """

    def __init__(self, clips: ClipData, window_frames: int) -> None:
        self.contexts = sorted({window_frames, max(window_frames, LONG_CONTEXT)})
        self.watch = Watch(f"within_1_at_{window_frames}")
        self.offset_ms = clips.corpus_offset_ms[0] if clips.corpus_offset_ms else 0.0
        self.clips = held_out_clips(clips)

    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Figures by name; the model is put into eval mode."""
        if not self.clips:
            return {}
        model = cast(SyncModel, task.get_submodule("model").eval())
        rows = [self._shares(model, clip) for clip in self.clips]
        means = np.mean(rows, axis=0)
        names = [f"within_1_at_{context}" for context in self.contexts]
        return dict(zip(names, means.tolist(), strict=True))

    def _shares(self, model: SyncModel, clip: PreparedClip) -> list[float]:
        crops, wav = crops_for(model.spec, clip), np.asarray(clip.wav_16k)
        band = clip_band(model, crops, wav, self.offset_ms, empty_windows=False).band
        window = model.spec.window_frames
        offsets = [best_offsets(average_context(band, k, window)) for k in self.contexts]
        return [float((found.abs() <= 1).float().mean()) for found in offsets]
