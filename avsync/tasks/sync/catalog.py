"""The sync models: how well a face and a voice belong together in time."""

from typing import TYPE_CHECKING

from avsync.tasks.card import Config, ModelCard, design, filled, reference

if TYPE_CHECKING:
    from torch import nn


def _dense_sync(config: Config) -> "nn.Module":
    from avsync.tasks.sync.dense_sync import DenseSyncConfig, build

    return build(filled(DenseSyncConfig(), config))


def _vocalist(config: Config) -> "nn.Module":
    from avsync.tasks.sync.vocalist import VocalistConfig, build

    return build(filled(VocalistConfig(), config))


def _mtdvocalist(config: Config) -> "nn.Module":
    from avsync.tasks.sync.vocalist import MTDVOCALIST, build

    return build(filled(MTDVOCALIST, config))


def _syncnet(config: Config) -> "nn.Module":
    from avsync.tasks.sync.syncnet import SyncNetConfig, build

    return build(filled(SyncNetConfig(), config))


def _lip_expert(config: Config) -> "nn.Module":
    from avsync.tasks.sync.lip_expert import LipExpertConfig, build

    return build(filled(LipExpertConfig(), config))


def _perfect_match(config: Config) -> "nn.Module":
    from avsync.tasks.sync.perfect_match import PerfectMatchConfig, build

    return build(filled(PerfectMatchConfig(), config))


def _avst(config: Config) -> "nn.Module":
    from avsync.tasks.sync.avst import AvstConfig, build

    return build(filled(AvstConfig(), config))


def _vocalist_mc3(config: Config) -> "nn.Module":
    from avsync.tasks.sync.vocalist import Mc3VocalistConfig, build_mc3

    return build_mc3(filled(Mc3VocalistConfig(), config))


def _vocalist_timm(config: Config) -> "nn.Module":
    from avsync.tasks.sync.vocalist import TimmVocalistConfig, build_timm

    return build_timm(filled(TimmVocalistConfig(), config))


def _dense_sync_timm(config: Config) -> "nn.Module":
    from avsync.tasks.sync.dense_sync import TimmDenseSyncConfig, build_timm

    return build_timm(filled(TimmDenseSyncConfig(), config))


SYNC_MODELS = (
    ModelCard(
        name="dense_sync",
        summary="default sync model: mouth crops and voice, both encoded once over the clip",
        build=_dense_sync,
        file="dense_sync.safetensors",
        sha256="117ca96a3d524b86eef5ec1cf36c1175a202d938a70b202005d542e7f6a1d8dd",
        licence="MIT",
        trained_on="GRID s1, training split (CC BY 4.0), and rendered clips",
        measured=(
            "GRID s1 test: 95.9 % of 5-frame windows inside words within a frame; 99 of 100 "
            "clips answered, all within 45 ms (avsync evaluate sync); LRS3, 2 s: 19 of 20 "
            "answered, all within 45 ms (the same)"
        ),
    ),
    reference(
        "vocalist",
        "VocaLiST: 3-D lips, mel and three cross-modal transformers, 80.1 M parameters",
        _vocalist,
        licence="published weights: CC BY-NC 4.0, not shipped; see docs/vocalist.md",
        trained_on="LRS2, or Acappella (published weights)",
        measured="published: LRS2 92.8 % of 5-frame windows within a frame (Kadandale 2022)",
    ),
    reference(
        "mtdvocalist",
        "MTDVocaLiST: VocaLiST distilled to 13.3 M parameters",
        _mtdvocalist,
        licence="published weights: no licence stated, not shipped; see docs/mtdvocalist.md",
        trained_on="LRS2 (published weights)",
        measured="published: LRS2 91.5 % of 5-frame windows within a frame (authors' log)",
    ),
    reference(
        "syncnet",
        "SyncNet: the model that LSE-D and LSE-C are measured with, 13.6 M parameters",
        _syncnet,
        licence="published weights: MIT-style, not shipped; see docs/syncnet.md",
        trained_on="BBC television (published weights)",
        measured="published: LRS2 75.8 % of 5-frame windows within a frame (Kadandale 2022)",
    ),
    reference(
        "lip_expert",
        "SyncNet*: Wav2Lip's lip expert, cosine of two embeddings, 16.4 M parameters",
        _lip_expert,
        licence="published weights: non-commercial research, not shipped; see docs/lip_expert.md",
        trained_on="LRS2 (published weights)",
        measured="not published by this protocol; retrained on Acappella: 57.7 % of 5-frame "
        "windows within 5 frames (Kadandale 2022)",
    ),
    design(
        "perfect_match",
        "Perfect Match: SyncNet's streams, trained to pick one voice of N, 13.6 M parameters",
        _perfect_match,
        measured="published: LRS2 88.1 % of 5-frame windows within a frame (Kadandale 2022)",
        train="perfect-match",
        page="docs/perfect_match.md",
    ),
    design(
        "avst",
        "AVST: convolutions, then one transformer over both streams, 42.2 M parameters",
        _avst,
        measured="published: LRS2 92.0 % of 5-frame windows within a frame (Kadandale 2022)",
        train="avst",
        page="docs/avst.md",
    ),
    design(
        "vocalist_mc3",
        "VocaLiST that sees with MC3-18, an ablation of its paper, 53.0 M parameters",
        _vocalist_mc3,
        measured="published: poorer than VocaLiST, no figure (Kadandale 2022)",
        train="vocalist --backbone mc3_18",
        page="docs/visual_encoders.md",
    ),
    design(
        "vocalist_timm",
        "VocaLiST that sees each frame with a network of timm",
        _vocalist_timm,
        measured="not published",
        train="vocalist --backbone resnet18",
        page="docs/visual_encoders.md",
    ),
    design(
        "dense_sync_timm",
        "dense_sync that sees each frame with a network of timm",
        _dense_sync_timm,
        measured="not published",
        train="dense-sync --backbone resnet18",
        page="docs/visual_encoders.md",
    ),
)
