"""Encode-once engine: encode every window of frames and audio once, then compare over all offsets.

It streams: crops come in tick by tick, audio is read as it is needed, and what stays is a row of
evidence per bin of `BIN_WINDOWS` windows, whatever the length of the file.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from avsync.scoring.embeddings import (
    Embeddings,
    concatenate_embeddings,
    count_embeddings,
    device_and_dtype,
    size_in_bytes,
    tree_map,
)
from avsync.scoring.score_sums import TrackScores, TrackSums
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FRAME_MS, SAMPLE_RATE, exact_div

# Ticks that are encoded together: large enough to fill the cores, small enough for any memory.
BLOCK_TICKS = 250
# Windows that are compared together, each with every offset; fewer where the embeddings of their
# audio are large.
COMPARED_WINDOWS = 50
COMPARED_BYTES = 2**26
# The attributes of a `SyncModel`.
SYNC_CONTRACT = ("spec", "encode_video", "encode_audio", "compare")


class SyncModel(Protocol):
    """Contract of a sync task; docs/house.md gives the shapes."""

    spec: ClipSpec

    def encode_video(self, frames: Tensor) -> Embeddings: ...
    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Embeddings: ...
    def compare(self, video: Embeddings, audio: Embeddings) -> Tensor: ...


class AudioSource(Protocol):
    """Mono audio at 16 kHz, read by time; `end_s` is None until the end has been read."""

    def window(self, start_s: float, end_s: float) -> np.ndarray: ...
    @property
    def end_s(self) -> float | None: ...


class CroppedTick(NamedTuple):
    """Tick `number` of the 25 Hz clock, with the crops `(H, W, 3)` uint8 of its faces by track."""

    number: int
    crops: Mapping[int, np.ndarray]


class FileScores(NamedTuple):
    """Scores of a file's tracks by number, and its audio's level in dB of full scale by tick.

    The level is NaN where no face needed audio.
    """

    tracks: dict[int, TrackScores]
    level_db: np.ndarray


def score_tracks(
    model: SyncModel,
    ticks: Iterable[CroppedTick],
    audio: AudioSource,
    reach_s: float,
    on_block: Callable[[int], None] | None = None,
    out_of_range_s: float = 0.0,
) -> FileScores:
    """Score every face at every offset within `reach_s` seconds to both sides.

    Args:
        model: a sync task in eval mode.
        ticks: crops in order; numbers may be missing.
        audio: the file's audio on the video's clock.
        reach_s: largest offset that is scored bin by bin.
        on_block: called with the number of ticks done after each block, for a progress bar.
        out_of_range_s: if larger than `reach_s`, the largest offset of the `wide_curve` of each
            track, for the out-of-range test.
    """
    engine = _Engine(model, audio, reach_s, max(out_of_range_s, reach_s))
    number = -1
    for tick in ticks:
        if tick.number > number + 1:
            engine.flush()
        number, crops = tick
        for track, crop in crops.items():
            engine.add_crop(track, number, crop)
        if (number + 1) % BLOCK_TICKS == 0:
            engine.score_block()
            if on_block:
                on_block(number + 1)
    engine.score_block()
    return engine.result(ticks=number + 1)


def level_db(wav: np.ndarray, samples: int) -> np.ndarray:
    """Return the level of blocks of `samples` of a waveform, in dB of full scale.

    Args:
        wav: `(N,)`; a last block that is not full is dropped.
        samples: length of a block.

    Returns:
        `(N // samples,)`.
    """
    blocks = wav[: len(wav) // samples * samples].reshape(-1, samples)
    return 10 * np.log10((blocks.astype(np.float64) ** 2).mean(1) + 1e-12)


def to_frames(crops: np.ndarray) -> Tensor:
    """Map crops `(T, H, W, 3)` uint8 to frames `(1, 3, T, H, W)` in [0, 1]."""
    return torch.from_numpy(crops).permute(3, 0, 1, 2)[None].float() / 255


def window_evidence(scores: Tensor, known: Tensor, reference: Tensor) -> Tensor:
    """Subtract from scores each window's mean over the offsets of a reference range.

    Args:
        scores: `(W, F)` of W windows at F offsets.
        known: `(W, F)` bool, whether there is audio at that offset.
        reference: `(F,)` bool, offsets over which the mean is taken.

    Returns:
        `(W, F)`; 0 where unknown, and for windows of which no offset of the range is known.
    """
    averaged = known & reference
    count = averaged.sum(1, keepdim=True)
    mean = scores.masked_fill(~averaged, 0).sum(1, keepdim=True) / count.clamp_min(1)
    return (scores - mean).masked_fill(~known | (count == 0), 0)


class OffsetStep(NamedTuple):
    """Distance between the offsets that are scored."""

    ms: int

    @property
    def seconds(self) -> float:
        return self.ms / 1000

    @property
    def per_frame(self) -> int:
        return exact_div(FRAME_MS, self.ms)

    @property
    def samples(self) -> int:
        return exact_div(SAMPLE_RATE * self.ms, 1000)


class _Engine:
    """State of `score_tracks`: crops that wait to be scored, audio embeddings, and sums."""

    def __init__(
        self, model: SyncModel, audio: AudioSource, reach_s: float, out_of_range_s: float
    ) -> None:
        self.model, self.spec, self.step = model, model.spec, OffsetStep(model.spec.step_ms)
        self.device, self.dtype = device_and_dtype(model)
        self.audio = _AudioEmbeddings(model, audio)
        reach, widest = (round(s / self.step.seconds) for s in (reach_s, out_of_range_s))
        self.steps = torch.arange(-widest, widest + 1)
        self.by_bin = self.steps.abs() <= reach
        self.pending: dict[int, _PendingCrops] = {}
        self.sums: dict[int, TrackSums] = {}

    @torch.inference_mode()
    def add_crop(self, track: int, number: int, crop: np.ndarray) -> None:
        pending = self.pending.get(track)
        if pending is not None and pending.end != number:
            # The face was lost for a while: no window reaches over the gap.
            self._score(pending, self.sums[track])
            pending = None
        if pending is None:
            pending = self.pending[track] = _PendingCrops(number, [])
        pending.crops.append(crop)
        self.sums.setdefault(track, TrackSums(number, self.by_bin)).last_tick = number

    @torch.inference_mode()
    def score_block(self) -> None:
        """Score all windows that are complete; keep the crops that the next windows overlap."""
        for track, pending in self.pending.items():
            self._score(pending, self.sums[track])
        done = max((pending.end for pending in self.pending.values()), default=0)
        overlap = self.spec.window_frames - 1
        self.pending = {
            track: pending.tail(overlap)
            for track, pending in self.pending.items()
            if pending.end == done  # others have ended
        }
        self.audio.forget(self._earliest_step(done))

    def flush(self) -> None:
        """Score what is pending before missing ticks: the audio in between is not encoded."""
        self.score_block()
        self.pending = {}

    def result(self, ticks: int) -> FileScores:
        offsets_ms = self.step.ms * self.steps.numpy().astype(np.float64)
        tracks = {track: sums.result(offsets_ms) for track, sums in self.sums.items()}
        return FileScores(tracks, self.audio.levels(ticks))

    def _earliest_step(self, default: int) -> int:
        """Return the first step of audio that a pending window may need."""
        start = min((pending.start for pending in self.pending.values()), default=default)
        return self.step.per_frame * start - int(self.steps[-1])

    def _score(self, pending: "_PendingCrops", sums: TrackSums) -> None:
        if len(pending.crops) < self.spec.window_frames:
            return
        crops = np.stack(pending.crops)
        sums.add_motion(pending.start, crops)
        frames = to_frames(crops).to(self.device, self.dtype)
        video = tree_map(lambda tensor: tensor[0], self.model.encode_video(frames))
        windows, per_frame = count_embeddings(video), self.step.per_frame
        first = per_frame * pending.start - int(self.steps[-1])
        last = per_frame * (pending.start + windows - 1) - int(self.steps[0])
        audio, known = self.audio.between(first, last, self._earliest_step(pending.start))
        window_bytes = size_in_bytes(audio) // count_embeddings(audio) * len(self.steps)
        chunk = max(1, min(COMPARED_WINDOWS, COMPARED_BYTES // window_bytes))
        for low in range(0, windows, chunk):
            high = min(low + chunk, windows)
            # Audio that leads by k steps starts k steps before the frame.
            starts = per_frame * torch.arange(low, high)
            index = starts[:, None] - self.steps + int(self.steps[-1])
            scores = self._compare(video, audio, low, index).float().cpu()
            evidence = window_evidence(scores, known[index], self.by_bin)
            sums.add_scores(pending.start + low, evidence)

    def _compare(self, video: Embeddings, audio: Embeddings, low: int, index: Tensor) -> Tensor:
        """Score windows from `low` on, each with the audio of its row of `index` `(W, K)`."""
        index = index.to(self.device)
        windows = tree_map(lambda tensor: tensor[low : low + len(index), None], video)
        return self.model.compare(windows, tree_map(lambda tensor: tensor[index], audio))


@dataclass
class _PendingCrops:
    """Consecutive crops of one track that wait to be scored; `start` is the first one's tick."""

    start: int
    crops: list[np.ndarray]

    @property
    def end(self) -> int:
        return self.start + len(self.crops)

    def tail(self, count: int) -> "_PendingCrops":
        keep = min(count, len(self.crops))
        return _PendingCrops(self.end - keep, self.crops[len(self.crops) - keep :])


