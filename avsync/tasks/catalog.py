"""The catalog of released models: one row per model.

The packages of tasks are imported when a row's model is built, so that listing models loads no
torch.
"""

from typing import TYPE_CHECKING

from avsync.tasks import lipreading, separation, sync, talking
from avsync.tasks.card import Config, ModelCard, replace_fields, untrained_card, upstream_card

if TYPE_CHECKING:
    from torch import nn

# The sync model of `check` and `fix` by default.
DEFAULT_SYNC_MODEL = "face_sync"
SINGERS = "SDR / SIR of two singers, unseen and unheard (Kadandale 2022, table 3)"


def _build_face_sync(config: Config) -> "nn.Module":
    return sync.build_face_sync(replace_fields(sync.FaceSyncConfig(), config))


SYNC_MODELS = (
    ModelCard(
        name="face_sync",
        summary="default sync model: mouth landmarks and pixels against Whisper's first layer",
        build=_build_face_sync,
        file="face_sync.safetensors",
        sha256="e4c09cd283a404fd633a0003b1460ed4f4d906e84f47af376d8e9410cd15f4e9",
        licence="MIT; the frozen networks in it are Apache-2.0 (face mesh) and MIT (Whisper)",
        trained_on=(
            "GRID, s1 and 6 other speakers (CC BY 4.0), 11 clips of 5 people from openly licensed "
            "or public-domain pages, and rendered clips"
        ),
        measured=(
            "5-frame windows within a frame (benchmarks/sync/strangers.py): other GRID speakers "
            "69.2 %, LRS3 60.6 %, 17 other people 50.8 %; clips right 11 of 11, 19 of 20, 26 of 26"
        ),
        config_sha256="422bb2ad9e0da5eeef329cbd20c9ea114e72ac252418ba18f2f54d2df9c09ab3",
    ),
    ModelCard(
        name="face_sync-research",
        summary="face_sync, trained on more people, for research only",
        build=_build_face_sync,
        file="face_sync-research.safetensors",
        sha256="a01cacb1006febc166503b4a6c49425f21d5f7cde0a52842429a13b45616607c",
        licence=(
            "research only, not for commercial use: the terms of the clips it was trained on; see "
            "docs/models/face_sync.md"
        ),
        trained_on=(
            "the clips of face_sync but the rendered ones, and 98 clips of 86 people of LRS3, "
            "VoxCeleb2, TalkVid, VFHQ, Lip2Wav, TCD-TIMIT and other research corpora"
        ),
        measured=(
            "5-frame windows within a frame (benchmarks/sync/strangers.py): other GRID speakers "
            "70.3 %, LRS3 75.0 %, 17 other people 60.7 %; clips right 11 of 11, 19 of 20, 26 of 26"
        ),
        config_sha256="b4ced43d7148ec0d1f178f4fcec13788714bd43560ae7701fa53f4f621b1248f",
    ),
    ModelCard(
        name="dense_sync",
        summary="mouth crops and audio, both encoded once over the clip, 2 M parameters",
        build=lambda config: sync.build_dense_sync(replace_fields(sync.DenseSyncConfig(), config)),
        file="dense_sync.safetensors",
        sha256="117ca96a3d524b86eef5ec1cf36c1175a202d938a70b202005d542e7f6a1d8dd",
        licence="MIT",
        trained_on="GRID s1, training split (CC BY 4.0), and rendered clips",
        measured=(
            "GRID s1 test: 95.9 % of 5-frame windows inside words within a frame; 99 of 100 "
            "clips answered, all within 45 ms (avsync evaluate sync); LRS3, 2 s: 19 of 20 "
            "answered, all within 45 ms (the same)"
        ),
        config_sha256="527e01597f9ce03439a904d0736e94e0f2b8883dfa135c1928995b4454cfd196",
    ),
    upstream_card(
        name="vocalist",
        summary="VocaLiST: 3-D lips, mel and three cross-modal transformers, 80.1 M parameters",
        build=lambda config: sync.build_vocalist(replace_fields(sync.VocalistConfig(), config)),
        licence="published weights: CC BY-NC 4.0, not shipped; see docs/models/vocalist.md",
        trained_on="LRS2, or Acappella (published weights)",
        measured="published: LRS2 92.8 % of 5-frame windows within a frame (Kadandale 2022)",
    ),
    upstream_card(
        name="mtdvocalist",
        summary="MTDVocaLiST: VocaLiST distilled to 13.3 M parameters",
        build=lambda config: sync.build_vocalist(replace_fields(sync.MTDVOCALIST, config)),
        licence="published weights: no licence stated, not shipped; see docs/models/mtdvocalist.md",
        trained_on="LRS2 (published weights)",
        measured="published: LRS2 91.5 % of 5-frame windows within a frame (authors' log)",
    ),
    upstream_card(
        name="syncnet",
        summary="SyncNet: the model that LSE-D and LSE-C are measured with, 13.6 M parameters",
        build=lambda config: sync.build_syncnet(replace_fields(sync.SyncNetConfig(), config)),
        licence="published weights: MIT-style, not shipped; see docs/models/syncnet.md",
        trained_on="BBC television (published weights)",
        measured="published: LRS2 75.8 % of 5-frame windows within a frame (Kadandale 2022)",
    ),
    upstream_card(
        name="lip_expert",
        summary="SyncNet*: Wav2Lip's lip expert, cosine of two embeddings, 16.4 M parameters",
        build=lambda config: sync.build_lip_expert(replace_fields(sync.LipExpertConfig(), config)),
        licence=(
            "published weights: non-commercial research, not shipped; see docs/models/lip_expert.md"
        ),
        trained_on="LRS2 (published weights)",
        measured=(
            "not published by this protocol; retrained on Acappella: 57.7 % of 5-frame windows "
            "within 5 frames (Kadandale 2022)"
        ),
    ),
    untrained_card(
        name="perfect_match",
        summary="Perfect Match: SyncNet's streams, N-way matching of audio, 13.6 M parameters",
        build=lambda config: sync.build_perfect_match(
            replace_fields(sync.PerfectMatchConfig(), config)
        ),
        measured="published: LRS2 88.1 % of 5-frame windows within a frame (Kadandale 2022)",
        train="perfect-match",
        page="docs/models/perfect_match.md",
    ),
    untrained_card(
        name="avst",
        summary="AVST: convolutions, then one transformer over both streams, 42.2 M parameters",
        build=lambda config: sync.build_avst(replace_fields(sync.AvstConfig(), config)),
        measured="published: LRS2 92.0 % of 5-frame windows within a frame (Kadandale 2022)",
        train="avst",
        page="docs/models/avst.md",
    ),
    untrained_card(
        name="vocalist_mc3",
        summary="VocaLiST with MC3-18 as visual encoder, its paper's ablation, 53.0 M parameters",
        build=lambda config: sync.build_mc3_vocalist(
            replace_fields(sync.Mc3VocalistConfig(), config)
        ),
        measured="published: poorer than VocaLiST, no figure (Kadandale 2022)",
        train="vocalist --backbone mc3_18",
        page="docs/models/visual_encoders.md",
    ),
    untrained_card(
        name="vocalist_timm",
        summary="VocaLiST with an image model of timm as visual encoder",
        build=lambda config: sync.build_timm_vocalist(
            replace_fields(sync.TimmVocalistConfig(), config)
        ),
        measured="not published",
        train="vocalist --backbone resnet18",
        page="docs/models/visual_encoders.md",
    ),
    untrained_card(
        name="dense_sync_timm",
        summary="dense_sync with an image model of timm as visual encoder",
        build=lambda config: sync.build_timm_dense_sync(
            replace_fields(sync.TimmDenseSyncConfig(), config)
        ),
        measured="not published",
        train="dense-sync --backbone resnet18",
        page="docs/models/visual_encoders.md",
    ),
)

