"""Transcripts of the clips of the store that conftest makes, and sizes of models to train."""

from avsync.encoders.av_hubert import AvHubertConfig
from avsync.tasks.lipreading.lip_reader import LipReaderConfig

ENCODER = AvHubertConfig(8, 1, 2, 12, channels=(2, 3, 4, 5), position_frames=5)
READER = LipReaderConfig(ENCODER, 1, "words", crop_size=24)


def write_transcripts(folder):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(["one", "two", "three"]):
        words = ["bin", "blue", "now", "please"][number : number + 2]
        lines = [f"5000 15000 {words[0]}", f"15000 20000 {words[1]}"]
        (folder / f"{name}.align").write_text("\n".join(lines))
    return folder
