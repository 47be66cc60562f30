"""Convert the published Y-Net checkpoints and their audio-only U-Net.

The files are `y_net_m7.pth`, `y_net_mr7.pth`, `y_net_g7.pth` and `y_net_gr7.pth`. Their tensors
differ from ours in their names only. They also hold three spectral tables that no code reads and
the last layers of MC3-18, which never run: these are listed here and left out.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.encoders.pretrained.mc3 import Mc3Encoder
from avsync.tasks.separation.unet import UNetConfig, build_unet
from avsync.tasks.separation.ynet_variants import (
    YNetGConfig,
    YNetMConfig,
    build_ynet_g,
    build_ynet_m,
)

# Pattern in our name -> its replacement in the upstream name. The first match wins; a name that no
# pattern matches is the same upstream.
NAMES = (
    (r"^unet\.head\.", "final_conv."),
    (r"^unet\.(\w+\.\d)\.conv\.", r"\1.layer.0."),
    (r"^unet\.(\w+\.\d)\.norm\.", r"\1.layer.1."),
    (r"^film\.scale\.", "fusion_layer.scaling."),
    (r"^film\.shift\.", "fusion_layer.bias."),
    (r"^visual\.encoder\.trunk\.", "motion_net."),
    (r"^visual\.adjacency$", "graph_net.A"),
    (r"^visual\.norm\.", "graph_net.data_bn."),
    (r"^visual\.blocks\.(\d)\.importance$", r"graph_net.st_gcn_networks.\1.edge_importance"),
    (r"^visual\.blocks\.(\d)\.spread\.", r"graph_net.st_gcn_networks.\1.gcn.conv."),
    (r"^visual\.blocks\.(\d)\.frames\.", r"graph_net.st_gcn_networks.\1.tcn."),
    (r"^visual\.blocks\.(\d)\.past\.", r"graph_net.st_gcn_networks.\1.residual."),
)
# The shapes of the last two, and the values of the second, depend on the version of torchaudio.
UNUSED_TABLES = ("wav2sp_train.window", "sp2mel.fb", "mel2sp.fb")


def convert_unet(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the state dict of the audio-only U-Net to ours.

    Args:
        state_dict: tensors by upstream name, as `read_upstream` returns them.

    Raises:
        RuntimeError: names or shapes do not fit; the message lists them.
    """
    with torch.device("meta"):
        model = build_unet(UNetConfig())
    return convert_state(state_dict, model, _upstream_name, ignored=UNUSED_TABLES)


def convert_ynet_m(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the state dict of a Y-Net-m or Y-Net-mr to ours, as `convert_unet` does."""
    with torch.device("meta"):
        model, full_encoder = build_ynet_m(YNetMConfig()), Mc3Encoder()
    never_run = [name for name in full_encoder.trunk.state_dict() if name.startswith("layer4.")]
    layers = [f"motion_net.{name}" for name in (*never_run, "fc.weight", "fc.bias")]
    return convert_state(state_dict, model, _upstream_name, ignored=[*UNUSED_TABLES, *layers])


def convert_ynet_g(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the state dict of a Y-Net-g or Y-Net-gr to ours, as `convert_unet` does."""
    with torch.device("meta"):
        model = build_ynet_g(YNetGConfig())
    return convert_state(state_dict, model, _upstream_name, ignored=UNUSED_TABLES)


def _upstream_name(name: str) -> str:
    for pattern, replacement in NAMES:
        name, changes = re.subn(pattern, replacement, name)
        if changes:
            return name
    return name
