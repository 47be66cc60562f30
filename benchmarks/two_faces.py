"""Two people talk at once: `python benchmarks/two_faces.py --shared ../shared`.

A GRID s1 test clip and a clip of another GRID speaker, whom no separator that ships was trained on,
stand side by side in one picture, their voices added up at equal power. The file goes through
`avsync.separate(..., who="all")`; each voice should be closer to its own face's voice than to the
other's, in SI-SDR, and closer than the mixture was.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from record import machine, write_record
from spoilt_clips import Clip, read_clip, write_clip

import avsync
from avsync.media.audio_reader import read_audio
from avsync.metrics.separation import si_sdr
from avsync.timing import SAMPLES_PER_FRAME

# The loudest sample of a mixture.
PEAK = 0.9
ASKED_GAIN_DB, ASKED_SHARE = 5.0, 0.9


class Told(NamedTuple):
    """One voice: whose it was, SI-SDR of the mixture, of what was separated, and of that against
    the other's voice; None where there was no such face.
    """

    mixture: str
    speaker: str
    before_db: float
    own_db: float | None
    other_db: float | None

    @property
    def gain_db(self) -> float:
        return 0.0 if self.own_db is None else self.own_db - self.before_db

    @property
    def closer(self) -> bool:
        return self.own_db is not None and self.other_db is not None and self.own_db > self.other_db


def pairs(shared: Path, count: int) -> Iterator[tuple[Clip, Clip]]:
    """The left and the right clip of each mixture: s1 and the others change sides."""
    data = shared / "data"
    names = json.loads((data / "grid_s1_splits.json").read_text())["test"]
    others = sorted((data / "grid_other_speakers").iterdir())
    for number in range(count):
        name, other = names[number * len(names) // count], others[number % len(others)]
        one = read_clip(next((data / "grid_s1").glob(f"{name}.*")), "grid_s1")
        both = (one, read_clip(other, "grid_other_speakers"))
        yield both if number % 2 == 0 else (both[1], both[0])


def mixed(path: Path, left: Clip, right: Clip) -> np.ndarray:
    """Writes the two as one file; their voices `(2, N)` as they are in it."""
    count = min(len(left.frames), len(right.frames))
    height = min(left.frames.shape[1], right.frames.shape[1])
    frames = np.concatenate([each.frames[:count, :height] for each in (left, right)], axis=2)
    voices = np.stack([each.wav[: count * SAMPLES_PER_FRAME] for each in (left, right)])
    voices = voices / np.sqrt(np.square(voices, dtype=np.float64).mean(1, keepdims=True))
    voices *= PEAK / np.abs(voices.sum(0)).max()
    write_clip(path, frames, voices.sum(0))
    return voices


def measure(path: Path, clips: tuple[Clip, Clip], folder: Path, **model: Any) -> list[Told]:
    """Separates one mixture."""
    voices = torch.from_numpy(mixed(path, *clips))
    name = f"{clips[0].name} + {clips[1].name}"
    result = avsync.separate(path, folder, who="all", overwrite=True, **model)
    before = si_sdr(voices, voices.sum(0).expand_as(voices))
    files = [voice.file for voice in result.voices]
    if len(files) != 2:
        print(f"{name}: {result.status}, {result.detail or f'{len(files)} voices'}")
        return [
            Told(name, clip.speaker, float(level), None, None)
            for clip, level in zip(clips, before, strict=True)
        ]
    sounds = [np.concatenate(list(read_audio(folder / file, 0.0))) for file in files]
    count = min(voices.shape[1], *(len(sound) for sound in sounds))
    found = torch.from_numpy(np.stack([sound[:count] for sound in sounds]))
    own, other = (si_sdr(each[:, :count], found) for each in (voices, voices.flip(0)))
    return [
        Told(name, clips[k].speaker, float(before[k]), float(own[k]), float(other[k]))
        for k in (0, 1)
    ]


def report(told: list[Told]) -> dict[str, Any]:
    """Prints and returns the figures of all voices, and of either speaker's."""
    figures: dict[str, Any] = {}
    for speaker in (None, "grid_s1", "grid_other_speakers"):
        rows = [row for row in told if speaker in (None, row.speaker)]
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
            f"their own face's voice (asked: {ASKED_SHARE:.0%}), median SI-SDR gain "
            f"{found['si_sdr_gain_db']['median']:.1f} dB (asked: {ASKED_GAIN_DB:g})"
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--model", default="lip_mask", help="a separation model")
    parser.add_argument("--weights", type=Path, help="a checkpoint of that model")
    parser.add_argument("--mixtures", type=int, default=20)
    parser.add_argument("--name", default="two_faces", help="of the JSON in results/")
    arguments = parser.parse_args()
    told: list[Told] = []
    with tempfile.TemporaryDirectory() as name:
        for clips in pairs(arguments.shared, arguments.mixtures):
            told += measure(
                Path(name) / "mixture.mkv",
                clips,
                Path(name) / "voices",
                model=arguments.model,
                weights=arguments.weights,
            )
            print(told[-2], told[-1], sep="\n", flush=True)
    figures = report(told)
    print(machine())
    rows = [row._asdict() for row in told]
    write_record(arguments.name, {**figures, "each": rows}, script="two_faces")


if __name__ == "__main__":
    main()
