"""Encode-once engine: encode every window of frames and audio once, then compare over all offsets.

It streams: crops come in tick by tick, audio is read as it is needed, and what stays is a row of
evidence per bin of `BIN_WINDOWS` windows, whatever the length of the file.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsync.scoring.audio_embeddings import (
    AudioEmbeddings,
    AudioEncoder,
    AudioSource,
    OffsetStep,
)
from avsync.scoring.embeddings import (
    AnalysingModel,
    Embeddings,
    SyncModel,
    concatenate_embeddings,
    count_embeddings,
    device_and_dtype,
    size_in_bytes,
    tree_map,
)
from avsync.scoring.encoding_threads import analyse, frames_to_analyse, suitable_threads
from avsync.scoring.score_sums import TrackScores, TrackSums, crop_motion

# Ticks that are encoded together: large enough to fill the cores, small enough for any memory.
# Fewer where the crops are large.
BLOCK_TICKS = 250
BLOCK_BYTES = 2**24
# Windows that are compared together, each with every offset; fewer where the embeddings of their
# audio are large.
COMPARED_WINDOWS = 50
COMPARED_BYTES = 2**26


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
        reach_s: largest offset of the evidence by which a face is decided.
        on_block: called with the number of ticks done after each block, for a progress bar.
        out_of_range_s: if larger than `reach_s`, the largest offset of the `wide` evidence of each
            track, for the out-of-range test and for jumps beyond the search range.
    """
    (scores,) = score_audio_streams(model, ticks, [audio], reach_s, on_block, out_of_range_s)
    return scores


def score_audio_streams(
    model: SyncModel,
    ticks: Iterable[CroppedTick],
    streams: Sequence[AudioSource],
    reach_s: float,
    on_block: Callable[[int], None] | None = None,
    out_of_range_s: float = 0.0,
) -> list[FileScores]:
    """Score every face against each of several audio streams, as `score_tracks` does for one.

    The video is read and encoded once. Blocks of audio that are equal in several streams, such as
    silence and copies of a track, are encoded once too.

    Returns:
        The scores of each stream, in their order.
    """
    with suitable_threads(model) as threads:
        engine = _Engine(model, streams, reach_s, max(out_of_range_s, reach_s), threads)
        ticks_done = engine.score(ticks, on_block)
        return engine.results(ticks_done)


def to_frames(crops: np.ndarray) -> Tensor:
    """Map crops `(T, H, W, 3)` uint8 to frames `(1, 3, T, H, W)` in [0, 1]."""
    return torch.from_numpy(crops).permute(3, 0, 1, 2)[None].float() / 255


