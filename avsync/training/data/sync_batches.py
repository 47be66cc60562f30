"""Batches for sync models: labelled pairs of windows, and sequences of windows to be matched."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.sampling.sync_pairs import SyncPair, SyncPairs
from avsync.data.sampling.sync_sequences import SyncSequences
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS
from avsync.training.data.sync import (
    AudioRange,
    ClipData,
    Negatives,
    as_frames,
    audio_range_in_use,
    draw_shares,
    open_sources,
)
from avsync.training.engine.batches import Curriculum, MakeBatch


def pair_batches(
    clips: ClipData,
    negatives: Negatives,
    spec: ClipSpec,
    audio_range: Callable[[ClipSpec], AudioRange] = audio_range_in_use,
) -> Curriculum:
    """Make batches of pairs in and out of sync.

    A batch is frames `(B, 3, T, H, W)` RGB uint8, half as many with `negatives.both`; audio `(B,
    N)` at 16 kHz; and labels `(B,)`, 1 in sync and 0 not.

    Args:
        clips: training clips and batch size.
        negatives: how pairs out of sync are drawn.
        spec: input spec of the model.
        audio_range: which audio belongs to a window.
    """
    audio = audio_range(spec)
    sources = [
        SyncPairs(
            windows,
            spec.window_frames,
            audio.first,
            audio.samples,
            negatives.least_frames,
            min_distance=negatives.far,
            curriculum_share=negatives.far_until,
        )
        for windows in open_sources(clips, spec)
    ]
    shares = draw_shares(clips, [len(source) for source in sources])

    def at(progress: float) -> MakeBatch:
        def make_batch(rng: np.random.Generator, _: Generator) -> tuple[Tensor, ...]:
            if negatives.both:
                numbers = rng.choice(len(sources), max(1, clips.batch // 2), p=shares)
                drawn = [sources[number].draw_both(rng, progress) for number in numbers]
                frames = as_frames([right.frames for right, _ in drawn])
                return frames, *collate_pairs([pair for both in drawn for pair in both])[1:]
            numbers = rng.choice(len(sources), clips.batch, p=shares)
            return collate_pairs([sources[number].draw(rng, progress) for number in numbers])

        return make_batch

    return Curriculum(at)


def collate_pairs(pairs: list[SyncPair]) -> tuple[Tensor, Tensor, Tensor]:
    """Collate pairs as frames, audio and labels, with the shapes of `pair_batches`."""
    wav = torch.from_numpy(np.stack([pair.wav for pair in pairs]))
    labels = torch.tensor([pair.label for pair in pairs])
    return as_frames([pair.frames for pair in pairs]), wav, labels


def sequence_batches(clips: ClipData, spec: ClipSpec, windows: int) -> MakeBatch:
    """Make batches of sequences of windows, one window starting at every frame.

    A batch is frames `(B, 3, windows - 1 + T, H, W)` RGB uint8, and audio `(B, N)` at 16 kHz, in
    which window k starts at `window_starts_s(spec, windows)[k]`.

    Args:
        clips: training clips and batch size.
        spec: input spec of the model.
        windows: windows of a sequence.
    """
    audio = audio_range_in_use(spec)
    sources = [
        SyncSequences(source, windows, spec.window_frames, audio.first, audio.samples)
        for source in open_sources(clips, spec)
    ]
    shares = draw_shares(clips, [len(source) for source in sources])

    def make_batch(rng: np.random.Generator, _: Generator) -> tuple[Tensor, ...]:
        numbers = rng.choice(len(sources), clips.batch, p=shares)
        drawn = [sources[number].draw(rng) for number in numbers]
        wav = torch.from_numpy(np.stack([sequence.wav for sequence in drawn]))
        return as_frames([sequence.frames for sequence in drawn]), wav

    return make_batch


def window_starts_s(spec: ClipSpec, windows: int) -> Tensor:
    """Return the start of each window of a sequence `(windows,)`, in seconds of its audio."""
    return torch.arange(windows) / FPS - spec.audio_from_s
