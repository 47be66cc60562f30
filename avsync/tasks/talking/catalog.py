"""The models of talking faces: a voice and a face in, the face that says it out."""

from typing import TYPE_CHECKING, Any

from avsync.tasks.card import Config, design, filled

if TYPE_CHECKING:
    from torch import nn


def _synctalklip(config: Config) -> "nn.Module":
    from avsync.encoders.av_hubert import AvHubertConfig
    from avsync.tasks.talking.synctalklip import SyncTalklipConfig, build

    given = _with_generator(config)
    given["encoder"] = filled(AvHubertConfig(), given.get("encoder", {}))
    return build(filled(SyncTalklipConfig(), given))


def _wav2lip(config: Config) -> "nn.Module":
    from avsync.tasks.talking.wav2lip import Wav2LipConfig, build

    return build(filled(Wav2LipConfig(), _with_generator(config)))


def _with_generator(config: Config) -> dict[str, Any]:
    from avsync.tasks.talking.generator import TalkingFaceConfig

    given: dict[str, Any] = {**config}
    given["generator"] = filled(TalkingFaceConfig(), given.get("generator", {}))
    return given


TALKING_MODELS = (
    design(
        "synctalklip",
        "SyncTalklip and TalkLip: a face that says what AV-HuBERT's encoder hears",
        _synctalklip,
        measured="not published: no figure of weights that can be had",
        train="synctalklip",
        page="docs/synctalklip.md",
        job="talking",
    ),
    design(
        "wav2lip",
        "Wav2Lip: a face that says what a mel of 0.2 s tells, 36.3 M parameters",
        _wav2lip,
        measured="not published: no figure of weights that can be had",
        train="wav2lip",
        page="docs/synctalklip.md",
        job="talking",
    ),
)