def window_evidence(scores: Tensor, known: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract from scores each window's mean over the offsets of a reference range.

    Args:
        scores: `(W, F)` of W windows at F offsets.
        known: `(W, F)` bool, whether there is audio at that offset.
        reference: `(F,)` bool, offsets over which the mean is taken.

    Returns:
        Evidence `(W, F)`; 0 where unknown, and for windows of which no offset of the range is
        known. The logarithm `(W,)` of the mean of its exponential over the range.
    """
    averaged = known & reference
    count = averaged.sum(1, keepdim=True)
    mean = scores.masked_fill(~averaged, 0).sum(1, keepdim=True) / count.clamp_min(1)
    evidence = (scores - mean).masked_fill(~known | (count == 0), 0)
    total = evidence.masked_fill(~averaged, -torch.inf).logsumexp(1)
    normalisers = torch.where(count[:, 0] > 0, total - count[:, 0].clamp_min(1).log(), 0.0)
    return evidence, normalisers


class _Engine:
    """State of `score_audio_streams`: crops that wait to be scored, and each stream's scores."""

    def __init__(
        self,
        model: SyncModel,
        streams: Sequence[AudioSource],
        reach_s: float,
        out_of_range_s: float,
        threads: int,
    ) -> None:
        self.threads = threads
        self.model, self.spec, self.step = model, model.spec, OffsetStep(model.spec.step_ms)
        self.device, self.dtype = device_and_dtype(model)
        encoder = AudioEncoder(model, shared=len(streams) > 1)
        self.streams = [_Stream(AudioEmbeddings(encoder, audio)) for audio in streams]
        self.stride = model.analysis_stride if isinstance(model, AnalysingModel) else 1
        # A frame that is not analysed depends on the two nearest that are, before it and after it.
        reach = 2 * self.stride - 1 if self.stride > 1 else 0
        self.context = self.spec.context_frames + reach
        reach, widest = (round(s / self.step.seconds) for s in (reach_s, out_of_range_s))
        self.steps = torch.arange(-widest, widest + 1)
        self.near = self.steps.abs() <= reach
        self.pending: dict[int, _PendingCrops] = {}
        crop_bytes = 3 * self.spec.height * self.spec.width
        self.block_ticks = min(BLOCK_TICKS, max(1, BLOCK_BYTES // crop_bytes))

    def score(
        self, ticks: Iterable[CroppedTick], on_block: Callable[[int], None] | None = None
    ) -> int:
        """Score the faces of all ticks, and return the number of ticks up to the last one."""
        number = -1
        for tick in ticks:
            if tick.number > number + 1:
                self.flush()
            number, crops = tick
            for track, crop in crops.items():
                self.add_crop(track, number, crop)
            if (number + 1) % self.block_ticks == 0:
                self.score_block()
                if on_block:
                    on_block(number + 1)
        self.flush()
        return number + 1

    @torch.inference_mode()
    def add_crop(self, track: int, number: int, crop: np.ndarray) -> None:
        pending = self.pending.get(track)
        if pending is not None and pending.end != number:
            # The face was lost for a while: no window reaches over the gap.
            self._score(track, pending, ended=True)
            pending = None
        if pending is None:
            pending = self.pending[track] = _PendingCrops(number, number, [])
        pending.crops.append(crop)
        for stream in self.streams:
            stream.sums.setdefault(track, TrackSums(number, self.near)).last_tick = number

    @torch.inference_mode()
    def score_block(self) -> None:
        """Score all windows that are complete; keep the crops that the next windows need."""
        done = max((pending.end for pending in self.pending.values()), default=0)
        for track, pending in self.pending.items():
            self._score(track, pending, ended=pending.end < done)
        self.pending = {
            track: pending.tail(self.context)
            for track, pending in self.pending.items()
            if pending.end == done  # others have ended
        }
        for stream in self.streams:
            stream.audio.forget(self._earliest_step(done))

    @torch.inference_mode()
    def flush(self) -> None:
        """Score what is pending before missing ticks: the audio in between is not encoded."""
        for track, pending in self.pending.items():
            self._score(track, pending, ended=True)
        self.pending = {}

    def results(self, ticks: int) -> list[FileScores]:
        offsets_ms = self.step.ms * self.steps.numpy().astype(np.float64)
        return [
            FileScores(
                {track: sums.result(offsets_ms) for track, sums in stream.sums.items()},
                stream.audio.levels(ticks),
            )
            for stream in self.streams
        ]

    def _earliest_step(self, default: int) -> int:
        """Return the first step of audio that a pending window may need."""
        start = min((pending.next for pending in self.pending.values()), default=default)
        return self.step.per_frame * start - int(self.steps[-1])

    def _score(self, track: int, pending: "_PendingCrops", ended: bool) -> None:
        """Score the windows whose context is complete; all that are left, if the track ended."""
        length, context = self.spec.window_frames, self.context
        first, end = pending.next, pending.end - length + 1 - (0 if ended else context)
        if end <= first:
            return
        crops = np.stack(pending.between(first - context, end + length - 1 + context))
        skip = first - max(first - context, pending.start)
        seen = self.streams[0].sums[track].first_tick
        encoded = self._encode(crops, pending, max(first - context, pending.start), ended, seen)
        video = tree_map(lambda tensor: tensor[0, skip : skip + end - first], encoded)
        motion = crop_motion(crops[skip : skip + end - first + length - 1])
        for stream in self.streams:
            sums = stream.sums[track]
            sums.add_motion(first, motion)
            self._score_stream(stream.audio, sums, first, video)
        pending.next = end

    def _encode(
        self, crops: np.ndarray, pending: "_PendingCrops", start: int, ended: bool, seen: int
    ) -> Embeddings:
        """Encode crops from tick `start` on, with the pending analysis of those that have one.

        The face was first `seen` at that tick.
        """
        model = self.model
        if not isinstance(model, AnalysingModel):
            return model.encode_video(to_frames(crops).to(self.device, self.dtype))
        # Bytes, since only parts of the frames are converted, a few at a time.
        frames = torch.from_numpy(crops).permute(3, 0, 1, 2)[None].to(self.device)
        known = pending.known(start)
        done = 0 if known is None else count_embeddings(known)
        chosen = frames_to_analyse(
            start + done, len(crops) - done, self.stride, known is None, ended, seen
        )
        analysis = analyse(model, frames[:, :, done:], chosen, self.threads)
        if known is not None:
            analysis = concatenate_embeddings(known, analysis)
        # The last frame may turn out to be the track's last one, which is always analysed.
        kept = len(crops) - int(chosen.flip(0).long().argmax()) if chosen.any() else done
        pending.analysis = tree_map(lambda tensor: tensor[:kept], analysis)
        pending.analysis_start = start
        return model.encode_video(frames, tree_map(lambda tensor: tensor[None], analysis))

    def _score_stream(
        self, stream: AudioEmbeddings, sums: TrackSums, start: int, video: Embeddings
    ) -> None:
        """Score the windows of a track from tick `start` on against one stream."""
        windows, per_frame = count_embeddings(video), self.step.per_frame
        first = per_frame * start - int(self.steps[-1])
        last = per_frame * (start + windows - 1) - int(self.steps[0])
        audio, known = stream.between(first, last, self._earliest_step(start))
        window_bytes = size_in_bytes(audio) // count_embeddings(audio) * len(self.steps)
        chunk = max(1, min(COMPARED_WINDOWS, COMPARED_BYTES // window_bytes))
        for low in range(0, windows, chunk):
            high = min(low + chunk, windows)
            # Audio that leads by k steps starts k steps before the frame.
            starts = per_frame * torch.arange(low, high)
            index = starts[:, None] - self.steps + int(self.steps[-1])
            scores = self._compare(video, audio, low, index).float().cpu()
            sums.add_scores(start + low, *window_evidence(scores, known[index], self.near))

    def _compare(self, video: Embeddings, audio: Embeddings, low: int, index: Tensor) -> Tensor:
        """Score windows from `low` on, each with the audio of its row of `index` `(W, K)`."""
        index = index.to(self.device)
        windows = tree_map(lambda tensor: tensor[low : low + len(index), None], video)
        return self.model.compare(windows, tree_map(lambda tensor: tensor[index], audio))


@dataclass
class _PendingCrops:
    """Consecutive crops of one track that wait to be scored.

    `start` is the first one's tick, `next` that of the first window that is not scored yet.
    `analysis` is that of the crops that were encoded last, from tick `analysis_start` on.
    """

    start: int
    next: int
    crops: list[np.ndarray]
    analysis: Embeddings | None = None
    analysis_start: int = 0

    @property
    def end(self) -> int:
        return self.start + len(self.crops)

    def between(self, first: int, end: int) -> list[np.ndarray]:
        """Return the crops at ticks first to end - 1, as far as there are any."""
        return self.crops[max(first - self.start, 0) : max(end - self.start, 0)]

    def tail(self, context: int) -> "_PendingCrops":
        """Return what the next windows need, with `context` crops before them."""
        start = max(self.start, self.next - context)
        known = self.known(start)
        return _PendingCrops(start, self.next, self.between(start, self.end), known, start)

    def known(self, start: int) -> Embeddings | None:
        """Return the analysis of the crops from tick `start` on, as far as there is one."""
        if self.analysis is None:
            return None
        # A copy: a view would keep the memory of all frames.
        skip = max(start - self.analysis_start, 0)
        return tree_map(lambda tensor: tensor[skip:].clone(), self.analysis)


@dataclass
class _Stream:
    """State of one audio stream: its embeddings, and the sums of the tracks."""

    audio: AudioEmbeddings
    sums: dict[int, TrackSums] = field(default_factory=dict)
