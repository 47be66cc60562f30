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

import av
import numpy as np
from record import machine, write_record
from scipy.signal import resample_poly
from torch import Tensor

from avsync.data.clip_crops import crops_for
from avsync.data.splits import clips_of_split
from avsync.data.store import Store
from avsync.media.synthetic import render_clip
from avsync.media.video import at_rate, read_frames
from avsync.pipelines.check import check, load_model
from avsync.pipelines.prepare import prepare
from avsync.scoring.accuracy import score_clip
from avsync.scoring.calibrations import calibration_of
from avsync.scoring.course import rejudge
from avsync.scoring.engine import BIN_WINDOWS, SyncModel, TrackScores
from avsync.scoring.entries import Entries
from avsync.scoring.fault import find_fault
from avsync.scoring.offset import find_peak
from avsync.scoring.result import Fault, FaultKind, Piece, TrackResult
from avsync.scoring.verdict import judge_evidence
from avsync.timing import FPS, SAMPLE_RATE, tolerance

LENGTH_S = 120.0
LIMITS = tolerance("ebu")
CALIBRATION = calibration_of("dense_sync")
SEEDS = range(300, 306)
# GRID clips in a file of two minutes, and their length.
CLIPS, CLIP_S = 40, 3.0


class Clip(NamedTuple):
    """Crops `(T, H, W, 3)` uint8 of two minutes, their sound `(N,)` at 16 kHz, and the files that
    they come from.
    """

    source: str
    crops: np.ndarray
    wav: np.ndarray
    files: tuple[Path, ...]


class Truth(NamedTuple):
    """What was done to a clip's sound: offset(t) piece by piece."""

    kind: FaultKind
    pieces: tuple[Piece, ...]

    def at(self, t_s: np.ndarray) -> np.ndarray:
        offset_ms = np.zeros_like(t_s)
        for start_s, _, start_ms, ppm in self.pieces:
            later = t_s >= start_s
            offset_ms[later] = start_ms + ppm / 1000 * (t_s[later] - start_s)
        return offset_ms


class SeenOnce:
    """A sync model that encodes the pictures of a clip once, however often its sound is changed."""

    def __init__(self, model: SyncModel) -> None:
        self.model, self.spec = model, model.spec
        self.kept: list[Entries] = []
        self.calls = 0

    def rewind(self) -> "SeenOnce":
        self.calls = 0
        return self

    def encode_video(self, frames: Tensor) -> Entries:
        if self.calls == len(self.kept):
            self.kept.append(self.model.encode_video(frames))
        self.calls += 1
        return self.kept[self.calls - 1]

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Entries:
        return self.model.encode_audio(wav, starts_s)

    def compare(self, video: Entries, audio: Entries) -> Tensor:
        return self.model.compare(video, audio)


def drift(rng: np.random.Generator) -> Truth:
    ppm = rng.uniform(100, 1000) * rng.choice([-1, 1])
    return Truth("drift", (Piece(0, LENGTH_S, rng.uniform(-100, 100), ppm),))


def jumps(rng: np.random.Generator) -> Truth:
    start_ms, at_s = rng.uniform(-100, 100), rng.uniform(15, LENGTH_S - 15)
    end_ms = start_ms + rng.uniform(80, 300) * rng.choice([-1, 1])
    pieces = (Piece(0, at_s, start_ms, 0), Piece(at_s, LENGTH_S, end_ms, 0))
    return Truth("jumps", pieces)


def intermittent(rng: np.random.Generator) -> Truth:
    start_ms, from_s = rng.uniform(-30, 20), rng.uniform(15, 60)
    until_s = from_s + rng.uniform(15, 40)
    away_ms = start_ms + rng.uniform(120, 300) * rng.choice([-1, 1])
    return Truth(
        "intermittent",
        (
            Piece(0, from_s, start_ms, 0),
            Piece(from_s, until_s, away_ms, 0),
            Piece(until_s, LENGTH_S, start_ms, 0),
        ),
    )


def constant(rng: np.random.Generator) -> Truth:
    offset_ms = rng.uniform(-300, 300)
    in_sync = -LIMITS.late_ms <= offset_ms <= LIMITS.early_ms
    return Truth("none" if in_sync else "constant", (Piece(0, LENGTH_S, offset_ms, 0),))


