"""Convert the lip expert's published checkpoint (`lipsync_expert.pth` of Wav2Lip).

The published network takes BGR frames in [0, 1], five frames stacked in the channels.
"""

import re
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.tasks.sync.lip_expert import LipExpertConfig, build_lip_expert

# Pattern in our name -> its replacement in the upstream name; all that match are applied in order.
NAMES = (
    (r"^visual\.blocks\.", "face_encoder."),
    (r"^audio\.blocks\.", "audio_encoder."),
    (r"\.conv\.", ".conv_block.0."),
    (r"\.norm\.", ".conv_block.1."),
)


def convert_lip_expert(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a `SyncNet_color` state dict of Wav2Lip to our lip expert's, which takes RGB.

    Args:
        state_dict: tensors by upstream name, as `read_upstream` returns them.

    Raises:
        RuntimeError: names or shapes do not fit; the message lists them.
    """
    with torch.device("meta"):
        model = build_lip_expert(LipExpertConfig())
    return convert_state(state_dict, model, _upstream_name, _to_rgb)


def _upstream_name(name: str) -> str:
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _to_rgb(name: str, tensor: Tensor) -> Tensor:
    if name != "visual.blocks.0.conv.weight":
        return tensor
    frames = rearrange(tensor, "o (t c) h w -> o t c h w", c=3).flip(2)
    return rearrange(frames, "o t c h w -> o (t c) h w")
