"""Faults that change over a file, made, found and named: files of two minutes.

python benchmarks/faults.py --data GRID_STORE --splits SPLITS.json --shared ../shared --work FOLDER

Real speech is clips of GRID's test split one after the other, in another order for every file: as
they are, and levelled. Each of them carries an offset of its own, anywhere within a frame of video,
which a file of one take does not; levelled means moved by what each reads on its own. Rendered
speech is of seeds below 1000. The sound is stretched by 100 to 1000 ppm, cut and moved by 80 to
300 ms, moved away for a while, or moved as a whole. Most files go through the scores of prepared
crops, some through files and `check`.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from faulty_clips import (
    CLIP_S,
    CLIPS,
    LENGTH_S,
    LIMITS,
    SEEDS,
    Clip,
    SeenOnce,
    Truth,
    constant,
    drift,
    intermittent,
    jumps,
    levelled,
    real_clip,
    rendered_clips,
    spoilt,
    write_file,
)
from record import machine, write_record

from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.sync_accuracy import score_clip
from avsync.pipelines.check.check_file import check, load_model
from avsync.scoring.decision import judge_evidence
from avsync.scoring.result import Fault, Piece, TrackResult
from avsync.scoring.score_sums import TrackScores
from avsync.scoring.trajectory.fault import find_fault
from avsync.scoring.trajectory.model_selection import rejudge
from avsync.tasks.calibration import calibration_of
from avsync.timing import FPS

CALIBRATION = calibration_of(load_model("dense_sync"))
Maker = Callable[[np.random.Generator], Truth]
ALL: tuple[Maker, ...] = (drift, jumps) * 3 + (intermittent, constant)
STEADY: tuple[Maker, ...] = (drift,) * 3 + (constant,)


class Trial(NamedTuple):
    """A file, what was done to it, and what was found; None where nothing could be told."""

    source: str
    truth: Truth
    fault: Fault | None

    @property
    def named(self) -> bool:
        if self.fault is None:
            return False
        # In tolerance or not turns on a few ms of a corpus' own offset.
        steady = ("none", "constant")
        alike = self.fault.kind in steady and self.truth.kind in steady
        return alike or self.fault.kind == self.truth.kind

    @property
    def near(self) -> bool:
        """A drift within 20 %; all changes, and no others, within 1 s."""
        if self.fault is None or not self.named:
            return False
        if self.truth.kind == "drift":
            ppm = self.truth.pieces[0].ppm
            return abs((self.fault.drift_ppm or 0.0) - ppm) <= 0.2 * abs(ppm)
        made, found = (
            [p.start_s for p in pieces[1:]] for pieces in (self.truth[1], self.fault.pieces)
        )
        return len(made) == len(found) and bool(np.all(np.abs(np.subtract(made, found)) <= 1.0))


def fault_of(scores: TrackScores) -> Fault | None:
    """The fault that `check` would name for a file with this face alone."""
    answer = judge_evidence(scores.evidence.sum(0), scores.offsets_ms, 1.0, CALIBRATION)
    track = TrackResult(0, 0.0, LENGTH_S, (0.0, 0.0, 0.0, 0.0), *answer)
    track = rejudge(track, scores, 1.0, CALIBRATION)
    if track.offset_ms is None:
        return None
    return find_fault([scores], track.offset_ms, LENGTH_S, 1.0, LIMITS, CALIBRATION)


def report(trials: list[Trial]) -> dict[str, object]:
    """Shares by kind of fault, and of drifts by how strong they were."""
    figures: dict[str, object] = {}
    for kind in ("drift", "jumps", "intermittent", "constant"):
        those = [
            t
            for t in trials
            if t.truth.kind == kind or (kind, t.truth.kind) == ("constant", "none")
        ]
        if those:
            row: dict[str, float] = {
                "files": len(those),
                "named_right": float(np.mean([t.named for t in those])),
                "cannot_tell": float(np.mean([t.fault is None for t in those])),
            }
            if kind != "constant":
                near = "within_20_percent" if kind == "drift" else "all_changes_within_1_s"
                row[near] = float(np.mean([t.near for t in those]))
            figures[kind] = row
    bands = {}
    for low, high in pairwise((100, 200, 400, 1000)):
        drifts = [
            t for t in trials if t.truth.kind == "drift" and low <= abs(t.truth[1][0].ppm) < high
        ]
        if drifts:
            share = float(np.mean([t.near for t in drifts]))
            bands[f"{low} to {high} ppm"] = {"files": len(drifts), "within_20_percent": share}
    return figures | {"drift_by_strength": bands}


def through_files(clips: list[Clip], folder: Path, rng: np.random.Generator) -> list[Trial]:
    """A drift and a jump for each clip, by way of a file and `check`."""
    trials = []
    for clip in clips:
        for make in (drift, jumps):
            truth, path = make(rng), folder / "file.mp4"
            write_file(path, clip.files, spoilt(clip.wav, truth))
            trials.append(Trial(f"{clip.source}, file", truth, check(path).fault))
            show(trials[-1])
    return trials


def show(trial: Trial) -> None:
    found = (
        "cannot tell" if trial.fault is None else f"{trial.fault.kind} {_short(trial.fault.pieces)}"
    )
    made = f"{trial.truth.kind} {_short(trial.truth.pieces)}"
    print(f"{trial.source}: {made} -> {found}{'' if trial.named else '  NAMED WRONG'}", flush=True)


def _short(pieces: Iterable[Piece]) -> str:
    return ", ".join(f"{p.start_s:.1f} s {p.offset_ms:+.0f} ms {p.ppm:+.0f} ppm" for p in pieces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="store of GRID s1")
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--shared", type=Path, required=True, help="for the files of the clips")
    parser.add_argument("--work", type=Path, required=True, help="keeps what was rendered")
    parser.add_argument("--files", type=int, default=3, help="of each source")
    arguments = parser.parse_args()
    model, rng = load_model("dense_sync"), np.random.default_rng(0)
    store, folder = Store(arguments.data), arguments.shared / "data" / "grid_s1"
    # A face that is seen late begins its prepared clip late, and its file does not.
    whole = round(CLIP_S * FPS)
    test = clips_of_split(store, arguments.splits, "test")
    places = np.array([place for place in test if store.rows[place].frames == whole])
    trials: list[Trial] = []
    kept: list[Clip] = []

    def real() -> Iterator[Clip]:
        for _ in range(arguments.files):
            yield real_clip(model, store, rng.permutation(places)[:CLIPS], folder)

    pairs = zip(real(), rendered_clips(model, arguments.work, arguments.files), strict=True)
    for clip in chain.from_iterable(pairs):
        seen = SeenOnce(model)
        plan: list[tuple[Clip, Maker]] = []
        if clip.source == "real":
            plan = [(clip, make) for make in STEADY]
            clip = levelled(seen, clip)
        for base, make in [*((clip, make) for make in ALL), *plan]:
            truth = make(rng)
            scores = score_clip(seen.rewind(), base.crops, spoilt(base.wav, truth))
            trials.append(Trial(base.source, truth, fault_of(scores)))
            show(trials[-1])
        if all(clip.source != other.source for other in kept):
            kept.append(clip)
        # The record is written as it grows: a long run that is stopped has not run for nothing.
        record(trials, arguments.files)
    trials += through_files(kept, arguments.work, rng)
    print(json.dumps(record(trials, arguments.files), indent=1), machine(), sep="\n")


def record(trials: list[Trial], files: int) -> dict[str, object]:
    sources = sorted({trial.source for trial in trials})
    figures: dict[str, object] = {
        name: report([trial for trial in trials if trial.source == name]) for name in sources
    }
    write_record("faults", {"seed": 0, "rendered_seeds": list(SEEDS)[:files], **figures})
    return figures


if __name__ == "__main__":
    main()
