"""Measure how the estimated offset changes when a clip is transcoded.

    python benchmarks/media/timing_robustness.py --shared ../shared [--clips 3]

Real clips are transcoded to other frame rates, containers, codecs, start times, rotations, pixel
aspect ratios and sample rates; rendered clips are rendered at other frame rates. Each estimate is
compared with that of the original. Prints for each variant how many clips are still answered, and
the mean, median and largest change.
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

from avsync.pipelines.check.check_file import check
from avsync.synthetic import render_clip
from benchmarks.media.transcode import DROP_SEED, Clip, Variant, load, write
from benchmarks.record import machine, write_record

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
# Alternate with the frame rates, so that each rate is tested in two containers, not in all.
CONTAINERS = ((".mp4", "aac"), (".mkv", "flac"), (".mov", "pcm_s16le"), (".webm", "libopus"))
SAMPLE_RATES = (8000, 11025, 16000, 22050, 32000, 44100, 96000)
# Seed of the sample of clips; a larger sample begins with the same clips.
CLIP_SEED = 1
# Seeds of the rendered clips, each rendered at every frame rate.
SEEDS = (400, 401)
ORIGINAL = "as it came"


def all_variants() -> list[Variant]:
    """List all variants that a clip is transcoded to."""
    found = [
        Variant(f"{suffix[1:]} {audio}", suffix, VIDEO.get(suffix, "libx264"), audio)
        for suffix, codecs in CODECS.items()
        for audio in codecs
    ]
    found.append(Variant("avi h264", ".avi", "libx264", "pcm_s16le"))
    for number, (name, fps) in enumerate(RATES.items()):
        for suffix, audio in (CONTAINERS[number % 4], CONTAINERS[(number + 1) % 4]):
            codec = VIDEO.get(suffix, "libx264")
            found.append(Variant(f"{name} fps {suffix[1:]}", suffix, codec, audio, fps))
    for suffix, audio in CONTAINERS[:2]:
        for kind, fps in (("dropped", Fraction(30)), ("held", Fraction(60))):
            name = f"variable, {kind} {suffix[1:]}"
            found.append(Variant(name, suffix, "libx264", audio, fps, kind))
    for suffix, audio in CONTAINERS:
        codec, kind = VIDEO.get(suffix, "libx264"), suffix[1:]
        found.append(Variant(f"video late {kind}", suffix, codec, audio, video_from_s=0.4))
        found.append(Variant(f"audio late {kind}", suffix, codec, audio, audio_from_s=0.3))
    found += [Variant(f"edit list {s[1:]}", s, hidden_s=0.28) for s in (".mp4", ".mov")]
    found += [Variant(f"turned {angle}", ".mov", rotation=angle) for angle in (90, 180, 270)]
    found.append(Variant("squeezed 4:3", ".mp4", pixel_ratio=Fraction(4, 3)))
    found += [
        Variant(f"{rate} Hz", ".mkv", audio="pcm_s16le", sample_rate=rate) for rate in SAMPLE_RATES
    ]
    return found


class Log:
    """Estimated offsets in a file of JSON Lines, so that a stopped benchmark can continue."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.offsets_ms: dict[tuple[str, str], float | None] = {}
        for clip, variant, offset_ms in map(json.loads, lines):
            self.offsets_ms[clip, variant] = offset_ms

    def offset_ms(self, clip: str, variant: str, make: Callable[[], Path]) -> float | None:
        """Return the offset of a clip's variant in ms, None if it cannot be estimated.

        `make` writes the file; it is called if the log does not have the variant.
        """
        if (clip, variant) not in self.offsets_ms:
            offset_ms = check(make()).offset_ms
            self.offsets_ms[clip, variant] = offset_ms
            with self.path.open("a") as lines:
                lines.write(json.dumps([clip, variant, offset_ms]) + "\n")
        return self.offsets_ms[clip, variant]


