"""Measure how well `avsync.check` recovers known shifts and `avsync.fix` removes them.

    python benchmarks/sync/shift_recovery.py --shared ../shared

Every test clip is remuxed with its audio shifted by -480, -200, +120 and +360 ms (+ = the audio
leads) and checked. Shifted files are fixed and checked again. The true offset is the shift plus the
constant offset of the corpus: the documented one for GRID, 0 for others.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.media.writers.remux import shift_audio
from avsync.pipelines.check.check_file import check
from avsync.pipelines.fix.fix_file import FixRefused, fix
from avsync.synthetic import render_clip
from avsync.tasks.registry import create_model
from benchmarks.record import machine, write_record

SHIFTS_MS = (-480, -200, 120, 360)
TOLERANCE_MS = 45.0
# Rendered clips of this benchmark; training and calibration use seeds from 10000 on.
SEEDS = range(10)


class Trial(NamedTuple):
    """One file: true offset, estimated offset (None: cannot tell), offset after the fix."""

    clip: str
    truth_ms: float
    offset_ms: float | None
    confidence: float
    fixed_ms: float | None

    @property
    def accurate(self) -> bool:
        """Whether the estimate is within the tolerance."""
        return self.offset_ms is not None and abs(self.offset_ms - self.truth_ms) <= TOLERANCE_MS


def try_clip(path: Path, corpus_ms: float, folder: Path, detector: str | None) -> list[Trial]:
    """Run the trials of one clip, each with a remuxed copy of it."""
    trials = []
    for lead_ms in (0, *SHIFTS_MS):
        # MPEG program streams cannot carry every shift; Matroska carries any packet.
        suffix = ".mkv" if path.suffix in (".mpg", ".mkv") else path.suffix
        shifted = folder / f"shifted{suffix}"
        shift_audio(path, shifted, -float(lead_ms), overwrite=True)
        result = check(shifted, detector=detector)
        after_ms = None
        if lead_ms and result.offset_ms is not None:
            try:
                fixed = fix(shifted, folder / f"fixed{suffix}", overwrite=True, detector=detector)
                after_ms = fixed.after.offset_ms if fixed.after else None
            except FixRefused:
                pass
        truth_ms = lead_ms + corpus_ms
        trials.append(Trial(path.name, truth_ms, result.offset_ms, result.confidence, after_ms))
    return trials


def report(name: str, trials: list[Trial]) -> dict[str, object]:
    """Print and return the figures of one source."""
    shifted = [trial for trial in trials if abs(trial.truth_ms) > 60]
    unshifted = [trial for trial in trials if abs(trial.truth_ms) <= 60]
    answered = [trial for trial in shifted if trial.offset_ms is not None]
    wrong_sign = [t for t in answered if np.sign(t.offset_ms) != np.sign(t.truth_ms)]
    fixed = np.array([trial.fixed_ms for trial in shifted if trial.fixed_ms is not None])
    errors = np.array([trial.offset_ms - trial.truth_ms for trial in answered])
    figures = {
        "clips": len(unshifted),
        "unshifted_within_45_ms": sum(trial.accurate for trial in unshifted),
        "shifted": len(shifted),
        "answered": len(answered),
        "wrong_sign": len(wrong_sign),
        "within_45_ms": sum(trial.accurate for trial in shifted),
        "within_45_ms_share": float(np.mean([trial.accurate for trial in shifted])),
        "error_median_ms": float(np.median(errors)) if len(errors) else None,
        "fixed": len(fixed),
        "fixed_within_20_ms": int((np.abs(fixed) <= 20).sum()),
        "trials": [trial._asdict() for trial in trials],
    }
    print(
        f"{name}: {figures['unshifted_within_45_ms']} of {len(unshifted)} unshifted clips within "
        f"45 ms; of {len(shifted)} shifted clips {len(answered)} answered, {len(wrong_sign)} with "
        f"the wrong sign, {figures['within_45_ms']} within 45 ms "
        f"({100 * figures['within_45_ms_share']:.0f} %);"
        f" {figures['fixed_within_20_ms']} of {len(fixed)} fixed files within 20 ms of zero",
        flush=True,
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--detector", help="yunet or haar; by default yunet")
    arguments = parser.parse_args()
    model = create_model("dense_sync", pretrained=True)
    grid_ms = 1000 * model.zero_s
    data = arguments.shared / "data"
    sources = {
        "grid_other_speakers": (sorted((data / "grid_other_speakers").iterdir()), grid_ms),
        "wild_lrs3": (sorted((data / "wild_lrs3").iterdir()), 0.0),
    }
    figures = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        rendered = []
        for seed in SEEDS:
            rendered.append(folder / f"rendered_{seed}.mp4")
            mode = "singing" if seed % 4 == 3 else "speech"
            render_clip(rendered[-1], seed=seed, duration_s=4.0, mode=mode)
        sources["rendered"] = (rendered, 0.0)
        for source, (clips, corpus_ms) in sources.items():
            trials = [
                trial
                for clip in clips
                for trial in try_clip(clip, corpus_ms, folder, arguments.detector)
            ]
            figures[source] = report(source, trials)
    print(machine())
    write_record("sync/shift_recovery", {"grid_offset_ms": grid_ms, "sources": figures})


if __name__ == "__main__":
    main()
