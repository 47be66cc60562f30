"""Convert the published VocaLiST and MTDVocaLiST checkpoints (`vocalist_5f_lrs2.pth` and others).

VocaLiST takes BGR frames in [0, 1], MTDVocaLiST RGB frames in [0, 255]; both have time on the
innermost axis of their 3-D convolutions.
"""

import re
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.tasks.sync.vocalist import MTDVOCALIST, VocalistConfig, build_vocalist

# Pattern in our name -> its replacement in the upstream name; all that match are applied in order.
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
# Endings of buffers of fairseq's modules that carry no information.
IGNORED = (".version", ".embed_positions._float_tensor")
FIRST_KERNEL = "visual.blocks.0.conv.weight"


def convert_vocalist(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a VocaLiST state dict to ours, which takes RGB in [0, 1] and time on the outer axis.

    No tensor holds the number of frames the checkpoint was trained for: pass it as `window_frames`
    of `VocalistConfig`.

    Args:
        state_dict: tensors by upstream name, as `read_upstream` returns them.

    Raises:
        RuntimeError: names or shapes do not fit; the message lists them.
    """
    with torch.device("meta"):
        model = build_vocalist(VocalistConfig())
    return convert_state(state_dict, model, _upstream_name, _to_rgb, IGNORED)


def convert_mtdvocalist(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert an MTDVocaLiST state dict to ours, as `convert_vocalist` does.

    Args:
        state_dict: tensors by upstream name, as `read_upstream` returns them.

    Raises:
        RuntimeError: names or shapes do not fit; the message lists them.
    """
    with torch.device("meta"):
        model = build_vocalist(MTDVOCALIST)
    return convert_state(state_dict, model, _upstream_name, _to_unit_range, IGNORED)


def _upstream_name(name: str) -> str:
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _to_rgb(name: str, tensor: Tensor) -> Tensor:
    tensor = _time_to_front(tensor)
    return tensor.flip(1) if name == FIRST_KERNEL else tensor


def _to_unit_range(name: str, tensor: Tensor) -> Tensor:
    tensor = _time_to_front(tensor)
    return 255 * tensor if name == FIRST_KERNEL else tensor


def _time_to_front(tensor: Tensor) -> Tensor:
    """Return a 3-D kernel over (H, W, T) as one over (T, H, W), any other tensor unchanged."""
    return rearrange(tensor, "o i h w t -> o i t h w") if tensor.ndim == 5 else tensor