def transcoded_clips(
    clips: list[Path], variants: list[Variant], folder: Path, log: Log
) -> dict[str, list[Any]]:
    """Return for each variant (clip, offset of the original, offset of the variant) in ms."""
    found: dict[str, list[Any]] = {variant.name: [] for variant in variants}
    for path in clips:
        original = log.offset_ms(path.name, ORIGINAL, lambda path=path: path)
        if original is None:
            print(f"{path.name}: the original has no estimate: left out", flush=True)
            continue
        clip = load(path)
        for variant in variants:

            def make(clip: Clip = clip, variant: Variant = variant) -> Path:
                target = folder / f"variant{variant.suffix}"
                write(clip, target, variant)
                return target

            offset_ms = log.offset_ms(path.name, variant.name, make)
            found[variant.name].append((path.name, original, offset_ms))
    return found


def rendered_clips(folder: Path, log: Log) -> dict[str, list[Any]]:
    """Return the same for rendered clips, rendered at every frame rate instead of transcoded."""
    found: dict[str, list[Any]] = {}
    for seed in SEEDS:
        clip = f"seed {seed}"

        def make(fps: Fraction, seed: int = seed) -> Path:
            render_clip(folder / "rendered.mp4", seed=seed, fps=fps)
            return folder / "rendered.mp4"

        original = log.offset_ms(clip, ORIGINAL, lambda make=make: make(Fraction(25)))
        for rate, fps in RATES.items():
            name = f"drawn at {rate} fps"
            offset_ms = log.offset_ms(clip, name, lambda make=make, fps=fps: make(fps))
            found.setdefault(name, []).append((clip, original, offset_ms))
    return found


def summary(rows: list[Any]) -> dict[str, Any]:
    """Compute the share answered and the changes of the estimates in ms."""
    named = [[name, new - old] for name, old, new in rows if old is not None and new is not None]
    changes = np.array([change for _, change in named])
    answered = len(changes) > 0
    return {
        "clips": len(rows),
        "answered": len(named),
        "mean_change_ms": float(changes.mean()) if answered else None,
        "median_abs_ms": float(np.median(np.abs(changes))) if answered else None,
        "largest_abs_ms": float(np.abs(changes).max()) if answered else None,
        "changes_ms": [[name, round(change, 2)] for name, change in named],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--clips", type=int, default=3, help="clips of each real source")
    parser.add_argument("--log", type=Path, default=Path("timing_robustness.jsonl"))
    parser.add_argument("--only", default="", help="only variants whose names contain this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = arguments.shared / "data"
    sources = ["grid_other_speakers", "wild_lrs3", "grid_s1"]
    samples = []
    for source in sources:
        paths = sorted((data / source).iterdir())
        order = np.random.default_rng(CLIP_SEED).permutation(len(paths))
        samples.append([paths[index] for index in order[: arguments.clips]])
    clips = [clip for row in zip(*samples, strict=True) for clip in row]
    chosen = [variant for variant in all_variants() if arguments.only in variant.name]
    with tempfile.TemporaryDirectory() as folder:
        log = Log(arguments.log)
        found = {} if arguments.only else rendered_clips(Path(folder), log)
        found |= transcoded_clips(clips, chosen, Path(folder), log)
    rows = {name: summary(offsets) for name, offsets in found.items()}
    print(f"{'variant':28} answered   mean  median  largest, change in ms")
    for variant, row in rows.items():
        answered = f"{row['answered']:3}/{row['clips']:3}"
        if row["answered"]:
            changes = (row[key] for key in ("mean_change_ms", "median_abs_ms", "largest_abs_ms"))
            print(f"{variant:28} {answered}  " + "  ".join(f"{ms:+6.1f}" for ms in changes))
        else:
            print(f"{variant:28} {answered}")
    print(machine())
    if not arguments.only:
        write_record(
            "media/timing_robustness",
            {
                "sources": sources,
                "clips_each": arguments.clips,
                "seeds": {"clips": CLIP_SEED, "dropped": DROP_SEED, "rendered": SEEDS},
                "variants": rows,
            },
        )


if __name__ == "__main__":
    main()
