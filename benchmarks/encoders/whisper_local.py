"""Measure how the local tokens of Whisper's encoder differ from those of whole files, and the cost.

    python benchmarks/encoders/whisper_local.py --shared ../shared

24 clips of GRID speaker 1 and of 12 other people are joined to five files of 14 to 19 s. A token of
a whole file consists to a large part of its position. So of every token the mean of the tokens of
speech at this position is subtracted first; the difference is the RMS of what two forms then differ
by, over the RMS of the tokens of the whole file. Audio that is shifted in time, encoded as a whole,
shows which difference is within Whisper itself.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from avsync.encoders.pretrained.whisper import (
    LocalWhisperEncoder,
    WhisperEncoder,
    load_whisper_encoder,
)
from avsync.media.audio_reader import read_audio
from avsync.timing import SAMPLE_RATE
from benchmarks.cpu_time import least_cpu_seconds
from benchmarks.record import machine, write_record

CONTEXTS = (5, 10, 25, 48, 75, 100)
POSITIONS = (48, 100, 200, 300, 500, 750)
GAINS_DB = (-20, -10, 6)
# Tokens of a chunk, and of context on both sides, for chunks whose positions start at 0.
CHUNKS = ((50, 50), (200, 50), (200, 100))
SHIFTS_S = (1, 5, 10)
LEVEL_COLUMNS = (25, 100, 200)
# Tokens at both ends of a file that are not compared.
EDGE = 110
# Rotations of the joined speech over which the mean token of a position is taken.
ROTATIONS = 24


def joined_clips(shared: Path) -> list[Tensor]:
    """Return five waveforms `(1, N)` of 30 s at most, each of several clips."""
    grid = sorted((shared / "data/grid_s1").glob("*.mkv"))[::70][:12]
    with open(shared / "data/people/people.tsv", encoding="utf-8") as file:
        rows = {
            row["speaker"]: row["file"]
            for row in reversed(list(csv.DictReader(file, delimiter="\t")))
        }
    people = [shared / "data/people" / name for name in sorted(rows.values())[::10][:12]]
    groups = [grid[:6], grid[6:], people[:4], people[4:8], people[8:]]
    return [
        torch.from_numpy(np.concatenate([read(path) for path in group]))[None] for group in groups
    ]


def read(path: Path) -> np.ndarray:
    return np.concatenate(list(read_audio(path, 0.0)))[: 6 * SAMPLE_RATE]


def position_means(encoder: WhisperEncoder, wavs: list[Tensor]) -> Tensor:
    """Return the mean token `(1500, D)` of speech at every position."""
    stems = torch.cat([stem(encoder, wav) for wav in wavs], 1)
    total = torch.zeros_like(encoder.positions)
    for index in range(ROTATIONS):
        rotated = stems.roll(index * stems.shape[1] // ROTATIONS, 1)[:, : len(total)]
        total += encoder.layers[0](rotated + encoder.positions)[0]
    return total / ROTATIONS


def stem(encoder: WhisperEncoder, wav: Tensor) -> Tensor:
    """Return the stem's tokens `(1, L, D)` without positions."""
    tokens = encoder.stem(encoder.mel(wav))
    return tokens - encoder.positions[: tokens.shape[1]]


def whole(encoder: WhisperEncoder, wav: Tensor, means: Tensor, shift: int = 0) -> Tensor:
    """Return the tokens of the whole file `(L, D)`, `shift` positions later, less their means."""
    x = stem(encoder, wav)
    at = slice(shift, shift + x.shape[1])
    return encoder.layers[0](x + encoder.positions[at])[0] - means[at]


def chunked(encoder: WhisperEncoder, wav: Tensor, means: Tensor, keep: int, around: int) -> Tensor:
    """Return the tokens `(L, D)` of chunks whose positions start at 0, less their means."""
    x, made = stem(encoder, wav), []
    for start in range(0, x.shape[1], keep):
        first = max(0, start - around)
        chunk = x[:, first : start + keep + around]
        tokens = encoder.layers[0](chunk + encoder.positions[: chunk.shape[1]])[0]
        made.append((tokens - means[: len(tokens)])[start - first : start - first + keep])
    return torch.cat(made)


