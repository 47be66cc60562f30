"""Configs of separators to be trained, and the pretrained visual encoders that they start with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import nn

from avsync.encoders.pretrained.mc3 import PUBLISHED as MC3
from avsync.encoders.pretrained.mc3 import Mc3Encoder
from avsync.tasks.card import Config
from avsync.tasks.registry import create_model, load_checkpoint, model_card
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
# The sync model whose visual encoder each kind has, and the encoder's attribute there.
ENCODER_SOURCES: dict[Kind, tuple[str, str]] = {
    "v": ("vocalist", "visual"),
    "s": ("lip_expert", "visual"),
    "dense-sync": ("dense_sync", "mouth"),
    "llcp": ("vocalist", "visual"),
}
# Y-Net-m has the first three stages of MC3-18.
MC3_STAGES = 3
# Fields of a config that describe the visual encoder.
VISUAL = ("visual_channels", "window_frames", "dim", "mouth_channels", "crop_size")


class PretrainedVisualEncoder(NamedTuple):
    """A visual encoder trained for another task, and the config fields that it requires."""

    encoder: nn.Module
    config: dict[str, Any]


def make_separator_config(
    kind: Kind,
    width: float = 1.0,
    visual_width: float = 1.0,
    seconds: int = 4,
    sources: int = 2,
    end_to_end: bool = False,
    visual: PretrainedVisualEncoder | None = None,
) -> dict[str, Any]:
    """Return the config of a separator, with the published sizes or multiples of them.

    Args:
        kind: network and visual encoder, see `YNetRecipe`.
        width: of the audio network, as a multiple of the published one.
        visual_width: of a visual encoder without weights.
        seconds: length of a mixture.
        sources: number by which the mixture is divided.
        end_to_end: train the visual encoder as well.
        visual: pretrained visual encoder, whose sizes apply.

    Raises:
        ValueError: an option does not fit the kind, or the visual encoder would be frozen with
            random weights.
    """
    if kind not in MODELS:
        raise ValueError(f"kind must be one of {', '.join(MODELS)}, got {kind!r}")
    if min(width, visual_width) <= 0:
        raise ValueError(f"widths must be positive, got {width} and {visual_width}")
    config: dict[str, Any] = {"seconds": seconds, "sources": sources, **_audio_config(kind, width)}
    if kind == "u-net":
        return config
    if kind in ENCODER_SOURCES and not end_to_end and visual is None:
        raise ValueError(
            f"kind {kind} has a frozen visual encoder: give visual, weights of a trained "
            f"{ENCODER_SOURCES[kind][0]}, or train it end to end"
        )
    config["frozen"] = kind in ENCODER_SOURCES and not end_to_end
    if visual is not None:
        return config | visual.config
    if kind == "m":
        config["visual_channels"] = scaled(MC3[:MC3_STAGES], visual_width)
    elif kind in ("v", "s", "llcp"):
        config["visual_channels"] = scaled(VocalistConfig().channels, visual_width)
    elif visual_width != 1:
        raise ValueError(f"visual_width is not for kind {kind}")
    return config


def pretrained_visual_encoder(
    kind: Kind, weights: Path | None, kinetics: bool = False
) -> PretrainedVisualEncoder | None:
    """Return the visual encoder of a trained sync model, or one pretrained on Kinetics-400.

    Args:
        kind: kind of the separator.
        weights: weights of the sync model; by default the released ones, if there are any.
        kinetics: take MC3-18's first stages, for kind `m`.

    Returns:
        The encoder, or None if there is none to take.

    Raises:
        ValueError: the kind has no such encoder.
    """
    if kinetics:
        if kind != "m":
            raise ValueError(f"kinetics is for kind m, got {kind}")
        stages = MC3[:MC3_STAGES]
        config = {"visual_channels": stages}
        return PretrainedVisualEncoder(Mc3Encoder(stages, pretrained=True), config)
    if kind not in ENCODER_SOURCES:
        if weights is not None:
            raise ValueError(f"visual is for {', '.join(ENCODER_SOURCES)}, not for kind {kind}")
        return None
    name, attribute = ENCODER_SOURCES[kind]
    if weights is None and model_card(name).file is None:
        return None
    model = create_model(name, pretrained=weights is None, weights=weights)
    config = load_checkpoint(name, weights).config
    return PretrainedVisualEncoder(model.get_submodule(attribute), _visual_config(kind, config))


def load_visual_encoder(model: nn.Module, visual: PretrainedVisualEncoder) -> None:
    """Load a pretrained visual encoder into a separator with an encoder of the same sizes."""
    encoder = model.get_submodule("visual")
    # Encoders of windows are wrapped, so that every frame has a token.
    inner = getattr(encoder, "encoder", encoder)
    inner.load_state_dict(visual.encoder.state_dict(), strict=True)


def describe_visual_encoder(name: str, config: Config) -> dict[str, Any]:
    """Return the part of a separator's config that identifies cached features of its encoder."""
    described = {key: value for key, value in config.items() if key in VISUAL}
    if name == "llcp":
        # Its `dim` is not that of its visual encoder.
        described.pop("dim", None)
    return {"model": name, **described}


def _visual_config(kind: Kind, sync_config: Config) -> dict[str, Any]:
    """Convert the config of a sync model to fields of a separator's config."""
    names = {
        "v": {"channels": "visual_channels"},
        "llcp": {"channels": "visual_channels"},
        "s": {"channels": "visual_channels", "window_frames": "window_frames"},
        "dense-sync": {name: name for name in ("dim", "mouth_channels", "crop_size")},
    }[kind]
    return {
        to: tuple(sync_config[name]) if isinstance(sync_config[name], list) else sync_config[name]
        for name, to in names.items()
        if name in sync_config
    }


def _audio_config(kind: Kind, width: float) -> dict[str, Any]:
    """Return the config fields of the audio network, at a multiple of its published width."""
    if kind != "llcp":
        return {"channels": scaled(PUBLISHED, width)}
    sizes = LlcpConfig()
    names = ("frame_channels", "audio_channels", "lstm", "dim")
    return dict(zip(names, scaled([getattr(sizes, name) for name in names], width), strict=True))


def scaled(channels: Sequence[int], width: float) -> tuple[int, ...]:
    """Multiply widths by a factor, rounded, with at least one channel."""
    return tuple(max(1, round(width * count)) for count in channels)