SEPARATION_MODELS = (
    ModelCard(
        name="lip_mask",
        summary=(
            "default separator: complex masks conditioned on lips at the frame rate, "
            "2.8 M parameters"
        ),
        build=lambda config: separation.build_lip_mask(
            replace_fields(separation.LipMaskConfig(), config)
        ),
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
        config_sha256="60d0770dc80a0438bc25c0fd6943fe7062ec6342a52dde020948d836a3e01e18",
    ),
    untrained_card(
        name="unet",
        summary="U-Net: complex masks from the audio alone, 8.1 M parameters",
        build=lambda config: separation.build_unet(replace_fields(separation.UNetConfig(), config)),
        measured="not published with a figure we could read",
        train="ynet --kind u-net",
        page="docs/models/unet.md",
        job="separation",
    ),
    upstream_card(
        name="ynet_m",
        summary=(
            "Y-Net-m, Y-Net-mr: that U-Net conditioned on mouth crops (MC3-18), 11.3 M parameters"
        ),
        build=lambda config: separation.build_ynet_m(
            replace_fields(separation.YNetMConfig(), config)
        ),
        licence="published weights: no licence stated, not shipped; see docs/models/ynet.md",
        trained_on="Acappella and AudioSet (published weights)",
        measured=f"published: Y-Net-mr 5.03 / 15.80 dB {SINGERS}",
        job="separation",
    ),
    upstream_card(
        name="ynet_g",
        summary=(
            "Y-Net-g, Y-Net-gr: conditioned on 68 landmarks (graph network), 9.7 M parameters"
        ),
        build=lambda config: separation.build_ynet_g(
            replace_fields(separation.YNetGConfig(), config)
        ),
        licence="published weights: no licence stated, not shipped; see docs/models/ynet.md",
        trained_on="Acappella and AudioSet (published weights)",
        measured=f"published: Y-Net-gr 6.41 / 17.38 dB {SINGERS}",
        job="separation",
    ),
    untrained_card(
        name="ynet_v",
        summary="Y-Net-mr-V: with VocaLiST's visual encoder, frozen, 47.0 M parameters",
        build=lambda config: separation.build_ynet_v(
            replace_fields(separation.YNetVConfig(), config)
        ),
        measured=f"published: 6.32 / 17.08 dB, end to end 1.14 / 11.72 dB {SINGERS}",
        train="ynet --kind v",
        page="docs/models/ynet.md",
        job="separation",
    ),
    untrained_card(
        name="ynet_s",
        summary="Y-Net-mr-S*: with the lip expert's visual encoder, frozen, 21.4 M parameters",
        build=lambda config: separation.build_ynet_s(
            replace_fields(separation.YNetSConfig(), config)
        ),
        measured=f"published: 5.44 / 16.17 dB {SINGERS}",
        train="ynet --kind s",
        page="docs/models/ynet.md",
        job="separation",
    ),
    untrained_card(
        name="ynet_dense",
        summary="Y-Net with the visual encoder of dense_sync, frozen, 9.4 M parameters",
        build=lambda config: separation.build_ynet_dense(
            replace_fields(separation.YNetDenseConfig(), config)
        ),
        measured="not published",
        train="ynet --kind dense-sync",
        page="docs/models/ynet.md",
        job="separation",
    ),
    untrained_card(
        name="llcp",
        summary="Looking to Listen with VocaLiST's visual encoder, frozen, 53.9 M parameters",
        build=lambda config: separation.build_llcp(replace_fields(separation.LlcpConfig(), config)),
        measured="not published with this visual encoder",
        train="ynet --kind llcp",
        page="docs/models/ynet.md",
        job="separation",
    ),
)

