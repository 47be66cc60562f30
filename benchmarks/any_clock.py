"""The same answer on any clock: `python benchmarks/any_clock.py --shared ../shared`.

Real clips and rendered ones are written again at other rates, in other containers and codecs, with
other starts, turns, pixels and sample rates, and checked; each answer is compared with that for
the same clip as it came. Prints, per variant, how many clips are still answered, and the median
and largest change.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import machine, write_record
from retimed import DROP_SEED, Clip, Variant, load, write

from avsync.pipelines.check.check_file import check
from avsync.synthetic import render_clip

RATES = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "50": Fraction(50),
    "60": Fraction(60),
}
CODECS = {
    ".mp4": ("aac", "libopus", "libmp3lame", "flac"),
    ".mov": ("aac", "libmp3lame", "pcm_s16le"),
    ".mkv": ("aac", "libopus", "libmp3lame", "pcm_s16le", "flac"),
    ".webm": ("libopus",),
    ".avi": ("pcm_s16le",),
    ".ts": ("aac", "mp2", "libmp3lame", "libopus"),
    ".mpg": ("mp2",),
    ".flv": ("aac", "libmp3lame"),
}
VIDEO = {".webm": "libvpx", ".avi": "mpeg4", ".mpg": "mpeg2video"}
# In turn with the rates, so that rates meet containers without every pair being written.
TURNS = ((".mp4", "aac"), (".mkv", "flac"), (".mov", "pcm_s16le"), (".webm", "libopus"))
SAMPLE_RATES = (8000, 11025, 16000, 22050, 32000, 44100, 96000)
# Of the draw of clips; the first ones are the same however many are asked for.
CLIP_SEED = 1
# Rendered clips of this benchmark, each drawn anew at every rate.
SEEDS = (400, 401)


def variants() -> list[Variant]:
    """Everything a clip is written as."""
    found = [
        Variant(f"{suffix[1:]} {audio}", suffix, VIDEO.get(suffix, "libx264"), audio)
        for suffix, codecs in CODECS.items()
        for audio in codecs
    ]
    found.append(Variant("avi h264", ".avi", "libx264", "pcm_s16le"))
    for number, (name, fps) in enumerate(RATES.items()):
        for suffix, audio in (TURNS[number % 4], TURNS[(number + 1) % 4]):
            codec = VIDEO.get(suffix, "libx264")
            found.append(Variant(f"{name} fps {suffix[1:]}", suffix, codec, audio, fps))
    for suffix, audio in TURNS[:2]:
        for kind, fps in (("dropped", Fraction(30)), ("held", Fraction(60))):
            name = f"variable, {kind} {suffix[1:]}"
            found.append(Variant(name, suffix, "libx264", audio, fps, kind))
    for suffix, audio in TURNS:
        codec, kind = VIDEO.get(suffix, "libx264"), suffix[1:]
        found.append(Variant(f"video late {kind}", suffix, codec, audio, video_from_s=0.4))
        found.append(Variant(f"audio late {kind}", suffix, codec, audio, audio_from_s=0.3))
    found += [Variant(f"edit list {s[1:]}", s, hidden_s=0.28) for s in (".mp4", ".mov")]
    found += [Variant(f"turned {turn}", ".mov", rotation=turn) for turn in (90, 180, 270)]
    found.append(Variant("squeezed 4:3", ".mp4", squeeze=Fraction(4, 3)))
    found += [
        Variant(f"{rate} Hz", ".mkv", audio="pcm_s16le", sample_rate=rate) for rate in SAMPLE_RATES
    ]
    return found


class Log:
    """Answers as they come, one JSON line each: run again, the benchmark goes on where it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.answers: dict[tuple[str, str], float | None] = {}
        for clip, variant, offset_ms in map(json.loads, lines):
            self.answers[clip, variant] = offset_ms

    def answer(self, clip: str, variant: str, make: Callable[[], Path]) -> float | None:
        """The offset of a clip's variant in ms, None where it cannot be told."""
        if (clip, variant) not in self.answers:
            offset_ms = check(make()).offset_ms
            self.answers[clip, variant] = offset_ms
            with self.path.open("a") as lines:
                lines.write(json.dumps([clip, variant, offset_ms]) + "\n")
        return self.answers[clip, variant]


