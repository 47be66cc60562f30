"""How far answers lie from the truth in ms: `python benchmarks/accuracy_ms.py --shared ../shared`.

Every clip's sound is moved by known shifts (+ = the audio leads) by remuxing, and the files are
checked; then it is written again at other rates, in other containers and codecs, moved as well, and
checked. The truth is the shift plus what the clip's source carries itself: the median answer for
the *other* clips of the source, unshifted.
"""

import argparse
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from record import machine, write_record
from reliability import calibration_error, reliability
from retimed import Variant, load, write

from avsync.media.writers.remux import shift_audio
from avsync.pipelines.check.check_file import check
from avsync.synthetic import render_clip
from avsync.timing import FRAME_MS

SHIFTS_MS = (-480, -200, 120, 360)
# Every clip is written again as three of these, in turn, each with the next shift.
RETIMINGS = (
    Variant("23.976 fps", ".mp4", fps=Fraction(24000, 1001)),
    Variant("30 fps, FLAC", ".mkv", audio="flac", fps=Fraction(30)),
    Variant("50 fps, PCM", ".mov", audio="pcm_s16le", fps=Fraction(50)),
    Variant("variable, pictures dropped", ".mp4", fps=Fraction(30), variable="dropped"),
    Variant("24 fps, Opus", ".webm", "libvpx", "libopus", fps=Fraction(24)),
    Variant("29.97 fps, MP3", ".mkv", audio="libmp3lame", fps=Fraction(30000, 1001)),
    Variant("60 fps", ".mov", fps=Fraction(60)),
    Variant("variable, pictures held", ".mkv", fps=Fraction(60), variable="held"),
)
RETIMED_PER_CLIP = 3
TOLERANCE_MS = 20.0
# Rendered clips with two people in the picture; training and calibration use seeds from 10000 on.
SEEDS = range(400, 410)


class Trial(NamedTuple):
    """One file: how it was written, the shift applied, what was answered (None: cannot tell)."""

    clip: str
    written: str
    shift_ms: float
    offset_ms: float | None
    interval_ms: tuple[float, float] | None
    confidence: float
    reason: str | None


def try_clip(path: Path, number: int, folder: Path) -> list[Trial]:
    """The trials of one clip: as it is, moved by every shift, and re-timed and moved."""
    trials = [try_moved(path, path.stem, "as it came", ms, folder) for ms in (0, *SHIFTS_MS)]
    clip = load(path)
    for turn in range(RETIMED_PER_CLIP * number, RETIMED_PER_CLIP * (number + 1)):
        how = RETIMINGS[turn % len(RETIMINGS)]
        again = folder / f"retimed{how.suffix}"
        write(clip, again, how)
        shift_ms = SHIFTS_MS[turn % len(SHIFTS_MS)]
        trials.append(try_moved(again, path.stem, how.name, shift_ms, folder))
    return trials


def try_moved(path: Path, clip: str, written: str, shift_ms: float, folder: Path) -> Trial:
    """The answer for a file whose sound is moved."""
    # MPEG program streams cannot carry every shift; Matroska carries any packet.
    moved = folder / f"moved{'.mkv' if path.suffix == '.mpg' else path.suffix}"
    shift_audio(path, moved, -float(shift_ms), overwrite=True)
    found = check(moved)
    answer = found.offset_ms, found.interval_ms, found.confidence, found.reason
    return Trial(clip, written, shift_ms, *answer)


def own_offsets(trials: Sequence[Trial]) -> dict[str, float]:
    """By clip: the median answer for the other clips of its source, all of them unshifted."""
    still = {t.clip: t.offset_ms for t in trials if t.shift_ms == 0 and t.offset_ms is not None}
    clips = {trial.clip for trial in trials}
    return {
        clip: float(np.median([ms for other, ms in still.items() if other != clip]))
        for clip in clips
    }


def report(name: str, trials: Sequence[Trial], own_ms: dict[str, float]) -> dict[str, Any]:
    """Prints and returns the figures of one source, whose clips have offsets of their own."""
    answered = [trial for trial in trials if trial.offset_ms is not None]
    truth = np.array([trial.shift_ms + own_ms[trial.clip] for trial in answered])
    offsets = np.array([trial.offset_ms for trial in answered])
    low, high = np.array([trial.interval_ms for trial in answered]).T
    sure = np.array([trial.confidence for trial in answered])
    held = (low <= truth) & (truth <= high)
    errors = offsets - truth
    moved = np.abs(truth) > FRAME_MS
    figures = {
        "files": len(trials),
        "answered": len(answered) / len(trials),
        "within_20_ms": float((np.abs(errors) <= TOLERANCE_MS).mean()),
        "within_45_ms": float((np.abs(errors) <= 45).mean()),
        "right_sign_beyond_a_frame": float((np.sign(offsets) == np.sign(truth))[moved].mean()),
        "error_median_ms": float(np.median(np.abs(errors))),
        "error_90_ms": float(np.percentile(np.abs(errors), 90)),
        "interval_coverage": float(held.mean()),
        "interval_half_ms": float(np.median((high - low) / 2)),
        "mean_confidence": float(sure.mean()),
        "expected_calibration_error": calibration_error(sure, held),
        "reliability": reliability(sure, held),
        "own_offset_ms": float(np.median(list(own_ms.values()))),
        "trials": [trial._asdict() for trial in trials],
    }
    print(
        f"{name}: {figures['answered']:.1%} of {len(trials)} files answered, of these "
        f"{figures['within_20_ms']:.1%} within 20 ms, {figures['within_45_ms']:.1%} within 45 ms, "
        f"{figures['right_sign_beyond_a_frame']:.1%} of the right sign; 90 % of errors below "
        f"{figures['error_90_ms']:.0f} ms; the interval (+-{figures['interval_half_ms']:.0f} ms) "
        f"holds in {figures['interval_coverage']:.1%}; calibration error "
        f"{figures['expected_calibration_error']:.3f}",
        flush=True,
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    sources = {
        name: sorted((data / name).iterdir()) for name in ("grid_other_speakers", "wild_lrs3")
    }
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources["rendered, two faces"] = [folder / f"rendered_{seed}.mp4" for seed in SEEDS]
        for seed, path in zip(SEEDS, sources["rendered, two faces"], strict=True):
            render_clip(path, seed=seed, duration_s=4.0, faces=2, size=(480, 270))
        for source, clips in sources.items():
            each = enumerate(clips)
            trials = [trial for number, clip in each for trial in try_clip(clip, number, folder)]
            own_ms = own_offsets(trials)
            as_came = [trial for trial in trials if trial.written == "as it came"]
            retimed = [trial for trial in trials if trial.written != "as it came"]
            figures[source] = report(source, as_came, own_ms)
            figures[f"{source}, re-timed"] = report(f"{source}, re-timed", retimed, own_ms)
    print(machine())
    shifts = {"shifts_ms": SHIFTS_MS, "seeds": [SEEDS.start, SEEDS.stop]}
    write_record("accuracy_ms", {**shifts, "sources": figures})


if __name__ == "__main__":
    main()