# Lip readers, and the sync model that is built on one.
SPEECH_MODELS = (
    untrained_card(
        name="lip_reader",
        summary="AV-HuBERT's encoder and a decoder that transcribes lips, audio or both",
        build=lambda config: lipreading.build_lip_reader(
            replace_fields(lipreading.LipReaderConfig(), config)
        ),
        measured=(
            "published: LRS2 word error rate 25.0 % from video, AV-HuBERT large "
            "(SyncTalklip's supplement)"
        ),
        train="lip-reader",
        page="docs/models/lip_reader.md",
        job="reading",
    ),
    untrained_card(
        name="av_syncnet",
        summary="AV-SyncNet: a lip reader whose audio and video tokens are aligned frame by frame",
        build=lambda config: sync.build_av_syncnet(replace_fields(sync.AvSyncNetConfig(), config)),
        measured="published: LRS2 word error rate 26.0 %, PRI 0.47 (SyncTalklip's supplement)",
        train="av-syncnet",
        page="docs/models/av_syncnet.md",
    ),
)

TALKING_MODELS = (
    untrained_card(
        name="synctalklip",
        summary="SyncTalklip and TalkLip: a talking face conditioned on AV-HuBERT's audio tokens",
        build=lambda config: talking.build_synctalklip(
            replace_fields(talking.SyncTalklipConfig(), config)
        ),
        measured="not published: no figure of weights that can be had",
        train="synctalklip",
        page="docs/models/synctalklip.md",
        job="talking",
    ),
    untrained_card(
        name="wav2lip",
        summary="Wav2Lip: a talking face conditioned on 0.2 s of mel, 36.3 M parameters",
        build=lambda config: talking.build_wav2lip(replace_fields(talking.Wav2LipConfig(), config)),
        measured="not published: no figure of weights that can be had",
        train="wav2lip",
        page="docs/models/wav2lip.md",
        job="talking",
    ),
)

MODELS = {
    card.name: card for card in (*SYNC_MODELS, *SEPARATION_MODELS, *SPEECH_MODELS, *TALKING_MODELS)
}
