"""Files of two minutes whose offset goes as it is told to: real speech and rendered speech."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from scipy.signal import resample_poly
from torch import Tensor

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import Store
from avsync.evaluation.sync_accuracy import score_clip
from avsync.media.video_reader import at_rate, read_frames
from avsync.pipelines.prepare.prepare_store import prepare
from avsync.scoring.embeddings import Entries
from avsync.scoring.engine import SyncModel
from avsync.scoring.peak import find_peak
from avsync.scoring.result import FaultKind, Piece
from avsync.scoring.score_sums import BIN_WINDOWS
from avsync.synthetic import render_clip
from avsync.timing import FPS, SAMPLE_RATE, tolerance

LENGTH_S = 120.0
LIMITS = tolerance("ebu")
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


def spoilt(wav: np.ndarray, truth: Truth) -> np.ndarray:
    """The sound `(N,)` with that offset: at t is heard what is seen at t + offset."""
    fine = resample_poly(np.pad(wav, SAMPLE_RATE), 4, 1)
    t_s = np.arange(len(wav)) / SAMPLE_RATE
    at = (t_s + truth.at(t_s) / 1000 + 1) * 4 * SAMPLE_RATE
    return np.interp(at, np.arange(len(fine)), fine, left=0, right=0).astype(np.float32)


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
            if not video.codec_context.is_open:
                video.height, video.width = image.shape[:2]
                video.pix_fmt = "yuv420p"
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode(None))
        for start in range(0, len(wav), 1024):
            frame = av.AudioFrame.from_ndarray(wav[None, start : start + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
