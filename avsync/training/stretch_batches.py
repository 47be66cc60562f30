"""Batches of stretches: every window is matched against the sound of all windows of its clip."""

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.sync_stretches import SyncStretches
from avsync.tasks.clip_spec import ClipSpec
from avsync.timing import FPS
from avsync.training.clip_data import ClipData, as_frames, open_sources, seen_sound, shares_of
from avsync.training.loop import MakeBatch


def stretch_batches(clips: ClipData, spec: ClipSpec, windows: int) -> MakeBatch:
    """Makes batches for `fit`: frames `(B, 3, windows - 1 + T, H, W)` RGB uint8, and their sound
    `(B, N)` at 16 kHz, which holds that of window k from `starts_s(spec, windows)[k]` on.
    """
    sound = seen_sound(spec)
    sources = [
        SyncStretches(each, windows, spec.window_frames, sound.first, sound.samples)
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
    """When the windows of a stretch start `(windows,)`, in seconds of its sound."""
    return torch.arange(windows) / FPS - spec.audio_from_s
