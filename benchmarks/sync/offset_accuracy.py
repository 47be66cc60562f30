"""Measure the error of estimated offsets in ms, interval coverage and calibration error.

    python benchmarks/sync/offset_accuracy.py --shared ../shared [--model NAME --weights FILE]

The audio of every clip is shifted by known amounts (+ = the audio leads) by remuxing, and the files
are checked. Each clip is then transcoded to other frame rates, containers and codecs, shifted and
checked again; copies of each in other codecs and at a low bit rate must get the same verdict as the
clip itself. The true offset is the shift plus the offset of the clip's source, which is the
median estimate for the *other* unshifted clips of that source.
"""

import argparse
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avsync.media.writers.remux import shift_audio
from avsync.pipelines.check.check_file import check, load_model
from avsync.scoring.embeddings import SyncModel
from avsync.synthetic import render_clip
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from avsync.timing import FRAME_MS
from benchmarks.media.transcode import Variant, load, write
from benchmarks.record import machine, write_record
from benchmarks.sync.reliability_diagram import calibration_error, reliability

SHIFTS_MS = (-480, -200, 120, 360)
# Every clip is transcoded to the next three of these variants, each with the next shift.
VARIANTS = (
    Variant("23.976 fps", ".mp4", fps=Fraction(24000, 1001)),
    Variant("30 fps, FLAC", ".mkv", audio="flac", fps=Fraction(30)),
    Variant("50 fps, PCM", ".mov", audio="pcm_s16le", fps=Fraction(50)),
    Variant("variable, frames dropped", ".mp4", fps=Fraction(30), variable="dropped"),
    Variant("24 fps, Opus", ".webm", "libvpx", "libopus", fps=Fraction(24)),
    Variant("29.97 fps, MP3", ".mkv", audio="libmp3lame", fps=Fraction(30000, 1001)),
    Variant("60 fps", ".mov", fps=Fraction(60)),
    Variant("variable, frames held", ".mkv", fps=Fraction(60), variable="held"),
)
VARIANTS_PER_CLIP = 3
# Copies with the same frames at the same times, unshifted.
COPIES = (
    Variant("HEVC, MP3", ".mkv", "libx265", "libmp3lame"),
    Variant("300 kbit/s", ".mp4", bit_rate=300_000),
)
AS_IT_CAME = "as it came"
TOLERANCE_MS = 20.0
# Rendered clips of two people; training and calibration use seeds from 10000 on.
SEEDS = range(400, 410)


class Trial(NamedTuple):
    """One file: how it was written, the applied shift, the estimate (None: cannot tell)."""

    clip: str
    written: str
    shift_ms: float
    offset_ms: float | None
    interval_ms: tuple[float, float] | None
    confidence: float
    reason: str | None
    verdict: str | None


def try_clip(model: SyncModel, path: Path, number: int, folder: Path) -> list[Trial]:
    """Run the trials of one clip: as it came, with every shift, copied, transcoded and shifted."""
    trials = [try_shifted(model, path, path.stem, AS_IT_CAME, ms, folder) for ms in (0, *SHIFTS_MS)]
    clip = load(path)
    for variant in COPIES:
        copy = folder / f"copy{variant.suffix}"
        write(clip, copy, variant)
        trials.append(try_shifted(model, copy, path.stem, variant.name, 0, folder))
    for index in range(VARIANTS_PER_CLIP * number, VARIANTS_PER_CLIP * (number + 1)):
        variant = VARIANTS[index % len(VARIANTS)]
        transcoded = folder / f"transcoded{variant.suffix}"
        write(clip, transcoded, variant)
        shift_ms = SHIFTS_MS[index % len(SHIFTS_MS)]
        trials.append(try_shifted(model, transcoded, path.stem, variant.name, shift_ms, folder))
    return trials


def try_shifted(
    model: SyncModel, path: Path, clip: str, written: str, shift_ms: float, folder: Path
) -> Trial:
    """Shift the audio of a file and check it."""
    # MPEG program streams cannot carry every shift; Matroska carries any packet.
    shifted = folder / f"shifted{'.mkv' if path.suffix == '.mpg' else path.suffix}"
    shift_audio(path, shifted, -float(shift_ms), overwrite=True)
    result = check(shifted, model=model)
    estimate = result.offset_ms, result.interval_ms, result.confidence, result.reason
    return Trial(clip, written, shift_ms, *estimate, result.verdict)


def report_copies(name: str, trials: Sequence[Trial]) -> dict[str, Any]:
    """Print and return in how many copies the verdict is that of the clip itself."""
    own = {t.clip: t for t in trials if t.written == AS_IT_CAME and t.shift_ms == 0}
    figures: dict[str, Any] = {}
    for variant in COPIES:
        copies = [trial for trial in trials if trial.written == variant.name]
        same = [trial.verdict == own[trial.clip].verdict for trial in copies]
        moved_ms = [
            abs(trial.offset_ms - before)
            for trial in copies
            if trial.offset_ms is not None and (before := own[trial.clip].offset_ms) is not None
        ]
        figures[variant.name] = {
            "files": len(copies),
            "same_verdict": sum(same),
            "largest_change_ms": max(moved_ms, default=None),
        }
        print(f"{name}, {variant.name}: {figures[variant.name]}", flush=True)
    return figures