def local(encoder: WhisperEncoder, wav: Tensor, context: int = 48, position: int = 300) -> Tensor:
    """Return the local tokens `(L, D)` less their mean."""
    form = LocalWhisperEncoder(encoder, context, position)
    tokens = form(F.pad(wav, (form.margin_samples,) * 2))[0, : wav.shape[1] // 320]
    return tokens - tokens[EDGE:-EDGE].mean(0)


def difference(tokens: list[Tensor], expected: list[Tensor]) -> float:
    """Return the relative RMS difference of tokens `(L, D)`, without the ends of the files."""
    ours, theirs = (torch.cat([x[EDGE:-EDGE] for x in files]) for files in (tokens, expected))
    return round(float((ours - theirs).square().mean().sqrt() / theirs.square().mean().sqrt()), 3)


def mel_differences(encoder: WhisperEncoder, wavs: list[Tensor]) -> dict[str, float]:
    """Return the RMS difference from Whisper's mel for a fixed limit and limits that move."""
    found: dict[str, list[Tensor]] = {}
    for wav in wavs:
        mel = encoder.mel(wav)[..., 2:-2]
        # Centred on the same samples.
        power = 4 * encoder.mel.columns(wav[:, 120:], limit=-10.0)[..., : mel.shape[2]] - 4
        limits = {"fixed": torch.tensor(-6.0)}
        for count in LEVEL_COLUMNS:
            loudest = F.max_pool1d(power.amax(1, keepdim=True), 2 * count + 1, 1, count)
            limits[f"loudest within {count / 100:g} s"] = loudest - encoder.mel.dynamic_range
        for name, limit in limits.items():
            change = (torch.maximum(power, limit) + 4) / 4 - mel
            found.setdefault(name, []).append(change.square().mean())
    return {
        name: round(float(torch.stack(squares).mean().sqrt()), 3) for name, squares in found.items()
    }


def speed(encoder: WhisperEncoder, wavs: list[Tensor]) -> dict[str, float]:
    """Return CPU milliseconds per second of audio, with one thread."""
    minute = torch.cat(wavs, 1)[:, : 60 * SAMPLE_RATE]
    half, form = minute[:, : 30 * SAMPLE_RATE], LocalWhisperEncoder(encoder)
    calls = [lambda: form(minute), lambda: encoder(half), lambda: encoder.mel(half)]
    _, least_s = least_cpu_seconds(calls, repeats=5)
    names = ("local", "whole, of 30 s", "of it mel")
    return {
        name: round(1000 * cpu_s / seconds, 2)
        for name, cpu_s, seconds in zip(names, least_s, (60, 30, 30), strict=True)
    }


@torch.no_grad()
def measure(shared: Path) -> dict[str, object]:
    """Measure all differences and speeds."""
    encoder, wavs = load_whisper_encoder(), joined_clips(shared)
    means = position_means(encoder, wavs)
    expected = [whole(encoder, wav, means) for wav in wavs]

    def from_whole(tokens: list[Tensor]) -> float:
        return difference(tokens, expected)

    gains = {}
    for gain in GAINS_DB:
        louder = [wav * 10 ** (gain / 20) for wav in wavs]
        exact = [whole(encoder, wav, means) for wav in louder]
        gains[f"{gain} dB"] = {
            "local": difference(
                [local(encoder, wav) for wav in louder], [x - x[EDGE:-EDGE].mean(0) for x in exact]
            ),
            "whole, from 0 dB": from_whole(exact),
        }
    return {
        "seconds": [round(wav.shape[1] / SAMPLE_RATE, 1) for wav in wavs],
        "local, by context": {
            f"{context} tokens": from_whole([local(encoder, wav, context) for wav in wavs])
            for context in CONTEXTS
        },
        "local, by position": {
            str(position): from_whole([local(encoder, wav, 48, position) for wav in wavs])
            for position in POSITIONS
        },
        "chunks, by tokens and context": {
            f"{keep}, {around}": from_whole(
                [chunked(encoder, wav, means, keep, around) for wav in wavs]
            )
            for keep, around in CHUNKS
        },
        "whole, by shift": {
            f"{shift} s": difference(
                *zip(
                    *[
                        (
                            whole(encoder, wav[:, : 320 * (1500 - 50 * shift)], means, 50 * shift),
                            x[: 1500 - 50 * shift],
                        )
                        for wav, x in zip(wavs, expected, strict=True)
                    ],
                    strict=True,
                )
            )
            for shift in SHIFTS_S
        },
        "level": gains,
        "mel, by limit": mel_differences(encoder, wavs),
        "cpu_ms_per_s": speed(encoder, wavs),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    figures = measure(options.shared)
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(write_record("encoders/whisper_local", figures))


if __name__ == "__main__":
    main()
