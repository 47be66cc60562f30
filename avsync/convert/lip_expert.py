"""The lip expert's published checkpoint (lipsync_expert.pth) -> ours.

Theirs eats BGR in [0, 1], the five frames one after the other in the channels.
"""

import re
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.tasks.sync.lip_expert import LipExpertConfig, build

NAMES = (
    (r"^visual\.blocks\.", "face_encoder."),
    (r"^audio\.blocks\.", "audio_encoder."),
    (r"\.conv\.", ".conv_block.0."),
    (r"\.norm\.", ".conv_block.1."),
)


def convert(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps a `SyncNet_color` state dict of Wav2Lip to ours, for RGB.

    RuntimeError names what does not fit.
    """
    with torch.device("meta"):
        model = build(LipExpertConfig())
    return convert_state(state_dict, model, upstream_name, _to_rgb)


def upstream_name(name: str) -> str:
    """The reference's name of a tensor of ours."""
    for pattern, theirs in NAMES:
        name = re.sub(pattern, theirs, name)
    return name


def _to_rgb(name: str, tensor: Tensor) -> Tensor:
    if name != "visual.blocks.0.conv.weight":
        return tensor
    frames = rearrange(tensor, "o (t c) h w -> o t c h w", c=3).flip(2)
    return rearrange(frames, "o t c h w -> o (t c) h w")
