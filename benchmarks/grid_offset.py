"""Measures the constant audio-video offset of GRID (speaker s1) on plosives, without a sync model.

When /b/ or /p/ is released the lips part and the burst is heard, within a few milliseconds. Bursts
fall anywhere between two pictures, so the lips of hundreds of releases, laid over each other by
their time from the burst, draw one curve far finer than the 40 ms between pictures: where it leaves
zero is the offset. A narrow gap between the lips is not seen, so releases are seen late; closures
are seen early by the same, and the middle of both is free of that.

    python benchmarks/grid_offset.py --shared ../shared
    python benchmarks/grid_offset.py --shared ../shared --measures colour landmarks

The second needs `avsync[landmarks]`. A picture counts as the instant of its time stamp. Offsets are
in ms, positive = the audio leads (`avsync.timing`).
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
from opening_curve import (
    BLUR_MS,
    LEAST_CURVES,
    Curve,
    fit_ramp,
    lay_over,
    own_start_ms,
    start_ms,
)
from plosives import (
    Measure,
    Pictures,
    colour_measure,
    find_burst,
    high_band_db,
    landmark_measure,
    listen,
    look,
)
from scipy.stats import spearmanr

from avsync.faces.detector import YuNetDetector
from avsync.media.audio_reader import read_audio
from avsync.media.video_reader import read_frames
from avsync.synthetic.clip import render
from avsync.timing import FRAME_MS, SAMPLE_RATE

ALIGNMENT_RATE = 25000
# Not "blue": its lips are rounded and part by a pixel or two, too little to date.
RELEASES = ("place", "bin", "by", "b", "p")
# Clips differ by about a frame among themselves (see `spread`), which blurs what they show together
# like an exposure of 40 ms; the camera's own, one field of 20 ms or two, adds to it in squares.
BLURS_MS = (40.0, 50.0, 60.0)
# Rendered pictures are instants, and rendered clips do not differ.
RENDERED_BLURS_MS = (0.0, 20.0, 40.0)
BOOTSTRAPS, SEED = 100, 0
# Rendered bursts are softer than those of a man close to a microphone.
RENDERED_BURST_DB = 15.0


class Plosive(NamedTuple):
    """A plosive of a clip that was heard, and what was seen of its release and its closure."""

    clip: str
    word: str
    release: Curve | None
    closure: Curve | None


class Clip(NamedTuple):
    """What is wrong with a clip: too few pictures, uneven times, pictures shown twice, no face."""

    name: str
    pictures: int
    uneven: bool
    repeated: int


def by_release(plosives: Sequence[Plosive], blur_ms: float) -> float:
    """The offset by releases alone: the mean over words, each laid over on its own."""
    words = [[p.release for p in plosives if p.word == word] for word in RELEASES]
    return float(np.nanmean([start_ms(curves, blur_ms) for curves in words]))


def by_middle(plosives: Sequence[Plosive], blur_ms: float) -> float:
    """The offset by the middle of closure and release, over the plosives with both of them seen."""
    both = [p for p in plosives if p.release is not None and p.closure is not None]
    release = start_ms([p.release for p in both], blur_ms)
    # The curve of a closure runs backwards: seen early is a positive start.
    return (release - start_ms([p.closure for p in both], blur_ms)) / 2


METHODS = {"release": by_release, "middle": by_middle}


def interval(plosives: Sequence[Plosive], method: str, blur_ms: float) -> tuple[float, float]:
    """The central 95 % of an estimate over clips drawn with replacement."""
    clips: dict[str, list[Plosive]] = {}
    for plosive in plosives:
        clips.setdefault(plosive.clip, []).append(plosive)
    groups, draw = list(clips.values()), np.random.default_rng(SEED)
    values = []
    for _ in range(BOOTSTRAPS):
        drawn = draw.integers(len(groups), size=len(groups))
        values.append(METHODS[method]([p for i in drawn for p in groups[i]], blur_ms))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def spread(plosives: Sequence[Plosive]) -> dict[str, float]:
    """How much releases differ, in ms: each one's own start about that of its word.

    `between_clips` is the part that releases of one clip share, from the products of their
    deviations: an offset that changed from clip to clip would show there.
    """
    own: dict[str, list[float]] = {}
    medians = []
    for word in RELEASES:
        of_word = [p for p in plosives if p.word == word and p.release is not None]
        together = lay_over([p.release for p in of_word])
        if together is None or len(of_word) < LEAST_CURVES:
            continue
        ramp = fit_ramp(together, BLUR_MS)
        starts = [own_start_ms(p.release, ramp) for p in of_word if p.release is not None]
        medians.append(np.median(starts))
        for plosive, start in zip(of_word, np.array(starts) - np.median(starts), strict=True):
            own.setdefault(plosive.clip, []).append(float(start))
    if not own:
        return {"releases": 0}
    every = np.concatenate([np.array(values) for values in own.values()])
    shared = [a * b for v in own.values() for i, a in enumerate(v) for b in v[i + 1 :]]
    beyond = [clip for clip, v in own.items() if abs(float(np.median(v))) > FRAME_MS]
    return {
        "releases": len(every),
        "mean_ms": float(np.mean(medians)),
        "sd_ms": float(1.4826 * np.median(abs(every - np.median(every)))),
        "pairs_in_one_clip": len(shared),
        "between_clips_sd_ms": float(np.sqrt(max(0.0, np.mean(shared)))) if shared else 0.0,
        "correlation_in_one_clip": correlation(own.values()),
        "clips_beyond_one_frame": len(beyond),
        "clips": len(own),
    }


def correlation(groups: Iterable[list[float]]) -> float:
    """The rank correlation of the pairs within groups, 0 where there are fewer than 3."""
    pairs = [(a, b) for group in groups for i, a in enumerate(group) for b in group[i + 1 :]]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic) if len(pairs) > 2 else 0.0


def read_clip(path: Path) -> tuple[Pictures, np.ndarray]:
    """Pictures of a file and its sound at 16 kHz `(N,)`, sample 0 = the first picture."""
    frames = list(read_frames(path))
    origin_s = frames[0].time_s
    times_s = np.array([frame.time_s - origin_s for frame in frames])
    wav = np.concatenate(list(read_audio(path, origin_s=origin_s)))
    return Pictures([frame.image for frame in frames], times_s), wav


def read_alignment(path: Path) -> list[tuple[float, str]]:
    """Start in s and word of each line, short pauses left out."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return [(int(start) / ALIGNMENT_RATE, word) for start, _, word in rows if word != "sp"]