def own_offsets(trials: Sequence[Trial]) -> dict[str, float]:
    """Return the estimate for each clip as it came; clips without one are left out."""
    return {
        t.clip: t.offset_ms
        for t in trials
        if t.written == AS_IT_CAME and t.shift_ms == 0 and t.offset_ms is not None
    }


def source_offsets(trials: Sequence[Trial]) -> dict[str, float]:
    """Return for each clip the median estimate for the other unshifted clips of its source."""
    unshifted = own_offsets(trials)
    clips = {trial.clip for trial in trials}
    return {
        clip: float(np.median([ms for other, ms in unshifted.items() if other != clip]))
        for clip in clips
    }


def report(
    name: str, trials: Sequence[Trial], source_ms: dict[str, float], own_ms: dict[str, float]
) -> dict[str, Any]:
    """Print and return the figures of one source.

    Args:
        name: of the source.
        trials: its files.
        source_ms: its offset, by clip: see `source_offsets`.
        own_ms: the estimate for each clip as it came: clips of one source differ, and files made
            from one clip are compared with it too.
    """
    answered = [trial for trial in trials if trial.offset_ms is not None]
    truth = np.array([trial.shift_ms + source_ms[trial.clip] for trial in answered])
    offsets = np.array([trial.offset_ms for trial in answered])
    low, high = np.array([trial.interval_ms for trial in answered]).T
    confidences = np.array([trial.confidence for trial in answered])
    covered = (low <= truth) & (truth <= high)
    errors = offsets - truth
    own_errors = np.array(
        [
            trial.offset_ms - trial.shift_ms - own_ms[trial.clip]
            for trial in answered
            if trial.clip in own_ms and (trial.written, trial.shift_ms) != (AS_IT_CAME, 0)
        ]
    )
    beyond_a_frame = np.abs(truth) > FRAME_MS
    figures = {
        "files": len(trials),
        "answered": len(answered) / len(trials),
        "within_20_ms": float((np.abs(errors) <= TOLERANCE_MS).mean()),
        "within_45_ms": float((np.abs(errors) <= 45).mean()),
        "within_20_ms_of_own": float((np.abs(own_errors) <= TOLERANCE_MS).mean()),
        "right_sign_beyond_a_frame": float(
            (np.sign(offsets) == np.sign(truth))[beyond_a_frame].mean()
        ),
        "error_median_ms": float(np.median(np.abs(errors))),
        "error_90_ms": float(np.percentile(np.abs(errors), 90)),
        "interval_coverage": float(covered.mean()),
        "interval_half_ms": float(np.median((high - low) / 2)),
        "mean_confidence": float(confidences.mean()),
        "expected_calibration_error": calibration_error(confidences, covered),
        "reliability": reliability(confidences, covered),
        "own_offset_ms": float(np.median(list(source_ms.values()))),
        "trials": [trial._asdict() for trial in trials],
    }
    print(
        f"{name}: {figures['answered']:.1%} of {len(trials)} files answered, of these "
        f"{figures['within_20_ms']:.1%} within 20 ms, {figures['within_45_ms']:.1%} within 45 ms, "
        f"{figures['within_20_ms_of_own']:.1%} within 20 ms of the clip's own offset, "
        f"{figures['right_sign_beyond_a_frame']:.1%} with the right sign; 90 % of errors below "
        f"{figures['error_90_ms']:.0f} ms; interval +-{figures['interval_half_ms']:.0f} ms, "
        f"coverage {figures['interval_coverage']:.1%}; calibration error "
        f"{figures['expected_calibration_error']:.3f}",
        flush=True,
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--model", default=DEFAULT_SYNC_MODEL)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    model = load_model(arguments.model, arguments.weights)
    data = arguments.shared / "data"
    sources = {
        name: sorted((data / name).iterdir()) for name in ("grid_other_speakers", "wild_lrs3")
    }
    figures = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        sources["rendered, two faces"] = [folder / f"rendered_{seed}.mp4" for seed in SEEDS]
        for seed, path in zip(SEEDS, sources["rendered, two faces"], strict=True):
            render_clip(path, seed=seed, duration_s=4.0, faces=2, size=(480, 270))
        for source, clips in sources.items():
            trials = [
                trial for k, clip in enumerate(clips) for trial in try_clip(model, clip, k, folder)
            ]
            source_ms, own_ms = source_offsets(trials), own_offsets(trials)
            original = [trial for trial in trials if trial.written == AS_IT_CAME]
            copied = {variant.name for variant in COPIES}
            transcoded = [t for t in trials if t.written not in (AS_IT_CAME, *copied)]
            figures[source] = report(source, original, source_ms, own_ms)
            name = f"{source}, re-timed"
            figures[name] = report(name, transcoded, source_ms, own_ms)
            figures[f"{source}, copied"] = report_copies(source, trials)
    print(machine())
    settings = {
        "model": arguments.model,
        "shifts_ms": SHIFTS_MS,
        "seeds": [SEEDS.start, SEEDS.stop],
    }
    write_record("sync/offset_accuracy", {**settings, "sources": figures})


if __name__ == "__main__":
    main()
