"""Separators to be trained: which network, how wide, and what it sees with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import nn

from avsync import weights as checkpoints
from avsync.encoders.mc3 import PUBLISHED as MC3
from avsync.encoders.mc3 import Mc3Encoder
from avsync.tasks.registry import PRETRAINED, create_model, model_card
from avsync.tasks.separation.llcp import Llcp, LlcpConfig
from avsync.tasks.separation.mask_unet import PUBLISHED
from avsync.tasks.separation.unet import UNet
from avsync.tasks.separation.ynet import YNet
from avsync.tasks.sync.vocalist import VocalistConfig

Kind = Literal["u-net", "m", "g", "v", "s", "dense-sync", "llcp"]
SeparationModel = UNet | YNet | Llcp
MODELS: dict[Kind, str] = {
    "u-net": "unet",
    "m": "ynet_m",
    "g": "ynet_g",
    "v": "ynet_v",
    "s": "ynet_s",
    "dense-sync": "ynet_dense",
    "llcp": "llcp",
}
# The sync model whose visual encoder each kind sees with, and what it is called there.
TEACHERS: dict[Kind, tuple[str, str]] = {
    "v": ("vocalist", "visual"),
    "s": ("lip_expert", "visual"),
    "dense-sync": ("dense_sync", "mouth"),
    "llcp": ("vocalist", "visual"),
}
# Y-Net-m has the first three stages of MC3-18.
MC3_STAGES = 3
# Fields of a config that are about the visual encoder.
VISUAL = ("visual_channels", "window_frames", "dim", "mouth_channels", "crop_size")


class Eyes(NamedTuple):
    """A visual encoder that was trained for something else, and the config fields it asks for."""

    encoder: nn.Module
    config: dict[str, Any]


def separator_config(
    kind: Kind,
    width: float = 1.0,
    visual_width: float = 1.0,
    seconds: int = 4,
    sources: int = 2,
    end_to_end: bool = False,
    eyes: Eyes | None = None,
) -> dict[str, Any]:
    """Return the config of a separator of that kind: sizes as published, or so many times as wide.

    ValueError where its visual encoder would be frozen without having learnt anything.
    """
    if kind not in MODELS:
        raise ValueError(f"kind must be one of {', '.join(MODELS)}, got {kind!r}")
    if min(width, visual_width) <= 0:
        raise ValueError(f"widths must be positive, got {width} and {visual_width}")
    config: dict[str, Any] = {"seconds": seconds, "sources": sources, **_hearing(kind, width)}
    if kind == "u-net":
        return config
    if kind in TEACHERS and not end_to_end and eyes is None:
        raise ValueError(
            f"kind {kind} sees with a frozen encoder: give visual, weights of a trained "
            f"{TEACHERS[kind][0]}, or train it end to end"
        )
    config["frozen"] = kind in TEACHERS and not end_to_end
    if eyes is not None:
        return config | eyes.config
    if kind == "m":
        config["visual_channels"] = _wide(MC3[:MC3_STAGES], visual_width)
    elif kind in ("v", "s", "llcp"):
        config["visual_channels"] = _wide(VocalistConfig().channels, visual_width)
    elif visual_width != 1:
        raise ValueError(f"visual_width is not for kind {kind}")
    return config


def trained_visual_encoder(kind: Kind, weights: Path | None, kinetics: bool = False) -> Eyes | None:
    """Return the visual encoder of a trained sync model: of those weights, or of the released dense_sync;
    or MC3-18's first stages as Kinetics-400 taught them. None where there is nothing to take.

    ValueError where the kind of network sees with no such encoder.
    """
    if kinetics:
        if kind != "m":
            raise ValueError(f"kinetics is for kind m, got {kind}")
        stages = MC3[:MC3_STAGES]
        return Eyes(Mc3Encoder(stages, pretrained=True), {"visual_channels": stages})
    if kind not in TEACHERS:
        if weights is not None:
            raise ValueError(f"visual is for {', '.join(TEACHERS)}, not for kind {kind}")
        return None
    name, part = TEACHERS[kind]
    shipped = model_card(name).file
    if weights is None and shipped is None:
        return None
    file = weights or PRETRAINED / str(shipped)
    model = create_model(name, weights=file)
    return Eyes(model.get_submodule(part), _visual_config(kind, checkpoints.load(file).config))


def load_visual_encoder(model: nn.Module, eyes: Eyes) -> None:
    """Give a separator's visual encoder the weights of a trained one of the same sizes."""
    visual = model.get_submodule("visual")
    # Encoders of windows are wrapped, so that every frame has a token.
    inner = getattr(visual, "encoder", visual)
    inner.load_state_dict(eyes.encoder.state_dict(), strict=True)


def describe_visual_encoder(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return what a separator's config says of its visual encoder, for the key of cached features."""
    said = {key: value for key, value in config.items() if key in VISUAL}
    if name == "llcp":
        # Its `dim` is not that of its eyes.
        said.pop("dim", None)
    return {"model": name, **said}


def _visual_config(kind: Kind, given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a separator's config out of those of the sync model."""
    taken = {
        "v": {"channels": "visual_channels"},
        "llcp": {"channels": "visual_channels"},
        "s": {"channels": "visual_channels", "window_frames": "window_frames"},
        "dense-sync": {name: name for name in ("dim", "mouth_channels", "crop_size")},
    }[kind]
    return {
        to: tuple(given[field]) if isinstance(given[field], list) else given[field]
        for field, to in taken.items()
        if field in given
    }


def _hearing(kind: Kind, width: float) -> dict[str, Any]:
    """Return the fields of a config that are about what hears, so many times as wide as published."""
    if kind != "llcp":
        return {"channels": _wide(PUBLISHED, width)}
    sizes = LlcpConfig()
    names = ("frame_channels", "audio_channels", "lstm", "dim")
    return dict(zip(names, _wide([getattr(sizes, name) for name in names], width), strict=True))


def _wide(channels: Sequence[int], width: float) -> tuple[int, ...]:
    return tuple(max(1, round(width * each)) for each in channels)