class _AudioEmbeddings:
    """Sliding buffer of the audio's embeddings at every step, each encoded once."""

    def __init__(self, model: SyncModel, audio: AudioSource) -> None:
        self.model, self.spec, self.audio = model, model.spec, audio
        self.step, self.device = OffsetStep(model.spec.step_ms), device_and_dtype(model).device
        self.first = 0
        self.embeddings: Embeddings | None = None
        self.levels_db: dict[int, np.ndarray] = {}

    def between(self, first: int, last: int, earliest: int) -> tuple[Embeddings, Tensor]:
        """Return embeddings `(n, ...)` at steps first to last, and whether `(n,)` they are known.

        Known are those whose audio lies wholly inside the file. Steps from `earliest` on are kept
        until they are forgotten.
        """
        if self.embeddings is None or earliest > self.first + count_embeddings(self.embeddings):
            self.first, self.embeddings = earliest, self._encode(earliest, last)
        elif last >= (end := self.first + count_embeddings(self.embeddings)):
            self.embeddings = concatenate_embeddings(self.embeddings, self._encode(end, last))
        start = first - self.first
        stop = start + last - first + 1
        starts_s, half_s = torch.arange(first, last + 1) * self.step.seconds, self.step.seconds / 2
        known: Tensor = starts_s + self.spec.audio_from_s > -half_s
        if self.audio.end_s is not None:
            known &= starts_s + self.spec.audio_until_s < self.audio.end_s + half_s
        return tree_map(lambda tensor: tensor[start:stop], self.embeddings), known

    def forget(self, before: int) -> None:
        """Free the embeddings before a step."""
        if self.embeddings is not None and before > self.first:
            # A copy: a view would keep the memory of the whole tensor.
            skip = before - self.first
            self.embeddings = tree_map(lambda tensor: tensor[skip:].clone(), self.embeddings)
            self.first = before

    def levels(self, ticks: int) -> np.ndarray:
        """Return the level at every tick in dB of full scale, NaN where audio was not needed."""
        steps = np.full(ticks * self.step.per_frame, np.nan)
        for first, level in self.levels_db.items():
            low, high = max(first, 0), min(first + len(level), len(steps))
            steps[low:high] = level[low - first : max(low, high) - first]
        return steps.reshape(ticks, self.step.per_frame).max(1)

    def _encode(self, first: int, last: int) -> Embeddings:
        step = self.step
        begin_s = first * step.seconds + self.spec.audio_from_s
        end_s = last * step.seconds + self.spec.audio_until_s
        # One step more at the end: rounding of seconds to samples must not cost the last window.
        wav = self.audio.window(begin_s, end_s + step.seconds)
        self.levels_db[first] = level_db(wav[: (last - first + 1) * step.samples], step.samples)
        starts_s = torch.arange(last - first + 1) * step.seconds - self.spec.audio_from_s
        batch = torch.from_numpy(wav)[None].to(self.device)
        return tree_map(lambda tensor: tensor[0], self.model.encode_audio(batch, starts_s))
