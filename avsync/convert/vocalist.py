"""The published VocaLiST checkpoints (vocalist_5f_lrs2.pth and others) -> ours.

Theirs eat BGR in [0, 1], with time on the innermost axis of the 3-D convolutions.
"""

import re
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.tasks.sync.vocalist import MTDVOCALIST, VocalistConfig, build

# First match wins; what no pattern names is called the same.
NAMES = (
    (r"visual\.blocks\.", "vid_prenet."),
    (r"audio\.blocks\.", "aud_prenet."),
    (r"audio_to_video\.", "av_transformer."),
    (r"video_to_audio\.", "va_transformer."),
    (r"fusion\.", "mem_transformer."),
    (r"\.conv\.", ".conv_block.0."),
    (r"\.norm\.(?=\w)(?<=\d\.norm\.)", ".conv_block.1."),
    (r"_transformer\.norm\.", "_transformer.layer_norm."),
    (r"\.attention_norm\.", ".layer_norms.0."),
    (r"\.ffn_norm\.", ".layer_norms.1."),
    (r"\.in_proj\.", ".self_attn.in_proj_"),
    (r"\.out_proj\.", ".self_attn.out_proj."),
)
# Buffers of fairseq's modules that carry nothing.
IGNORED = (".version", ".embed_positions._float_tensor")


def convert(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps a VocaLiST state dict to ours, for RGB in [0, 1] and time on the outer axis.

    The number of frames that it was trained for is in no tensor: give it as `window_frames` of
    `VocalistConfig`. RuntimeError names what does not fit.
    """
    with torch.device("meta"):
        model = build(VocalistConfig())
    return convert_state(state_dict, model, upstream_name, _to_rgb, IGNORED)


def upstream_name(name: str) -> str:
    """The reference's name of a tensor of ours."""
    for pattern, theirs in NAMES:
        name = re.sub(pattern, theirs, name)
    return name


def time_outside(tensor: Tensor) -> Tensor:
    """A 3-D kernel over (H, W, T) as one over (T, H, W); other tensors as they are."""
    return rearrange(tensor, "o i h w t -> o i t h w") if tensor.ndim == 5 else tensor


def _to_rgb(name: str, tensor: Tensor) -> Tensor:
    tensor = time_outside(tensor)
    return tensor.flip(1) if name == "visual.blocks.0.conv.weight" else tensor


def convert_mtdvocalist(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps an MTDVocaLiST state dict to ours, for RGB in [0, 1] and time on the outer axis.

    RuntimeError names what does not fit.
    """
    with torch.device("meta"):
        model = build(MTDVOCALIST)
    return convert_state(state_dict, model, upstream_name, _to_unit_range, IGNORED)


def _to_unit_range(name: str, tensor: Tensor) -> Tensor:
    tensor = time_outside(tensor)
    return 255 * tensor if name == "visual.blocks.0.conv.weight" else tensor
