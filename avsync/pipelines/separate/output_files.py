"""Read the audio of the source, and write the voices and the rest as WAV files."""

import math
import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from math import ceil, log10
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.json_files import read_json
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe_audio
from avsync.media.read_log import ReadLog
from avsync.media.writers.wav_writer import WavWriter
from avsync.outputs import JSON_OUTPUT, check_output
from avsync.pipelines.separate.overlap_add import SeparatedBlock
from avsync.pipelines.separate.result import RECORD

# Samples of float audio beyond this (120 dB over full scale), infinite ones and NaN are damage. A
# file of which more than this share is damaged is not separated.
MAX_SAMPLE, MAX_INVALID_SHARE = 1e6, 0.01
# Seconds after the last frame from which digital silence is not written.
SILENCE_AFTER_S = 60.0
OUTPUT_STEM = re.compile(r"voice_\d+|rest")


class SourceAudio(NamedTuple):
    """How the first audio track of a video is read.

    Args:
        path: the video.
        sample_rate: of the track, in Hz.
        layout: channel layout in FFmpeg's words.
        origin_s: where reading starts, on the file's clock.
        lead_s: whole seconds from there to the first frame.
        skipped_samples: samples from there to the start of the track, which are not written.
        video_s: time of the last frame, in seconds from the first one.
    """

    path: str
    sample_rate: int
    layout: str
    origin_s: float
    lead_s: int
    skipped_samples: int
    video_s: float = math.inf

    @staticmethod
    def from_media(info: MediaInfo) -> "SourceAudio":
        """Return the audio from the first frame on, or from its own start where that is earlier."""
        _, sample_rate, layout, _ = probe_audio(info.path)
        # Samples dated before the clock begins are an encoder's priming.
        audio_start_s = max(info.audio[0].start_s or 0.0, 0.0)
        early_s = max(info.video_start_s - audio_start_s, 0.0)
        lead_s = ceil(early_s)
        origin_s = info.video_start_s - lead_s
        skipped = round((lead_s - early_s) * sample_rate)
        return SourceAudio(info.path, sample_rate, layout, origin_s, lead_s, skipped)

    @property
    def start_s(self) -> float:
        """Time of the first sample that is written, in seconds from the first frame."""
        return self.skipped_samples / self.sample_rate - self.lead_s

    def blocks(self) -> Generator[np.ndarray]:
        """Yield all of the audio in blocks `(C, n)`, invalid samples as zeros.

        Silence long after the video ends it: timestamps with gaps would make hours of it.

        Raises:
            UnreadableMedia: at the end, if too many samples are invalid.
        """
        given = invalid = 0
        most = (self.lead_s + self.video_s + SILENCE_AFTER_S) * self.sample_rate
        log = ReadLog()
        for block in read_audio(self.path, self.origin_s, self.sample_rate, mono=False, log=log):
            if given > most and not block.any():
                break
            given += block.shape[1]
            # NaN compares as False.
            valid = np.abs(block) < MAX_SAMPLE
            if not valid.all():
                invalid += int((~valid).any(0).sum())
                block = np.where(valid, block, np.float32(0))
            yield block
        # The reader has replaced samples that are no finite numbers, and counted them.
        share = max(invalid / max(given, 1), log.invalid_samples / max(log.samples, 1))
        if share > MAX_INVALID_SHARE:
            words = f"{100 * share:.1f} % of the audio samples are not valid numbers"
            raise UnreadableMedia("damaged", words)


class WrittenAudio(NamedTuple):
    """What was written to the audio files.

    Args:
        samples: length of each file.
        channels: channels of each file.
        energies: energy of the mixture and of each voice `(1 + V,)`.
    """

    samples: int
    channels: int
    energies: np.ndarray

    def level_db(self, voice: int) -> float | None:
        """Return the energy of a voice relative to the mixture in dB, None for silence."""
        mixture, own = self.energies[0], self.energies[1 + voice]
        return None if not own else round(10 * log10(own / mixture), 2)


def write_audio_files(
    audio: SourceAudio, separated: Iterable[SeparatedBlock], voices: Sequence[Path], rest: Path
) -> WrittenAudio:
    """Write each voice to its own file and the mixture minus the voices to `rest`.

    Args:
        audio: the source; its format is that of the files, its skipped samples are left out.
        separated: consecutive blocks of the source and its voices.
        voices: one WAV file per voice.
        rest: the WAV file of the rest.
    """
    samples, skipped, energies = 0, audio.skipped_samples, np.zeros(1 + len(voices))
    with ExitStack() as stack:
        writers = [
            stack.enter_context(WavWriter(path, audio.sample_rate, audio.layout))
            for path in (*voices, rest)
        ]
        for block in separated:
            skip = min(skipped, block.mixture.shape[1])
            skipped -= skip
            mixture, parts = block.mixture[:, skip:], block.voices[..., skip:]
            samples += mixture.shape[1]
            energies += [np.square(wav, dtype=np.float64).sum() for wav in (mixture, *parts)]
            for writer, wav in zip(writers, (*parts, mixture - parts.sum(0)), strict=True):
                writer.write(wav)
    return WrittenAudio(samples, writers[0].channels, energies)


def earlier_files(
    folder: Path, source: Path, overwrite: bool, inputs: Iterable[Path] = ()
) -> list[Path]:
    """Return the files of an earlier separation in a folder, which a new one replaces.

    Raises:
        FileExistsError: if there are any, or others of their names, and `overwrite` is not set.
        NotADirectoryError: if the folder is a file.
        ValueError: if `source` itself, under any name, or an input might be replaced.
    """
    if OUTPUT_STEM.fullmatch(source.stem) and source.resolve().parent == folder.resolve():
        raise ValueError(f"output must be another folder than that of {source.name} itself")
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"output must be a folder, but {folder} is a file")
    suffixes = {".wav", source.suffix.lower()}
    existing = [
        path
        for path in (sorted(folder.iterdir()) if folder.exists() else ())
        if path.name == RECORD
        or (OUTPUT_STEM.fullmatch(path.stem) and path.suffix.lower() in suffixes)
    ]
    if existing and not overwrite:
        named = next((path for path in existing if path.name == RECORD), existing[0])
        raise FileExistsError(f"{named} exists already and is not overwritten")
    for path in existing:
        check_output(path, JSON_OUTPUT, [source, *inputs], overwrite=True)
    return [folder / name for name in _recorded(folder / RECORD) if (folder / name).is_file()]


def check_unchanged(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise FileExistsError if a file has appeared where `earlier_files` found none."""
    for path in paths:
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} has appeared meanwhile and is not overwritten")


def _recorded(record: Path) -> list[str]:
    """Return the file names in an earlier JSON, only those of its own folder."""
    try:
        earlier = read_json(record)
        names = [name for voice in earlier["voices"] for name in (voice["file"], voice["video"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name]