def inspect(name: str, pictures: Pictures) -> Clip:
    """Looks for signs of lost pictures: uneven times, pictures that repeat the one before."""
    small = np.stack([image[::4, ::4, 1] for image in pictures.images]).astype(np.float32)
    change = np.abs(np.diff(small, axis=0)).mean((1, 2))
    uneven = bool((abs(np.diff(pictures.times_s) * 1000 - FRAME_MS) > 1.5).any())
    return Clip(name, len(small), uneven, int((change < 0.1 * np.median(change)).sum()))


def gather(
    data: Path, names: Sequence[str], measures: dict[str, Measure]
) -> tuple[dict[str, list[Plosive]], list[Clip]]:
    """Hears and sees every plosive of the named clips, by each measure."""
    plosives: dict[str, list[Plosive]] = {name: [] for name in measures}
    clips = []
    for number, name in enumerate(names, 1):
        pictures, wav = read_clip(data / "grid_s1" / f"{name}.mkv")
        clips.append(inspect(name, pictures))
        words = read_alignment(data / "grid_s1_alignments" / f"{name}.align")
        for sound in listen(wav, words):
            for key, measure in measures.items():
                release, closure = look(pictures, sound.burst_s, measure), None
                if sound.closure_s is not None:
                    closure = look(pictures, sound.closure_s, measure, backwards=True)
                plosives[key].append(Plosive(name, sound.word, release, closure))
        if number % 100 == 0:
            print(f"{number} of {len(names)} clips", flush=True)
    return plosives, clips


