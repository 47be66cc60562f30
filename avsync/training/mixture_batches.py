"""Batches of mixtures with what is seen of the target's face."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.feature_cache import FeatureCache
from avsync.data.mixtures import Mixture, Mixtures
from avsync.training.clip_data import as_frames
from avsync.training.loop import MakeBatch


def mixture_batches(
    mixtures: Mixtures, batch: int, features: FeatureCache | None = None
) -> MakeBatch:
    """Makes batches for `fit`: see `collated`.

    Args:
        mixtures: what to draw.
        batch: how many together.
        features: tokens of a frozen encoder in place of frames, of every clip.
    """

    def make_batch(rng: np.random.Generator, _: Generator) -> tuple[Tensor, ...]:
        drawn = [mixtures.make(mixtures.draw(rng)) for _ in range(batch)]
        return collated(mixtures, drawn, features)

    return make_batch


def collated(
    mixtures: Mixtures, drawn: Sequence[Mixture], features: FeatureCache | None = None
) -> tuple[Tensor, ...]:
    """Mixtures as one batch: what is seen, then second voices, accompaniments and targets `(B, N)`.

    Seen are frames `(B, 3, T, H, W)` uint8, tokens `(B, T, D)` float32 where there are features,
    or landmarks `(B, 2, T, 68)`; nothing where the task looks at no face. The targets come last,
    so that their sound is what a contact sheet shows.
    """
    sounds = tuple(
        torch.from_numpy(np.stack([getattr(each, name) for each in drawn]))
        for name in ("second", "accompaniment", "target")
    )
    return (*_seen(mixtures, drawn, features), *sounds)


def _seen(
    mixtures: Mixtures, drawn: Sequence[Mixture], features: FeatureCache | None
) -> tuple[Tensor, ...]:
    spec, faces = mixtures.spec, mixtures.faces
    if not spec.sees:
        return ()
    if spec.landmarks:
        points = [faces.landmarks(each.place, each.frame, spec.frames) for each in drawn]
        return (torch.from_numpy(np.stack(points)).permute(0, 3, 1, 2),)
    if features is None:
        return (as_frames([mixtures.frames(each) for each in drawn]),)
    tokens = [
        features.tokens(faces.crop_file(each.place), each.frame, spec.frames) for each in drawn
    ]
    return (torch.from_numpy(np.stack(tokens)).float(),)
