"""Measure how well drift, jumps and intermittent offsets are detected and classified.

    python benchmarks/sync/drift_and_jumps.py --data GRID_STORE --splits SPLITS.json \
        --shared ../shared --work FOLDER

Every test file is two minutes long. Real speech is a concatenation of clips of GRID's test split in
a random order. Each GRID clip has an offset of its own within about a frame, unlike a continuous
recording, so real speech is also tested levelled: each clip is shifted by the offset measured on
it. Rendered speech uses seeds below 1000. The audio is resampled by 100 to 1000 ppm, shifted by 80
to 300 ms from a random time on, shifted for a part of the file, or shifted as a whole. Most trials
score prepared crops; two trials of each kind of speech write a file and call `check`.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.sync_accuracy import score_clip
from avsync.pipelines.check.check_file import check, load_model
from avsync.scoring.decision import decide_from_evidence
from avsync.scoring.result import Fault, OffsetSegment, TrackResult
from avsync.scoring.score_sums import TrackScores
from avsync.scoring.trajectory.fault import find_fault
from avsync.scoring.trajectory.model_selection import decide_along_trajectory
from avsync.tasks.calibration import calibration_of
from avsync.timing import FPS
from benchmarks.record import machine, write_record
from benchmarks.sync.drift_and_jump_fixtures import (
    CLIP_S,
    CLIPS,
    LENGTH_S,
    LIMITS,
    SEEDS,
    Clip,
    Truth,
    VideoCache,
    apply_offset,
    constant,
    drift,
    intermittent,
    jumps,
    levelled,
    real_clip,
    rendered_clips,
    write_file,
)

CALIBRATION = calibration_of(load_model("dense_sync"))
Maker = Callable[[np.random.Generator], Truth]
ALL: tuple[Maker, ...] = (drift, jumps) * 3 + (intermittent, constant)
STEADY: tuple[Maker, ...] = (drift,) * 3 + (constant,)


class Trial(NamedTuple):
    """A file, the offset applied to it, and the detected fault; None without an estimate."""

    source: str
    truth: Truth
    fault: Fault | None

    @property
    def classified(self) -> bool:
        """Whether the fault has the right kind; "none" and "constant" count as one kind.

        Which of the two it is depends on a few ms of the corpus' offset.
        """
        if self.fault is None:
            return False
        steady = ("none", "constant")
        both_steady = self.fault.kind in steady and self.truth.kind in steady
        return both_steady or self.fault.kind == self.truth.kind

    @property
    def accurate(self) -> bool:
        """Whether a drift is within 20 %, or all changes, and no others, are within 1 s."""
        if self.fault is None or not self.classified:
            return False
        if self.truth.kind == "drift":
            ppm = self.truth.segments[0].ppm
            return abs((self.fault.drift_ppm or 0.0) - ppm) <= 0.2 * abs(ppm)
        applied = [segment.start_s for segment in self.truth.segments[1:]]
        found = [segment.start_s for segment in self.fault.pieces[1:]]
        return len(applied) == len(found) and bool(
            np.all(np.abs(np.subtract(applied, found)) <= 1.0)
        )


def fault_of(scores: TrackScores) -> Fault | None:
    """Return the fault that `check` reports for a file with only this face track."""
    decision = decide_from_evidence(scores.curve, 1.0, CALIBRATION)
    track = TrackResult(0, 0.0, LENGTH_S, (0.0, 0.0, 0.0, 0.0), *decision)
    track = decide_along_trajectory(track, scores, 1.0, CALIBRATION)
    if track.offset_ms is None:
        return None
    return find_fault([scores], track.offset_ms, LENGTH_S, 1.0, LIMITS, CALIBRATION)


def report(trials: list[Trial]) -> dict[str, object]:
    """Return the shares detected by kind of fault, and of drifts by their rate."""
    figures: dict[str, object] = {}
    for kind in ("drift", "jumps", "intermittent", "constant"):
        of_kind = [
            t
            for t in trials
            if t.truth.kind == kind or (kind, t.truth.kind) == ("constant", "none")
        ]
        if of_kind:
            row: dict[str, float] = {
                "files": len(of_kind),
                "named_right": float(np.mean([t.classified for t in of_kind])),
                "cannot_tell": float(np.mean([t.fault is None for t in of_kind])),
            }
            if kind != "constant":
                name = "within_20_percent" if kind == "drift" else "all_changes_within_1_s"
                row[name] = float(np.mean([t.accurate for t in of_kind]))
            figures[kind] = row
    bands = {}
    for low, high in pairwise((100, 200, 400, 1000)):
        drifts = [
            t
            for t in trials
            if t.truth.kind == "drift" and low <= abs(t.truth.segments[0].ppm) < high
        ]
        if drifts:
            share = float(np.mean([t.accurate for t in drifts]))
            bands[f"{low} to {high} ppm"] = {"files": len(drifts), "within_20_percent": share}
    return figures | {"drift_by_strength": bands}


def through_files(clips: list[Clip], folder: Path, rng: np.random.Generator) -> list[Trial]:
    """Write a file with a drift and one with a jump for each clip, and check them."""
    trials = []
    for clip in clips:
        for make in (drift, jumps):
            truth, path = make(rng), folder / "file.mp4"
            write_file(path, clip.files, apply_offset(clip.wav, truth))
            trials.append(Trial(f"{clip.source}, file", truth, check(path).fault))
            show(trials[-1])
    return trials


def show(trial: Trial) -> None:
    """Print one trial."""
    found = (
        "cannot tell" if trial.fault is None else f"{trial.fault.kind} {_short(trial.fault.pieces)}"
    )
    applied = f"{trial.truth.kind} {_short(trial.truth.segments)}"
    mark = "" if trial.classified else "  WRONG KIND"
    print(f"{trial.source}: {applied} -> {found}{mark}", flush=True)


def _short(segments: Iterable[OffsetSegment]) -> str:
    return ", ".join(f"{s.start_s:.1f} s {s.offset_ms:+.0f} ms {s.ppm:+.0f} ppm" for s in segments)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="store of GRID s1")
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/grid_s1")
    parser.add_argument("--work", type=Path, required=True, help="folder of the rendered clips")
    parser.add_argument("--files", type=int, default=3, help="files of each source")
    arguments = parser.parse_args()
    model, rng = load_model("dense_sync"), np.random.default_rng(0)
    store, folder = Store(arguments.data), arguments.shared / "data" / "grid_s1"
    # A prepared clip begins late if its face is detected late; then it does not match its file.
    whole = round(CLIP_S * FPS)
    test = clips_of_split(store, arguments.splits, "test")
    indices = np.array([index for index in test if store.rows[index].frames == whole])
    trials: list[Trial] = []
    written: list[Clip] = []

    def real() -> Iterator[Clip]:
        for _ in range(arguments.files):
            yield real_clip(model, store, rng.permutation(indices)[:CLIPS], folder)

    pairs = zip(real(), rendered_clips(model, arguments.work, arguments.files), strict=True)
    for clip in chain.from_iterable(pairs):
        cached = VideoCache(model)
        plan: list[tuple[Clip, Maker]] = []
        if clip.source == "real":
            plan = [(clip, make) for make in STEADY]
            clip = levelled(cached, clip)
        for base, make in [*((clip, make) for make in ALL), *plan]:
            truth = make(rng)
            scores = score_clip(cached.rewind(), base.crops, apply_offset(base.wav, truth))
            trials.append(Trial(base.source, truth, fault_of(scores)))
            show(trials[-1])
        if all(clip.source != other.source for other in written):
            written.append(clip)
        # The record is updated after each clip, so that a stopped run leaves its results.
        record(trials, arguments.files)
    trials += through_files(written, arguments.work, rng)
    print(json.dumps(record(trials, arguments.files), indent=1), machine(), sep="\n")


def record(trials: list[Trial], files: int) -> dict[str, object]:
    """Write the record of all trials, by source, and return its figures."""
    sources = sorted({trial.source for trial in trials})
    figures: dict[str, object] = {
        name: report([trial for trial in trials if trial.source == name]) for name in sources
    }
    seeds = {"seed": 0, "rendered_seeds": list(SEEDS)[:files]}
    write_record("sync/drift_and_jumps", {**seeds, **figures})
    return figures


if __name__ == "__main__":
    main()