def gather_rendered(count: int, measure: Measure) -> list[Plosive]:
    """Hears and sees the plosives of rendered clips, whose offset is zero by construction."""
    plosives = []
    for seed in range(count):
        clip = render(seed=seed, size=(480, 360), sample_rate=SAMPLE_RATE)
        # A rendered picture is the instant in the middle of its time on screen.
        times_s = (np.arange(len(clip.frames)) + 0.5) / clip.fps
        pictures = Pictures(list(clip.frames), times_s)
        level = high_band_db(clip.wav)
        for name, closed_s, parted_s in clip.closures[0]:
            burst = find_burst(level, parted_s - 0.06, parted_s + 0.06)
            if name == "m" or burst is None or burst[1] < RENDERED_BURST_DB:
                continue
            release = look(pictures, burst[0], measure)
            closure = look(pictures, closed_s, measure, backwards=True)
            plosives.append(Plosive(str(seed), name, release, closure))
    return plosives


def summarise(plosives: Sequence[Plosive], blurs_ms: Sequence[float]) -> dict[str, Any]:
    """Every figure of one measure, by blur."""
    words = {}
    for word in (*RELEASES, "blue"):
        curves = [p.release for p in plosives if p.word == word]
        seen = sum(curve is not None for curve in curves)
        if seen < LEAST_CURVES:
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


def declare(measures: dict[str, dict[str, Any]]) -> dict[str, float | tuple[float, float]]:
    """The answer: the mean over measures, methods and blurs.

    Its interval is half their range and the chance in each, added in squares.
    """
    methods = [method for measure in measures.values() for method in measure["methods"].values()]
    values = np.array([v for method in methods for v in method["offset_ms"].values()])
    if not np.isfinite(values).all():
        raise SystemExit("too few plosives were seen for an answer: take more clips")
    chance = np.mean([(m["interval_ms"][1] - m["interval_ms"][0]) / 2 for m in methods])
    centre, half = float(values.mean()), float(np.hypot(np.ptp(values) / 2, chance))
    return {"offset_ms": centre, "interval_ms": (centre - half, centre + half)}


def show(measures: dict[str, dict[str, Any]]) -> None:
    """Prints the table."""
    print(
        f"\n{'measure':18} {'estimate':18} {'seen':>9}   by blur (ms), see JSON        95 % by clip"
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--clips", type=int, default=None, help="only that many, drawn by chance")
    parser.add_argument(
        "--measures", nargs="+", choices=("colour", "landmarks"), default=["colour"]
    )
    here = Path(__file__).parent
    parser.add_argument("--output", type=Path, default=here / "results" / "grid_offset.json")
    parser.add_argument("--rendered", type=int, default=30, help="rendered clips as a check")
    args = parser.parse_args()
    began = time.time()
    cv2.setNumThreads(1)
    names = json.loads((args.shared / "data" / "grid_s1_splits.json").read_text())["train"]
    names = list(np.random.default_rng(SEED).permutation(names)[: args.clips])
    models = args.shared / "models"
    make = {
        "colour": lambda: colour_measure(YuNetDetector(models / "yunet_n_320_320.onnx")),
        "landmarks": lambda: landmark_measure(models / "face_landmarker.task"),
    }
    plosives, clips = gather(
        args.shared / "data", names, {name: make[name]() for name in args.measures}
    )
    measures = {name: summarise(found, BLURS_MS) for name, found in plosives.items()}
    answer = declare(measures)
    rendered = {
        f"rendered {name}": summarise(
            gather_rendered(args.rendered, make[name]()), RENDERED_BLURS_MS
        )
        for name in args.measures
        if args.rendered
    }
    show(measures | rendered)
    low, high = answer["interval_ms"]  # type: ignore[misc]
    print(f"\noffset {answer['offset_ms']:+.1f} ms ({low:+.1f} to {high:+.1f}), + = audio leads")
    git = ["git", "-C", str(here), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    odd = [c._asdict() for c in clips if c.pictures != 75 or c.uneven or c.repeated]
    report = {
        **answer,
        "sign": "positive = the audio leads",
        "convention": "a picture is the instant of its time stamp",
        "measures": measures,
        "rendered_with_zero_offset": rendered,
        "clips": len(clips),
        "clips_with_odd_pictures": odd,
        "data": "GRID s1, train part of grid_s1_splits.json",
        "seed": SEED,
        "bootstraps": BOOTSTRAPS,
        "commit": commit or None,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "seconds": round(time.time() - began, 1),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
