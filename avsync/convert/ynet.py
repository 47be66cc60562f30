"""The published Y-Net checkpoints (y_net_m7.pth, y_net_mr7.pth, y_net_g7.pth, y_net_gr7.pth) and
their audio-only U-Net -> ours.

Their tensors are ours under other names. What they carry besides is named here and left out: three
tables of spectra that nothing reads, and the end of MC3-18, which never runs.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.encoders.mc3 import Mc3Encoder
from avsync.tasks.separation.unet import UNetConfig
from avsync.tasks.separation.unet import build as build_unet
from avsync.tasks.separation.ynet_variants import YNetGConfig, YNetMConfig, build_g, build_m

# First match wins for a part of a name; what no pattern names is called the same.
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
# The last two change their shape, and the second its content, with the version of torchaudio.
UNUSED_TABLES = ("wav2sp_train.window", "sp2mel.fb", "mel2sp.fb")


def convert_unet(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps the state dict of the audio-only U-Net to ours; RuntimeError names what does not fit."""
    with torch.device("meta"):
        model = build_unet(UNetConfig())
    return convert_state(state_dict, model, upstream_name, ignored=UNUSED_TABLES)


def convert_m(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps the state dict of a Y-Net-m or -mr to ours; RuntimeError names what does not fit."""
    with torch.device("meta"):
        model, whole = build_m(YNetMConfig()), Mc3Encoder()
    never_run = [name for name in whole.trunk.state_dict() if name.startswith("layer4.")]
    layers = [f"motion_net.{name}" for name in (*never_run, "fc.weight", "fc.bias")]
    return convert_state(state_dict, model, upstream_name, ignored=[*UNUSED_TABLES, *layers])


def convert_g(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps the state dict of a Y-Net-g or -gr to ours; RuntimeError names what does not fit."""
    with torch.device("meta"):
        model = build_g(YNetGConfig())
    return convert_state(state_dict, model, upstream_name, ignored=UNUSED_TABLES)


def upstream_name(name: str) -> str:
    """The reference's name of a tensor of ours."""
    for pattern, theirs in NAMES:
        name, changes = re.subn(pattern, theirs, name)
        if changes:
            return name
    return name
