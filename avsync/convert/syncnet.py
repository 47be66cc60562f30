"""Convert SyncNet's published checkpoint (`syncnet_v2.model`).

The published network takes BGR frames in [0, 255] and consists of 3-D convolutions throughout; all
except the first one see one frame, so ours has 2-D convolutions there.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.tasks.sync.syncnet import SyncNetConfig, build_syncnet

# Our block -> upstream index of its convolution; its batch norm has the next index. Upstream
# numbers activations and pooling layers too.
LAYERS = {
    "visual": {"stem": 0, "trunk.1": 4, "trunk.3": 8, "trunk.4": 11, "trunk.5": 14, "trunk.7": 18},
    "audio": {
        "blocks.0": 0,
        "blocks.1": 4,
        "blocks.3": 8,
        "blocks.4": 11,
        "blocks.5": 14,
        "blocks.7": 18,
    },
}


def convert_syncnet(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a SyncNet state dict to ours, which takes RGB in [0, 1].

    Args:
        state_dict: tensors by upstream name, as `read_upstream` returns them.

    Raises:
        RuntimeError: names or shapes do not fit; the message lists them.
    """
    with torch.device("meta"):
        model = build_syncnet(SyncNetConfig())
    return convert_state(state_dict, model, _upstream_name, _to_rgb)


def _upstream_name(name: str) -> str:
    stream, rest = name.split(".", 1)
    short = {"visual": "lip", "audio": "aud"}[stream]
    if rest.startswith("head."):
        return f"netfc{short}.{rest.removeprefix('head.')}"
    block, kind, leaf = rest.rsplit(".", 2)
    return f"netcnn{short}.{LAYERS[stream][block] + (kind == 'norm')}.{leaf}"


def _to_rgb(name: str, tensor: Tensor) -> Tensor:
    if name == "visual.stem.conv.weight":
        return 255 * tensor.flip(1)
    return tensor.squeeze(2) if tensor.ndim == 5 else tensor
