"""The models of speech: what is said, by lips and voice, and how well the two agree."""

from typing import TYPE_CHECKING, Any

from avsync.tasks.card import Config, design, filled

if TYPE_CHECKING:
    from torch import nn

    from avsync.tasks.lipreading.lip_reader import LipReaderConfig


def _lip_reader(config: Config) -> "nn.Module":
    from avsync.tasks.lipreading.lip_reader import build

    return build(_reader_config(config))


def _av_syncnet(config: Config) -> "nn.Module":
    from avsync.tasks.sync.av_syncnet import AvSyncNetConfig, build

    given: dict[str, Any] = {**config, "reader": _reader_config(config.get("reader", {}))}
    return build(filled(AvSyncNetConfig(), given))


def _reader_config(config: Config) -> "LipReaderConfig":
    from avsync.encoders.av_hubert import AvHubertConfig
    from avsync.tasks.lipreading.lip_reader import LipReaderConfig

    given: dict[str, Any] = {**config}
    given["encoder"] = filled(AvHubertConfig(), given.get("encoder", {}))
    return filled(LipReaderConfig(), given)


SPEECH_MODELS = (
    design(
        "lip_reader",
        "AV-HuBERT's encoder and a decoder that writes what lips, voice or both say",
        _lip_reader,
        measured="published: LRS2 word error rate 25.0 % from video, AV-HuBERT large "
        "(SyncTalklip's supplement)",
        train="lip-reader",
        page="docs/av_syncnet.md",
        job="reading",
    ),
    design(
        "av_syncnet",
        "AV-SyncNet: a lip reader whose tokens of lips and voice are aligned frame by frame",
        _av_syncnet,
        measured="published: LRS2 word error rate 26.0 %, PRI 0.47 (SyncTalklip's supplement)",
        train="av-syncnet",
        page="docs/av_syncnet.md",
    ),
)
