"""Measure the constant audio-video offset of GRID (speaker s1) on plosives, without a sync model.

    python benchmarks/sync/grid_offset.py --shared ../shared
    python benchmarks/sync/grid_offset.py --shared ../shared --measures colour landmarks

At the release of /b/ or /p/ the lips part and the burst occurs, within a few milliseconds. Bursts
fall anywhere between two frames. Aligned by their bursts, the mouth openings of hundreds of
releases sample one curve much more finely than the frame period of 40 ms. The time at which that
curve leaves zero is the offset. A narrow gap between the lips is not detected: releases are
detected late, closures are detected early by the same amount, and the mean of both is unbiased.

The time of a frame is its timestamp. Offsets are in ms, positive = the audio leads
(`avsync.timing`).
"""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy.stats import spearmanr

from avsync.faces.detector import YuNetDetector
from avsync.media.audio_reader import read_audio
from avsync.media.video_reader import read_frames
from avsync.synthetic.clip import render
from avsync.timing import FRAME_MS, SAMPLE_RATE
from benchmarks.record import record_path
from benchmarks.sync.mouth_opening import (
    BLUR_MS,
    MIN_CURVES,
    Curve,
    fit_ramp,
    merge_curves,
    own_start_ms,
    start_ms,
)
from benchmarks.sync.plosives import (
    Measure,
    TimedFrames,
    colour_measure,
    detect_plosives,
    find_burst,
    high_band_db,
    landmark_measure,
    opening_around,
)

ALIGNMENT_RATE = 25000
GRID_FRAMES = 75
# "blue" is left out: its lips are rounded and part by a pixel or two, too little to measure.
RELEASES = ("place", "bin", "by", "b", "p")
# The offsets of single clips spread over about a frame (see `spread`), which blurs the aligned
# curve like an exposure of 40 ms. The camera's exposure, 20 or 40 ms, adds in squares.
BLURS_MS = (40.0, 50.0, 60.0)
# Rendered frames have no exposure time, and rendered clips have equal offsets.
RENDERED_BLURS_MS = (0.0, 20.0, 40.0)
BOOTSTRAPS, SEED = 100, 0
# Rendered bursts are softer than those recorded close to a microphone.
RENDERED_BURST_DB = 15.0


class Plosive(NamedTuple):
    """A plosive of a clip, with the mouth opening around its release and its closure."""

    clip: str
    word: str
    release: Curve | None
    closure: Curve | None


class FrameReport(NamedTuple):
    """Signs of lost frames in a clip: frame count, uneven timestamps, repeated frames."""

    name: str
    frames: int
    uneven: bool
    repeated: int

    @property
    def irregular(self) -> bool:
        """Whether the clip differs from 75 evenly timed frames without repetition."""
        return self.frames != GRID_FRAMES or self.uneven or self.repeated > 0

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of a report's `clips_with_odd_pictures`."""
        return {
            "name": self.name,
            "pictures": self.frames,
            "uneven": self.uneven,
            "repeated": self.repeated,
        }


def by_release(plosives: Sequence[Plosive], blur_ms: float) -> float:
    """Estimate the offset from releases: the mean over words, one aligned curve for each word."""
    words = [[p.release for p in plosives if p.word == word] for word in RELEASES]
    return float(np.nanmean([start_ms(curves, blur_ms) for curves in words]))


def by_middle(plosives: Sequence[Plosive], blur_ms: float) -> float:
    """Estimate the offset as the middle of closure and release, over plosives that have both."""
    both = [p for p in plosives if p.release is not None and p.closure is not None]
    release = start_ms([p.release for p in both], blur_ms)
    # The curve of a closure is reversed in time: detected early is a positive start.
    return (release - start_ms([p.closure for p in both], blur_ms)) / 2


METHODS = {"release": by_release, "middle": by_middle}