def retimed_clips(
    clips: list[Path], asked: list[Variant], folder: Path, log: Log
) -> dict[str, list[Any]]:
    """Per variant, (clip, answer for the original, answer for the variant) in ms or None."""
    found: dict[str, list[Any]] = {each.name: [] for each in asked}
    for path in clips:
        original = log.answer(path.name, "as it came", lambda path=path: path)
        if original is None:
            print(f"{path.name}: the original is not answered: left out", flush=True)
            continue
        clip = load(path)
        for how in asked:

            def make(clip: Clip = clip, how: Variant = how) -> Path:
                target = folder / f"variant{how.suffix}"
                write(clip, target, how)
                return target

            found[how.name].append((path.name, original, log.answer(path.name, how.name, make)))
    return found


def rendered_clips(folder: Path, log: Log) -> dict[str, list[Any]]:
    """The same of rendered people, drawn anew at every rate instead of shown again."""
    found: dict[str, list[Any]] = {}
    for seed in SEEDS:
        clip = f"seed {seed}"

        def make(fps: Fraction, seed: int = seed) -> Path:
            render_clip(folder / "drawn.mp4", seed=seed, fps=fps)
            return folder / "drawn.mp4"

        original = log.answer(clip, "as it came", lambda make=make: make(Fraction(25)))
        for name, fps in RATES.items():
            drawn = f"drawn at {name} fps"
            row = (clip, original, log.answer(clip, drawn, lambda make=make, fps=fps: make(fps)))
            found.setdefault(drawn, []).append(row)
    return found


def summary(rows: list[Any]) -> dict[str, Any]:
    """Share answered, and how the answers moved, in ms."""
    moved = [[name, new - old] for name, old, new in rows if old is not None and new is not None]
    changes = np.array([change for _, change in moved])
    some = len(changes) > 0
    return {
        "clips": len(rows),
        "answered": len(moved),
        "mean_change_ms": float(changes.mean()) if some else None,
        "median_abs_ms": float(np.median(np.abs(changes))) if some else None,
        "largest_abs_ms": float(np.abs(changes).max()) if some else None,
        "changes_ms": [[name, round(change, 2)] for name, change in moved],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--clips", type=int, default=3, help="of each real source")
    parser.add_argument("--log", type=Path, default=Path("any_clock.jsonl"))
    parser.add_argument("--only", default="", help="variants whose name contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = arguments.shared / "data"
    sources = ["grid_other_speakers", "wild_lrs3", "grid_s1"]
    drawn = []
    for source in sources:
        there = sorted((data / source).iterdir())
        order = np.random.default_rng(CLIP_SEED).permutation(len(there))
        drawn.append([there[place] for place in order[: arguments.clips]])
    clips = [clip for several in zip(*drawn, strict=True) for clip in several]
    asked = [each for each in variants() if arguments.only in each.name]
    with tempfile.TemporaryDirectory() as name:
        log = Log(arguments.log)
        found = {} if arguments.only else rendered_clips(Path(name), log)
        found |= retimed_clips(clips, asked, Path(name), log)
    rows = {variant: summary(answers) for variant, answers in found.items()}
    print(f"{'variant':28} answered   mean  median  largest, change in ms")
    for variant, row in rows.items():
        answered = f"{row['answered']:3}/{row['clips']:3}"
        if row["answered"]:
            moved = (row[key] for key in ("mean_change_ms", "median_abs_ms", "largest_abs_ms"))
            print(f"{variant:28} {answered}  " + "  ".join(f"{each:+6.1f}" for each in moved))
        else:
            print(f"{variant:28} {answered}")
    print(machine())
    if not arguments.only:
        write_record(
            "any_clock",
            {
                "sources": sources,
                "clips_each": arguments.clips,
                "seeds": {"clips": CLIP_SEED, "dropped": DROP_SEED, "rendered": SEEDS},
                "variants": rows,
            },
        )


if __name__ == "__main__":
    main()
