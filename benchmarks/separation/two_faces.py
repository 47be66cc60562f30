"""Measure separation of two people who talk at once, side by side in one video.

    python benchmarks/separation/two_faces.py --shared ../shared

The left and right half are a GRID s1 test clip and a clip of another GRID speaker, on whom no
released separator was trained. The audio is the sum of both voices at equal power. The file is
separated by `avsync.separate(..., who="all")`. Each separated voice should be closer in SI-SDR to
the voice of its own face than to the other voice, and closer than the mixture.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import avsync
from avsync.media.audio_reader import read_audio
from avsync.metrics.separation import si_sdr
from avsync.timing import SAMPLES_PER_FRAME
from benchmarks.clip_file import Clip, read_clip, write_clip
from benchmarks.record import machine, write_record

# Peak amplitude of a mixture.
PEAK = 0.9
TARGET_GAIN_DB, TARGET_SHARE = 5.0, 0.9


class Separated(NamedTuple):
    """One separated voice and its SI-SDR.

    `before_db` is the SI-SDR of the mixture, `own_db` that of the separated voice against the voice
    of its face, `other_db` against the other voice; None if the face was not detected.
    """

    mixture: str
    speaker: str
    before_db: float
    own_db: float | None
    other_db: float | None

    @property
    def gain_db(self) -> float:
        """SI-SDR gain, 0 if the face was not detected."""
        return 0.0 if self.own_db is None else self.own_db - self.before_db

    @property
    def closer(self) -> bool:
        """Whether the separated voice is closer to its own face's voice than to the other."""
        return self.own_db is not None and self.other_db is not None and self.own_db > self.other_db


def pairs(shared: Path, count: int) -> Iterator[tuple[Clip, Clip]]:
    """Yield the left and right clips of the mixtures; s1 and the other speakers change sides."""
    data = shared / "data"
    names = json.loads((data / "grid_s1_splits.json").read_text())["test"]
    others = sorted((data / "grid_other_speakers").iterdir())
    for number in range(count):
        name, other = names[number * len(names) // count], others[number % len(others)]
        first = read_clip(next((data / "grid_s1").glob(f"{name}.*")), "grid_s1")
        second = read_clip(other, "grid_other_speakers")
        yield (first, second) if number % 2 == 0 else (second, first)


def write_mixture(path: Path, left: Clip, right: Clip) -> np.ndarray:
    """Write two clips side by side as one file and return their scaled voices `(2, N)`."""
    count = min(len(left.frames), len(right.frames))
    height = min(left.frames.shape[1], right.frames.shape[1])
    frames = np.concatenate([clip.frames[:count, :height] for clip in (left, right)], axis=2)
    voices = np.stack([clip.wav[: count * SAMPLES_PER_FRAME] for clip in (left, right)])
    voices = voices / np.sqrt(np.square(voices, dtype=np.float64).mean(1, keepdims=True))
    voices *= PEAK / np.abs(voices.sum(0)).max()
    write_clip(path, frames, voices.sum(0))
    return voices


def measure(path: Path, clips: tuple[Clip, Clip], folder: Path, **options: Any) -> list[Separated]:
    """Write and separate one mixture.

    Args:
        path: file of the mixture.
        clips: the left and the right clip.
        folder: output folder of the separation.
        options: options of `avsync.separate`, such as `model`.
    """
    voices = torch.from_numpy(write_mixture(path, *clips))
    name = f"{clips[0].name} + {clips[1].name}"
    result = avsync.separate(path, folder, who="all", overwrite=True, **options)
    before = si_sdr(voices, voices.sum(0).expand_as(voices))
    files = [voice.file for voice in result.voices]
    if len(files) != 2:
        print(f"{name}: {result.status}, {result.detail or f'{len(files)} voices'}")
        return [
            Separated(name, clip.speaker, float(before_db), None, None)
            for clip, before_db in zip(clips, before, strict=True)
        ]
    wavs = [np.concatenate(list(read_audio(folder / file, 0.0))) for file in files]
    count = min(voices.shape[1], *(len(wav) for wav in wavs))
    estimates = torch.from_numpy(np.stack([wav[:count] for wav in wavs]))
    own, other = (si_sdr(target[:, :count], estimates) for target in (voices, voices.flip(0)))
    return [
        Separated(name, clips[k].speaker, float(before[k]), float(own[k]), float(other[k]))
        for k in (0, 1)
    ]


def report(separated: list[Separated]) -> dict[str, Any]:
    """Print and return the figures of all voices and of those of each source of clips."""
    figures: dict[str, Any] = {}
    for speaker in (None, "grid_s1", "grid_other_speakers"):
        rows = [row for row in separated if speaker in (None, row.speaker)]
        gains = [row.gain_db for row in rows]
        figures[speaker or "all"] = {
            "voices": len(rows),
            "not_found": sum(row.own_db is None for row in rows),
            "closer_to_own_face": sum(row.closer for row in rows) / len(rows),
            "si_sdr_gain_db": {
                "median": float(np.median(gains)),
                "quartiles": np.quantile(gains, [0.25, 0.75]).tolist(),
                "worst": min(gains),
            },
        }
        found = figures[speaker or "all"]
        print(
            f"{speaker or 'all'}: {len(rows)} voices, {found['closer_to_own_face']:.0%} closer to "
            f"their own face's voice (target: {TARGET_SHARE:.0%}), median SI-SDR gain "
            f"{found['si_sdr_gain_db']['median']:.1f} dB (target: {TARGET_GAIN_DB:g})"
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--model", default="lip_mask", help="a separation model")
    parser.add_argument("--weights", type=Path, help="checkpoint of that model")
    parser.add_argument("--mixtures", type=int, default=20)
    parser.add_argument("--name", default="two_faces", help="name of the record")
    arguments = parser.parse_args()
    separated: list[Separated] = []
    with tempfile.TemporaryDirectory() as folder:
        for clips in pairs(arguments.shared, arguments.mixtures):
            separated += measure(
                Path(folder) / "mixture.mkv",
                clips,
                Path(folder) / "voices",
                model=arguments.model,
                weights=arguments.weights,
            )
            print(separated[-2], separated[-1], sep="\n", flush=True)
    figures = report(separated)
    print(machine())
    rows = [row._asdict() for row in separated]
    record = f"separation/{arguments.name}"
    write_record(record, {**figures, "each": rows}, script="separation/two_faces")


if __name__ == "__main__":
    main()