def interval(plosives: Sequence[Plosive], method: str, blur_ms: float) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of an estimate, resampling clips with replacement."""
    clips: dict[str, list[Plosive]] = {}
    for plosive in plosives:
        clips.setdefault(plosive.clip, []).append(plosive)
    groups, rng = list(clips.values()), np.random.default_rng(SEED)
    values = []
    for _ in range(BOOTSTRAPS):
        drawn = rng.integers(len(groups), size=len(groups))
        values.append(METHODS[method]([p for i in drawn for p in groups[i]], blur_ms))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def spread(plosives: Sequence[Plosive]) -> dict[str, float]:
    """Measure the spread of single releases in ms, each relative to the median of its word.

    `between_clips_sd_ms` is the part shared by the releases of a clip, from the products of their
    deviations: it is large if the offset changes from clip to clip.
    """
    own: dict[str, list[float]] = {}
    medians = []
    for word in RELEASES:
        of_word = [p for p in plosives if p.word == word and p.release is not None]
        aligned = merge_curves([p.release for p in of_word])
        if aligned is None or len(of_word) < MIN_CURVES:
            continue
        ramp = fit_ramp(aligned, BLUR_MS)
        starts = [own_start_ms(p.release, ramp) for p in of_word if p.release is not None]
        medians.append(np.median(starts))
        for plosive, start in zip(of_word, np.array(starts) - np.median(starts), strict=True):
            own.setdefault(plosive.clip, []).append(float(start))
    if not own:
        return {"releases": 0}
    deviations = np.concatenate([np.array(values) for values in own.values()])
    shared = [a * b for v in own.values() for i, a in enumerate(v) for b in v[i + 1 :]]
    beyond = [clip for clip, v in own.items() if abs(float(np.median(v))) > FRAME_MS]
    return {
        "releases": len(deviations),
        "mean_ms": float(np.mean(medians)),
        "sd_ms": float(1.4826 * np.median(abs(deviations - np.median(deviations)))),
        "pairs_in_one_clip": len(shared),
        "between_clips_sd_ms": float(np.sqrt(max(0.0, np.mean(shared)))) if shared else 0.0,
        "correlation_in_one_clip": correlation(own.values()),
        "clips_beyond_one_frame": len(beyond),
        "clips": len(own),
    }


def correlation(groups: Iterable[list[float]]) -> float:
    """Return the rank correlation of the pairs within groups, 0 for fewer than 3 pairs."""
    pairs = [(a, b) for group in groups for i, a in enumerate(group) for b in group[i + 1 :]]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic) if len(pairs) > 2 else 0.0


def read_clip(path: Path) -> tuple[TimedFrames, np.ndarray]:
    """Read the frames and the 16 kHz audio `(N,)` of a file; sample 0 = the first frame."""
    frames = list(read_frames(path))
    origin_s = frames[0].time_s
    times_s = np.array([frame.time_s - origin_s for frame in frames])
    wav = np.concatenate(list(read_audio(path, origin_s=origin_s)))
    return TimedFrames([frame.image for frame in frames], times_s), wav


def read_alignment(path: Path) -> list[tuple[float, str]]:
    """Read the start in s and the word of each line, without short pauses."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return [(int(start) / ALIGNMENT_RATE, word) for start, _, word in rows if word != "sp"]


def inspect(name: str, frames: TimedFrames) -> FrameReport:
    """Detect signs of lost frames: uneven timestamps, frames that repeat the one before."""
    small = np.stack([image[::4, ::4, 1] for image in frames.images]).astype(np.float32)
    change = np.abs(np.diff(small, axis=0)).mean((1, 2))
    uneven = bool((abs(np.diff(frames.times_s) * 1000 - FRAME_MS) > 1.5).any())
    return FrameReport(name, len(small), uneven, int((change < 0.1 * np.median(change)).sum()))


def gather(
    data: Path, names: Sequence[str], measures: dict[str, Measure]
) -> tuple[dict[str, list[Plosive]], list[FrameReport]]:
    """Detect the plosives of the named clips and measure the mouth opening by each measure."""
    plosives: dict[str, list[Plosive]] = {name: [] for name in measures}
    clips = []
    for number, name in enumerate(names, 1):
        frames, wav = read_clip(data / "grid_s1" / f"{name}.mkv")
        clips.append(inspect(name, frames))
        words = read_alignment(data / "grid_s1_alignments" / f"{name}.align")
        for event in detect_plosives(wav, words):
            for key, measure in measures.items():
                release, closure = opening_around(frames, event.burst_s, measure), None
                if event.closure_s is not None:
                    closure = opening_around(frames, event.closure_s, measure, backwards=True)
                plosives[key].append(Plosive(name, event.word, release, closure))
        if number % 100 == 0:
            print(f"{number} of {len(names)} clips", flush=True)
    return plosives, clips


def gather_rendered(count: int, measure: Measure) -> list[Plosive]:
    """Measure the plosives of rendered clips, whose offset is zero by construction."""
    plosives = []
    for seed in range(count):
        clip = render(seed=seed, size=(480, 360), sample_rate=SAMPLE_RATE)
        # A rendered frame shows the instant in the middle of its display time.
        times_s = (np.arange(len(clip.frames)) + 0.5) / clip.fps
        frames = TimedFrames(list(clip.frames), times_s)
        level = high_band_db(clip.wav)
        for name, closed_s, parted_s in clip.closures[0]:
            burst = find_burst(level, parted_s - 0.06, parted_s + 0.06)
            if name == "m" or burst is None or burst[1] < RENDERED_BURST_DB:
                continue
            release = opening_around(frames, burst[0], measure)
            closure = opening_around(frames, closed_s, measure, backwards=True)
            plosives.append(Plosive(str(seed), name, release, closure))
    return plosives


