"""The files of a separation: sounds that add up to the mixture, all of them whole or not there."""

import json
import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from math import ceil, log10
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.media.audio import read_audio
from avsync.media.probe import MediaInfo, probe_audio
from avsync.media.wav_file import WavWriter
from avsync.pipelines.separate_chunks import Separated
from avsync.pipelines.separate_result import RECORD

REST = "rest.wav"
OURS = re.compile(r"voice_\d+|rest")


class Sound(NamedTuple):
    """How a file's first sound is read: from `ahead_s` whole seconds before the first picture; the
    first `skipped` samples from there come before the file begins.
    """

    path: str
    rate: int
    layout: str
    origin_s: float
    ahead_s: int
    skipped: int

    @staticmethod
    def of(info: MediaInfo) -> "Sound":
        """That of a file: from its first picture on, or from where the sound begins earlier."""
        _, rate, layout, _ = probe_audio(info.path)
        # What is dated before the clock begins is an encoder's priming.
        sound_s = max(info.audio[0].start_s or 0.0, 0.0)
        early_s = max(info.video_start_s - sound_s, 0.0)
        ahead_s = ceil(early_s)
        origin_s = info.video_start_s - ahead_s
        return Sound(info.path, rate, layout, origin_s, ahead_s, round((ahead_s - early_s) * rate))

    @property
    def start_s(self) -> float:
        """When the first sample that is kept is heard, in seconds from the first picture."""
        return self.skipped / self.rate - self.ahead_s

    def blocks(self) -> Generator[np.ndarray]:
        """The sound in blocks `(C, n)`, all of it."""
        return read_audio(self.path, self.origin_s, self.rate, mono=False)


class Written(NamedTuple):
    """What went into the files: samples and channels of each, and the energy of the mixture and of
    the voices `(1 + V,)`.
    """

    samples: int
    channels: int
    energies: np.ndarray

    def level_db(self, voice: int) -> float | None:
        """How loud a voice is against the mixture; None where it is silent."""
        mixture, own = self.energies[0], self.energies[1 + voice]
        return None if not own else round(10 * log10(own / mixture), 2)


def write_sounds(
    sound: Sound, separated: Iterable[Separated], voices: Sequence[Path], rest: Path
) -> Written:
    """Writes each voice to its file, and to `rest` what they leave of the mixture."""
    samples, skipped, energies = 0, sound.skipped, np.zeros(1 + len(voices))
    with ExitStack() as stack:
        files = [
            stack.enter_context(WavWriter(path, sound.rate, sound.layout))
            for path in (*voices, rest)
        ]
        for block in separated:
            skip = min(skipped, block.mixture.shape[1])
            skipped -= skip
            mixture, parts = block.mixture[:, skip:], block.voices[..., skip:]
            samples += mixture.shape[1]
            energies += [np.square(each, dtype=np.float64).sum() for each in (mixture, *parts)]
            for file, each in zip(files, (*parts, mixture - parts.sum(0)), strict=True):
                file.write(each)
    return Written(samples, files[0].channels, energies)


def earlier_files(folder: Path, source: Path, overwrite: bool) -> list[Path]:
    """The files of an earlier separation in a folder, which a new one replaces.

    FileExistsError where there is one and it must stay, NotADirectoryError where there is a file,
    ValueError where `source` itself might be replaced.
    """
    if OURS.fullmatch(source.stem) and source.resolve().parent == folder.resolve():
        raise ValueError(f"output must be another folder than that of {source.name} itself")
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, and a folder was to be written to")
    there = [path for path in (folder / RECORD, folder / REST) if path.exists()]
    if there and not overwrite:
        raise FileExistsError(f"{there[0]} exists already and is not overwritten")
    return [folder / name for name in _recorded(folder / RECORD) if (folder / name).is_file()]


def _recorded(record: Path) -> list[str]:
    """The names that an earlier record gives its files, those of its own folder only."""
    try:
        told = json.loads(record.read_text("utf-8"))
        names = [name for voice in told["voices"] for name in (voice["file"], voice["video"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name]
