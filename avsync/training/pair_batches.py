"""Batches of windows in and out of sync, as the published models learned from."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.sync_pairs import Pair, SyncPairs
from avsync.tasks.clip_spec import ClipSpec
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME
from avsync.training.clip_data import ClipData, open_sources, shares_of
from avsync.training.loop import Curriculum, MakeBatch


@dataclass(frozen=True)
class Negatives:
    """How far wrong sound lies from the right one.

    Args:
        far: at first at least this many frames; 1 for the published rule throughout.
        far_until: share of training over which that falls to one frame.
    """

    far: int = 1
    far_until: float = 0.5


def cut_sound(window_frames: int) -> tuple[int, int]:
    """The sound of a window as VocaLiST's training cuts it: where it begins, in samples after the
    first frame, and how long it is. What lies beyond it is not known when its mel is made.
    """
    return 0, window_frames * SAMPLES_PER_FRAME


def seen_sound(spec: ClipSpec) -> tuple[int, int]:
    """The sound of a window as the model hears it in use, with all that its columns reach."""
    first = round(spec.audio_from_s * SAMPLE_RATE)
    return first, round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)


def pair_batches(
    clips: ClipData, negatives: Negatives, spec: ClipSpec, sound: tuple[int, int]
) -> Curriculum:
    """Batches for `fit`: frames `(B, 3, T, H, W)` RGB in [0, 1], sound `(B, N)` at 16 kHz, labels
    `(B,)`, 1 in sync and 0 not.

    Args:
        clips: what to draw from.
        negatives: how far wrong sound lies.
        spec: of the model.
        sound: of a window: `cut_sound` or `seen_sound`.
    """
    first, samples = sound
    sources = [
        SyncPairs(
            windows,
            spec.window_frames,
            first,
            samples,
            far=negatives.far,
            far_until=negatives.far_until,
        )
        for windows in open_sources(clips, spec)
    ]
    shares = shares_of(clips, [len(source) for source in sources])

    def at(progress: float) -> MakeBatch:
        def make_batch(rng: np.random.Generator, _: Generator) -> tuple[Tensor, ...]:
            numbers = rng.choice(len(sources), clips.batch, p=shares)
            return collated([sources[number].draw(rng, progress) for number in numbers])

        return make_batch

    return Curriculum(at)


def collated(pairs: list[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs as one batch: `pair_batches` says of what shape."""
    wav = torch.from_numpy(np.stack([pair.wav for pair in pairs]))
    labels = torch.tensor([pair.label for pair in pairs])
    return as_frames([pair.frames for pair in pairs]), wav, labels


def as_frames(crops: list[np.ndarray]) -> Tensor:
    """Crops `(T, H, W, 3)` uint8 of each clip as frames `(B, 3, T, H, W)` in [0, 1]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 4, 1, 2, 3).float() / 255