def summarise(plosives: Sequence[Plosive], blurs_ms: Sequence[float]) -> dict[str, Any]:
    """Compute all figures of one measure, by blur."""
    words = {}
    for word in (*RELEASES, "blue"):
        curves = [p.release for p in plosives if p.word == word]
        seen = sum(curve is not None for curve in curves)
        if seen < MIN_CURVES:
            continue
        words[word] = {
            "heard": len(curves),
            "seen": seen,
            "start_ms": {f"{e:.0f}": start_ms(curves, e) for e in blurs_ms},
        }
    methods = {
        name: {
            "offset_ms": {f"{e:.0f}": method(plosives, e) for e in blurs_ms},
            "interval_ms": interval(plosives, name, blurs_ms[1]),
        }
        for name, method in METHODS.items()
    }
    both = sum(p.release is not None and p.closure is not None for p in plosives)
    return {
        "words": words,
        "with_closure": both,
        "methods": methods,
        "spread": spread(plosives),
    }


def combine(measures: dict[str, dict[str, Any]]) -> dict[str, float | tuple[float, float]]:
    """Return the mean estimate over measures, methods and blurs, with its interval.

    The interval's half width is half the range of the estimates and their mean bootstrap half
    width, added in squares.
    """
    methods = [method for measure in measures.values() for method in measure["methods"].values()]
    values = np.array([v for method in methods for v in method["offset_ms"].values()])
    if not np.isfinite(values).all():
        raise SystemExit("too few plosives were detected for an estimate: use more clips")
    sampling = np.mean([(m["interval_ms"][1] - m["interval_ms"][0]) / 2 for m in methods])
    centre, half = float(values.mean()), float(np.hypot(np.ptp(values) / 2, sampling))
    return {"offset_ms": centre, "interval_ms": (centre - half, centre + half)}


def show(measures: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    print(
        f"\n{'measure':18} {'estimate':18} {'detected':>9}   by blur (ms), see JSON"
        "        95 % over clips"
    )
    for name, result in measures.items():
        for word, row in result["words"].items():
            starts = " / ".join(f"{v:+6.1f}" for v in row["start_ms"].values())
            print(f"{name:18} release in {word:7} {row['seen']:4}/{row['heard']:4}   {starts}")
        for method, row in result["methods"].items():
            starts = " / ".join(f"{v:+6.1f}" for v in row["offset_ms"].values())
            low, high = row["interval_ms"]
            print(f"{name:18} {method:18} {'':9}   {starts}     {low:+.1f} to {high:+.1f}")
        print(f"{name:18} spread: {result['spread']}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--clips", type=int, default=None, help="a random sample of this many")
    parser.add_argument(
        "--measures", nargs="+", choices=("colour", "landmarks"), default=["colour"]
    )
    parser.add_argument("--output", type=Path, default=record_path("sync/grid_offset"))
    parser.add_argument("--rendered", type=int, default=30, help="number of rendered clips")
    args = parser.parse_args()
    started_s = time.time()
    cv2.setNumThreads(1)
    names = json.loads((args.shared / "data" / "grid_s1_splits.json").read_text())["train"]
    names = list(np.random.default_rng(SEED).permutation(names)[: args.clips])
    make = {
        "colour": lambda: colour_measure(YuNetDetector()),
        "landmarks": lambda: landmark_measure(YuNetDetector()),
    }
    plosives, clips = gather(
        args.shared / "data", names, {name: make[name]() for name in args.measures}
    )
    measures = {name: summarise(found, BLURS_MS) for name, found in plosives.items()}
    estimate = combine(measures)
    rendered = {
        f"rendered {name}": summarise(
            gather_rendered(args.rendered, make[name]()), RENDERED_BLURS_MS
        )
        for name in args.measures
        if args.rendered
    }
    show(measures | rendered)
    low, high = estimate["interval_ms"]  # type: ignore[misc]
    print(f"\noffset {estimate['offset_ms']:+.1f} ms ({low:+.1f} to {high:+.1f}), + = audio leads")
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    report = {
        **estimate,
        "sign": "positive = the audio leads",
        "convention": "the time of a frame is its timestamp",
        "measures": measures,
        "rendered_with_zero_offset": rendered,
        "clips": len(clips),
        "clips_with_odd_pictures": [clip.to_json() for clip in clips if clip.irregular],
        "data": "GRID s1, train part of grid_s1_splits.json",
        "seed": SEED,
        "bootstraps": BOOTSTRAPS,
        "commit": commit or None,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "seconds": round(time.time() - started_s, 1),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
