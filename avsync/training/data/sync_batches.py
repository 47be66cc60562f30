"""Batches of windows in and out of sync, as the published models learned from."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.sampling.sync_pairs import Pair, SyncPairs
from avsync.data.sampling.sync_sequences import SyncSequences
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS, SAMPLES_PER_FRAME
from avsync.training.data.sync import (
    ClipData,
    Span,
    as_frames,
    audio_of_frames,
    open_sources,
    shares_of,
)
from avsync.training.engine.loop import Curriculum, MakeBatch


@dataclass(frozen=True)
class Negatives:
    """Which clips pairs are drawn from, and how far wrong audio lies from the right one.

    Args:
        far: frames that wrong audio is away at least at the start of training; 1 is the published
            rule, anywhere in the clip, throughout.
        far_until: share of training over which that falls to one frame.
        least_frames: shorter clips are left out; published are 26 for LRS2, 251 for Acappella.
        both: each window of frames comes with its own audio and with a wrong one, and is encoded
            once; published is one of the two, by chance. Half the frames for as many pairs.
    """

    far: int = 1
    far_until: float = 0.5
    least_frames: int = 26
    both: bool = False


def cut_audio_windows(window_frames: int) -> Span:
    """Return the audio of a window as VocaLiST's training cuts it: what lies beyond the frames is not
    known when the mel is made.
    """
    return Span(0, window_frames * SAMPLES_PER_FRAME)


def pair_batches(clips: ClipData, negatives: Negatives, spec: ClipSpec, audio: Span) -> Curriculum:
    """Batches for `fit`: frames `(B, 3, T, H, W)` RGB uint8, or half as many where each window
    comes with both audio streams; audio `(B, N)` at 16 kHz; labels `(B,)`, 1 in sync and 0 not.

    Args:
        clips: what to draw from.
        negatives: which pairs are drawn.
        spec: of the model.
        audio: of a window: `cut_audio_windows`, or `audio_of_frames` for what the model hears in use.
    """
    sources = [
        SyncPairs(
            windows,
            spec.window_frames,
            audio.first,
            audio.samples,
            negatives.least_frames,
            far=negatives.far,
            far_until=negatives.far_until,
        )
        for windows in open_sources(clips, spec)
    ]
    shares = shares_of(clips, [len(source) for source in sources])

    def at(progress: float) -> MakeBatch:
        def make_batch(rng: np.random.Generator, _: Generator) -> tuple[Tensor, ...]:
            if negatives.both:
                numbers = rng.choice(len(sources), max(1, clips.batch // 2), p=shares)
                drawn = [sources[number].draw_both(rng, progress) for number in numbers]
                frames = as_frames([right.frames for right, _ in drawn])
                return frames, *collated([pair for both in drawn for pair in both])[1:]
            numbers = rng.choice(len(sources), clips.batch, p=shares)
            return collated([sources[number].draw(rng, progress) for number in numbers])

        return make_batch

    return Curriculum(at)


def collated(pairs: list[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs as one batch: `pair_batches` says of what shape."""
    wav = torch.from_numpy(np.stack([pair.wav for pair in pairs]))
    labels = torch.tensor([pair.label for pair in pairs])
    return as_frames([pair.frames for pair in pairs]), wav, labels


def sequence_batches(clips: ClipData, spec: ClipSpec, windows: int) -> MakeBatch:
    """Make batches for `fit`: frames `(B, 3, windows - 1 + T, H, W)` RGB uint8, and their audio
    `(B, N)` at 16 kHz, which holds that of window k from `starts_s(spec, windows)[k]` on.
    """
    audio = audio_of_frames(spec)
    sources = [
        SyncSequences(each, windows, spec.window_frames, audio.first, audio.samples)
        for each in open_sources(clips, spec)
    ]
    shares = shares_of(clips, [len(source) for source in sources])

    def make_batch(rng: np.random.Generator, _: Generator) -> tuple[Tensor, ...]:
        numbers = rng.choice(len(sources), clips.batch, p=shares)
        drawn = [sources[number].draw(rng) for number in numbers]
        wav = torch.from_numpy(np.stack([stretch.wav for stretch in drawn]))
        return as_frames([stretch.frames for stretch in drawn]), wav

    return make_batch


def starts_s(spec: ClipSpec, windows: int) -> Tensor:
    """When the windows of a stretch start `(windows,)`, in seconds of its audio."""
    return torch.arange(windows) / FPS - spec.audio_from_s
