"""What separating a file gave: the answer in words, as an exit code and as JSON (schema 1,
docs/how_to/separate.md)."""

import json
import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from math import ceil, log10
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from avsync.atomic import write_text
from avsync.media.audio_reader import read_audio
from avsync.media.probe import MediaInfo, probe_audio
from avsync.media.writers.wav_writer import WavWriter
from avsync.pipelines.check.messages import CANNOT_TELL, UNREADABLE, printable
from avsync.pipelines.separate.overlap_add import Separated
from avsync.scoring.result import Interval, Reason, Status

SCHEMA = 1
RECORD = "separation.json"
SeparationReason = Reason | Literal["no_such_face"]


@dataclass(frozen=True)
class Voice:
    """One voice that was written.

    Args:
        number: of its face, counted from the left; None where no face was asked for.
        file: name of the audio in the output folder.
        video: name of the video with that audio, None where none was asked for.
        level_db: how loud it is against the mixture, in dB by their energies; None for silence.
        box: the face's median x0, y0, x1, y1 in pixels of the upright frame.
        seen: when the face is in view, in seconds from the first frame.
    """

    number: int | None
    file: str
    video: str | None
    level_db: float | None
    box: tuple[float, float, float, float] | None
    seen: tuple[Interval, ...]


@dataclass(frozen=True)
class SeparationResult:
    """The answer for one file. Where `status` is not `ok`, nothing was written and `reason` says
    why, `detail` in words for a person.

    Args:
        voices: from left to right.
        rest: name of what is left of the mixture without the voices.
        faces: how many there are to choose from.
        sample_rate: of the files written, and of the source.
        channels: likewise.
        start_s: when their first sample is heard, in seconds from the first frame, 0 or less.
        duration_s: their length.
        metrics: how near they are to the references, where those were given: the JSON of `avsync
            evaluate separation`.
    """

    file: str
    output: str
    status: Status
    reason: SeparationReason | None
    detail: str
    who: str
    model: str
    voices: tuple[Voice, ...] = ()
    rest: str | None = None
    faces: int = 0
    sample_rate: int | None = None
    channels: int | None = None
    start_s: float | None = None
    duration_s: float | None = None
    metrics: dict[str, Any] | None = None

    def written(self) -> list[str]:
        """Return the names of all files in the output folder, the record among them."""
        names = [name for voice in self.voices for name in (voice.file, voice.video)]
        return [name for name in (*names, self.rest, RECORD) if name is not None]


def separation_json(result: SeparationResult) -> dict[str, Any]:
    """Return the result as plain JSON, schema 1."""
    return {"schema": SCHEMA, **asdict(result)}


def write_separation(result: SeparationResult) -> None:
    """Write the JSON beside the audio streams, whole or not at all."""
    text = json.dumps(separation_json(result), indent=2, allow_nan=False) + "\n"
    write_text(Path(result.output) / RECORD, text)


def sentence(result: SeparationResult) -> str:
    """Return the answer on one line: `duet.mp4: 2 voices in out: voice_0.wav (0:00 to 0:10) ...`."""
    if result.status != "ok":
        status = "unreadable" if result.status == "unreadable" else "cannot tell"
        return printable(f"{result.file}: {status}: {result.detail}")
    names = ", ".join(voice.file for voice in result.voices)
    many = "1 voice" if len(result.voices) == 1 else f"{len(result.voices)} voices"
    return printable(f"{result.file}: {many} in {result.output}: {names}; the rest: {result.rest}")


def metric_lines(result: SeparationResult) -> list[str]:
    """Return the metrics of each audio on a line: `voice_0: SDR 10.2 dB (+7.3), SI-SDR 9.8 dB (+7.1)`."""
    lines = []
    for source in (result.metrics or {}).get("sources", []):
        if source["status"] != "ok":
            lines.append(printable(f"{source['source']}: {source['status']}: {source['detail']}"))
            continue
        figures = source["figures"]
        parts = [
            f"{name} {_decibels(figures[key])} dB ({_decibels(figures[f'{key}_gain'], '+')})"
            for key, name in (("sdr", "SDR"), ("si_sdr", "SI-SDR"))
        ]
        lines.append(printable(f"{source['source']}: {', '.join(parts)}"))
    return lines


def _decibels(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.1f}"


def exit_code(result: SeparationResult) -> int:
    """0 separated, 11 cannot tell, 12 unreadable."""
    return {"ok": 0, "cannot_tell": CANNOT_TELL, "unreadable": UNREADABLE}[result.status]


REST = "rest.wav"
OURS = re.compile(r"voice_\d+|rest")


class Sound(NamedTuple):
    """How a file's first audio is read: from `ahead_s` whole seconds before the first frame; the
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
        """That of a file: from its first frame on, or from where the audio begins earlier."""
        _, rate, layout, _ = probe_audio(info.path)
        # What is dated before the clock begins is an encoder's priming.
        sound_s = max(info.audio[0].start_s or 0.0, 0.0)
        early_s = max(info.video_start_s - sound_s, 0.0)
        ahead_s = ceil(early_s)
        origin_s = info.video_start_s - ahead_s
        return Sound(info.path, rate, layout, origin_s, ahead_s, round((ahead_s - early_s) * rate))

    @property
    def start_s(self) -> float:
        """When the first sample that is kept is heard, in seconds from the first frame."""
        return self.skipped / self.rate - self.ahead_s

    def blocks(self) -> Generator[np.ndarray]:
        """Yield the audio in blocks `(C, n)`, all of it."""
        return read_audio(self.path, self.origin_s, self.rate, mono=False)


class Written(NamedTuple):
    """What went into the files: samples and channels of each, and the energy of the mixture and of
    the voices `(1 + V,)`.
    """

    samples: int
    channels: int
    energies: np.ndarray

    def level_db(self, voice: int) -> float | None:
        """Return how loud a voice is against the mixture; None where it is silent."""
        mixture, own = self.energies[0], self.energies[1 + voice]
        return None if not own else round(10 * log10(own / mixture), 2)


def write_audio_files(
    audio: Sound, separated: Iterable[Separated], voices: Sequence[Path], rest: Path
) -> Written:
    """Write each voice to its file, and to `rest` what they leave of the mixture."""
    samples, skipped, energies = 0, audio.skipped, np.zeros(1 + len(voices))
    with ExitStack() as stack:
        files = [
            stack.enter_context(WavWriter(path, audio.rate, audio.layout))
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
    """Return the files of an earlier separation in a folder, which a new one replaces.

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
    """Return the names that an earlier record gives its files, those of its own folder only."""
    try:
        told = json.loads(record.read_text("utf-8"))
        names = [name for voice in told["voices"] for name in (voice["file"], voice["video"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name]
