"""The separation models: the voice of one face out of a mixture."""

from typing import TYPE_CHECKING

from avsync.tasks.card import Config, ModelCard, design, filled, reference

if TYPE_CHECKING:
    from torch import nn


def _unet(config: Config) -> "nn.Module":
    from avsync.tasks.separation.unet import UNetConfig, build

    return build(filled(UNetConfig(), config))


def _ynet_m(config: Config) -> "nn.Module":
    from avsync.tasks.separation.ynet_variants import YNetMConfig, build_m

    return build_m(filled(YNetMConfig(), config))


def _ynet_g(config: Config) -> "nn.Module":
    from avsync.tasks.separation.ynet_variants import YNetGConfig, build_g

    return build_g(filled(YNetGConfig(), config))


def _ynet_v(config: Config) -> "nn.Module":
    from avsync.tasks.separation.ynet_variants import YNetVConfig, build_v

    return build_v(filled(YNetVConfig(), config))


def _ynet_s(config: Config) -> "nn.Module":
    from avsync.tasks.separation.ynet_variants import YNetSConfig, build_s

    return build_s(filled(YNetSConfig(), config))


def _ynet_dense(config: Config) -> "nn.Module":
    from avsync.tasks.separation.ynet_variants import YNetDenseConfig, build_dense

    return build_dense(filled(YNetDenseConfig(), config))


def _llcp(config: Config) -> "nn.Module":
    from avsync.tasks.separation.llcp import LlcpConfig, build

    return build(filled(LlcpConfig(), config))


def _lip_mask(config: Config) -> "nn.Module":
    from avsync.tasks.separation.lip_mask import LipMaskConfig, build

    return build(filled(LipMaskConfig(), config))


TABLE = "SDR / SIR of two singers, unseen and unheard (Kadandale 2022, table 3)"
SEPARATION_MODELS = (
    ModelCard(
        name="lip_mask",
        summary="default separator: complex masks told by lips at the frame rate, 2.8 M parameters",
        build=_lip_mask,
        file="lip_mask.safetensors",
        sha256="a15f3c8e50dc4c41b5c5ded94695dc7c08be7cab2d76015b501c9d7e277de66e",
        licence="MIT",
        trained_on=(
            "GRID s1, training split (CC BY 4.0), music of music_cc (CC BY), and rendered clips"
        ),
        measured=(
            "two real people at once, one of them seen in training: 40 of 40 voices closer to "
            "their own face's, SI-SDR gain 5.3 dB (benchmarks/separation/two_faces.py); two "
            "sentences of one speaker, not trained on: SDR gain 6.6 dB "
            "(benchmarks/separation/model_comparison.py)"
        ),
        job="separation",
    ),
    design(
        "unet",
        "U-Net: complex masks from the audio alone, 8.1 M parameters",
        _unet,
        measured="not published with a figure we could read",
        train="ynet --kind u-net",
        page="docs/unet.md",
        job="separation",
    ),
    reference(
        "ynet_m",
        "Y-Net-m, Y-Net-mr: that U-Net, told by a mouth that MC3-18 sees, 11.3 M parameters",
        _ynet_m,
        licence="published weights: no licence stated, not shipped; see docs/ynet.md",
        trained_on="Acappella and AudioSet (published weights)",
        measured=f"published: Y-Net-mr 5.03 / 15.80 dB {TABLE}",
        job="separation",
    ),
    reference(
        "ynet_g",
        "Y-Net-g, Y-Net-gr: told by 68 landmarks and a graph network, 9.7 M parameters",
        _ynet_g,
        licence="published weights: no licence stated, not shipped; see docs/ynet.md",
        trained_on="Acappella and AudioSet (published weights)",
        measured=f"published: Y-Net-gr 6.41 / 17.38 dB {TABLE}",
        job="separation",
    ),
    design(
        "ynet_v",
        "Y-Net-mr-V: told by VocaLiST's visual encoder, frozen, 47.0 M parameters",
        _ynet_v,
        measured=f"published: 6.32 / 17.08 dB, end to end 1.14 / 11.72 dB {TABLE}",
        train="ynet --kind v",
        page="docs/ynet.md",
        job="separation",
    ),
    design(
        "ynet_s",
        "Y-Net-mr-S*: told by the lip expert's visual encoder, frozen, 21.4 M parameters",
        _ynet_s,
        measured=f"published: 5.44 / 16.17 dB {TABLE}",
        train="ynet --kind s",
        page="docs/ynet.md",
        job="separation",
    ),
    design(
        "ynet_dense",
        "Y-Net told by the mouth encoder of dense_sync, frozen, 9.4 M parameters",
        _ynet_dense,
        measured="not published",
        train="ynet --kind dense-sync",
        page="docs/ynet.md",
        job="separation",
    ),
    design(
        "llcp",
        "Looking to Listen, told by VocaLiST's visual encoder, frozen, 53.9 M parameters",
        _llcp,
        measured="not published with these eyes",
        train="ynet --kind llcp",
        page="docs/ynet.md",
        job="separation",
    ),
)
