"""What a frozen encoder sees of clips, worked out once before training."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avsync.data.feature_cache import FeatureCache, encoder_key
from avsync.tasks.separation_spec import SeparationSpec


def frozen_tokens(
    visual: nn.Module,
    about: Mapping[str, Any],
    spec: SeparationSpec,
    clips: Sequence[str],
    folder: Path,
    device: str = "auto",
) -> FeatureCache:
    """The tokens of all clips, worked out where they are not in the folder yet.

    Args:
        visual: the frozen encoder; it comes back on the CPU.
        about: what its builder was told.
        spec: geometry of the crops.
        clips: their files.
        folder: where they are kept.
        device: `cpu`, else the GPU where there is one.
    """
    from rich.console import Console
    from rich.progress import track

    cache = FeatureCache(folder, encoder_key(visual, about), spec)
    place = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    shown = track(
        clips,
        "frozen features",
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    cache.fill(shown, visual.to(place), place)
    visual.cpu()
    return cache
