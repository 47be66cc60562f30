"""Two-minute clips with a given offset trajectory: drift, jumps, intermittent, constant."""

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
from avsync.scoring.embeddings import Embeddings, SyncModel
from avsync.scoring.peak import find_peak
from avsync.scoring.result import FaultKind, OffsetSegment
from avsync.scoring.score_sums import BIN_WINDOWS, EvidenceCurve
from avsync.synthetic import render_clip
from avsync.timing import FPS, SAMPLE_RATE, tolerance

LENGTH_S = 120.0
LIMITS = tolerance("ebu")
SEEDS = range(300, 306)
# Number of GRID clips in two minutes, and their length.
CLIPS, CLIP_S = 40, 3.0


class Clip(NamedTuple):
    """Two minutes of crops `(T, H, W, 3)` uint8 and audio `(N,)` at 16 kHz, and their files."""

    source: str
    crops: np.ndarray
    wav: np.ndarray
    files: tuple[Path, ...]


class Truth(NamedTuple):
    """The offset trajectory applied to a clip's audio, in segments."""

    kind: FaultKind
    segments: tuple[OffsetSegment, ...]

    def at(self, t_s: np.ndarray) -> np.ndarray:
        """Return the offsets in ms at times `(n,)` in s."""
        offset_ms = np.zeros_like(t_s)
        for start_s, _, start_ms, ppm in self.segments:
            later = t_s >= start_s
            offset_ms[later] = start_ms + ppm / 1000 * (t_s[later] - start_s)
        return offset_ms


class VideoCache:
    """Wrap a sync model and cache the video embeddings of one clip, to score it with many audios.

    The embeddings are cached in the order of the calls: call `rewind` before each audio.
    """

    def __init__(self, model: SyncModel) -> None:
        self.model, self.spec = model, model.spec
        self.cached: list[Embeddings] = []
        self.calls = 0

    def rewind(self) -> "VideoCache":
        """Start again with the first video window."""
        self.calls = 0
        return self

    def encode_video(self, frames: Tensor) -> Embeddings:
        if self.calls == len(self.cached):
            self.cached.append(self.model.encode_video(frames))
        self.calls += 1
        return self.cached[self.calls - 1]

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Embeddings:
        return self.model.encode_audio(wav, starts_s)

    def compare(self, video: Embeddings, audio: Embeddings) -> Tensor:
        return self.model.compare(video, audio)


def drift(rng: np.random.Generator) -> Truth:
    """Draw a drift of 100 to 1000 ppm."""
    ppm = rng.uniform(100, 1000) * rng.choice([-1, 1])
    return Truth("drift", (OffsetSegment(0, LENGTH_S, rng.uniform(-100, 100), ppm),))


def jumps(rng: np.random.Generator) -> Truth:
    """Draw one jump of 80 to 300 ms."""
    start_ms, at_s = rng.uniform(-100, 100), rng.uniform(15, LENGTH_S - 15)
    end_ms = start_ms + rng.uniform(80, 300) * rng.choice([-1, 1])
    segments = (OffsetSegment(0, at_s, start_ms, 0), OffsetSegment(at_s, LENGTH_S, end_ms, 0))
    return Truth("jumps", segments)


def intermittent(rng: np.random.Generator) -> Truth:
    """Draw an additional offset of 120 to 300 ms that lasts for 15 to 40 s."""
    start_ms, from_s = rng.uniform(-30, 20), rng.uniform(15, 60)
    until_s = from_s + rng.uniform(15, 40)
    away_ms = start_ms + rng.uniform(120, 300) * rng.choice([-1, 1])
    return Truth(
        "intermittent",
        (
            OffsetSegment(0, from_s, start_ms, 0),
            OffsetSegment(from_s, until_s, away_ms, 0),
            OffsetSegment(until_s, LENGTH_S, start_ms, 0),
        ),
    )


def constant(rng: np.random.Generator) -> Truth:
    """Draw a constant offset of up to 300 ms."""
    offset_ms = rng.uniform(-300, 300)
    in_sync = -LIMITS.late_ms <= offset_ms <= LIMITS.early_ms
    return Truth("none" if in_sync else "constant", (OffsetSegment(0, LENGTH_S, offset_ms, 0),))


def apply_offset(wav: np.ndarray, truth: Truth) -> np.ndarray:
    """Resample audio `(N,)` to an offset trajectory: output at t is input at t + offset(t)."""
    fine = resample_poly(np.pad(wav, SAMPLE_RATE), 4, 1)
    t_s = np.arange(len(wav)) / SAMPLE_RATE
    at = (t_s + truth.at(t_s) / 1000 + 1) * 4 * SAMPLE_RATE
    return np.interp(at, np.arange(len(fine)), fine, left=0, right=0).astype(np.float32)


def real_clip(model: SyncModel, store: Store, indices: np.ndarray, folder: Path) -> Clip:
    """Concatenate clips of a store; `folder` holds their files."""
    clips = [store[int(index)] for index in indices]
    crops = np.concatenate([crops_for(model.spec, clip) for clip in clips])
    files = tuple(folder / Path(clip.source).name for clip in clips)
    return Clip("real", crops, np.concatenate([clip.wav_16k for clip in clips]), files)


def levelled(model: VideoCache, clip: Clip) -> Clip:
    """Shift the audio of each concatenated clip by its measured offset, so that it measures 0."""
    scores = score_clip(model.rewind(), clip.crops, clip.wav)
    segments = []
    for start_s in CLIP_S * np.arange(CLIPS):
        first, last = start_s * FPS / BIN_WINDOWS, (start_s + CLIP_S) * FPS / BIN_WINDOWS
        inside = (scores.bins >= first) & (scores.bins + 1 <= last)
        peak = find_peak(EvidenceCurve(scores.evidence[inside].sum(0), scores.offsets_ms), 200.0)
        offset_ms = 0.0 if peak is None else peak.offset_ms
        segments.append(OffsetSegment(start_s, start_s + CLIP_S, -offset_ms, 0.0))
    wav = apply_offset(clip.wav, Truth("jumps", tuple(segments)))
    return clip._replace(source="real, levelled", wav=wav)


def rendered_clips(model: SyncModel, folder: Path, count: int) -> Iterator[Clip]:
    """Yield clips of rendered speech; render and prepare those that do not exist in `folder`."""
    store, videos = folder / "rendered_store", folder / "rendered"
    videos.mkdir(parents=True, exist_ok=True)
    for seed in list(SEEDS)[:count]:
        if not (videos / f"s{seed}.mkv").exists():
            path = videos / f"s{seed}.mkv"
            render_clip(path, seed, LENGTH_S, size=(320, 240), sample_rate=SAMPLE_RATE)
    if not store.exists():
        prepare(videos, store)
    for clip in list(Store(store))[:count]:
        crops, video = crops_for(model.spec, clip), videos / Path(clip.source).name
        yield Clip("rendered", crops, np.asarray(clip.wav_16k), (video,))


def write_file(path: Path, files: Iterable[Path], wav: np.ndarray) -> None:
    """Concatenate the frames of files, encode them again and mux them with audio `(N,)`."""
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