Maker = Callable[[np.random.Generator], Truth]
ALL: tuple[Maker, ...] = (drift, jumps) * 3 + (intermittent, constant)
STEADY: tuple[Maker, ...] = (drift,) * 3 + (constant,)


def spoilt(wav: np.ndarray, truth: Truth) -> np.ndarray:
    """The sound `(N,)` with that offset: at t is heard what is seen at t + offset."""
    fine = resample_poly(np.pad(wav, SAMPLE_RATE), 4, 1)
    t_s = np.arange(len(wav)) / SAMPLE_RATE
    at = (t_s + truth.at(t_s) / 1000 + 1) * 4 * SAMPLE_RATE
    return np.interp(at, np.arange(len(fine)), fine, left=0, right=0).astype(np.float32)


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


def real_clip(model: SyncModel, store: Store, places: np.ndarray, folder: Path) -> Clip:
    """Clips of a store one after the other."""
    clips = [store[int(place)] for place in places]
    crops = np.concatenate([crops_for(model.spec, clip) for clip in clips])
    files = tuple(folder / Path(clip.source).name for clip in clips)
    return Clip("real", crops, np.concatenate([clip.wav_16k for clip in clips]), files)


def levelled(model: SeenOnce, clip: Clip) -> Clip:
    """The same with every part of it moved to where it reads 0 on its own."""
    scores = score_clip(model.rewind(), clip.crops, clip.wav)
    pieces = []
    for start_s in CLIP_S * np.arange(CLIPS):
        first, last = start_s * FPS / BIN_WINDOWS, (start_s + CLIP_S) * FPS / BIN_WINDOWS
        inside = (scores.bins >= first) & (scores.bins + 1 <= last)
        peak = find_peak(scores.evidence[inside].sum(0), scores.offsets_ms, 200.0)
        own_ms = 0.0 if peak is None else peak.offset_ms
        pieces.append(Piece(start_s, start_s + CLIP_S, -own_ms, 0.0))
    wav = spoilt(clip.wav, Truth("jumps", tuple(pieces)))
    return clip._replace(source="real, levelled", wav=wav)


def rendered_clips(model: SyncModel, folder: Path, count: int) -> Iterator[Clip]:
    """Rendered speech, made and prepared where it is not there yet."""
    store, films = folder / "rendered_store", folder / "rendered"
    films.mkdir(parents=True, exist_ok=True)
    for seed in list(SEEDS)[:count]:
        if not (films / f"s{seed}.mkv").exists():
            path = films / f"s{seed}.mkv"
            render_clip(path, seed, LENGTH_S, size=(320, 240), sample_rate=SAMPLE_RATE)
    if not store.exists():
        prepare(films, store)
    for clip in list(Store(store))[:count]:
        crops, film = crops_for(model.spec, clip), films / Path(clip.source).name
        yield Clip("rendered", crops, np.asarray(clip.wav_16k), (film,))


def write_file(path: Path, files: Iterable[Path], wav: np.ndarray) -> None:
    """The pictures of some files one after the other, encoded again, and a sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        assert isinstance(video, av.VideoStream)
        for image in (tick.image for file in files for tick in at_rate(read_frames(file))):
            video.height, video.width = image.shape[:2]
            video.pix_fmt = "yuv420p"
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode(None))
        for start in range(0, len(wav), 1024):
            frame = av.AudioFrame.from_ndarray(wav[None, start : start + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


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
    places = np.array(clips_of_split(store, arguments.splits, "test"))
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
        record(trials)
    trials += through_files(kept, arguments.work, rng)
    print(json.dumps(record(trials), indent=1), machine(), sep="\n")


def record(trials: list[Trial]) -> dict[str, object]:
    sources = sorted({trial.source for trial in trials})
    figures: dict[str, object] = {
        name: report([trial for trial in trials if trial.source == name]) for name in sources
    }
    write_record("faults", {"seed": 0, "rendered_seeds": list(SEEDS), **figures})
    return figures


if __name__ == "__main__":
    main()
