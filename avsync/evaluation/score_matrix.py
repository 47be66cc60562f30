"""Score a clip in memory: each window against the audio of the 31 windows around it.

The result is the band of the score matrix that the published evaluations use. Windows are encoded
in blocks, each once; audio embeddings that the next block needs are kept.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from avsync.metrics.sync_accuracy import MAX_SHIFT, candidate_windows
from avsync.scoring.embeddings import (
    Embeddings,
    SyncModel,
    concatenate_embeddings,
    device_and_dtype,
    tree_map,
)
from avsync.scoring.engine import to_frames
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

# Windows that are encoded together, and rows of 31 pairs that are compared together.
ENCODED_WINDOWS = 64
COMPARED_ROWS = 8

# Maps (first, end) to the audio embeddings of windows first to end - 1.
Encode = Callable[[int, int], Embeddings]


@runtime_checkable
class FeatureModel(Protocol):
    """Sync task that can also cut its windows out of the features of a whole clip."""

    def window_features(self, wav: Tensor, windows: int) -> Tensor: ...
    def encode_features(self, features: Tensor) -> Embeddings: ...


class ScoreBand(NamedTuple):
    """Band of the score matrix of a clip, and its embeddings.

    Args:
        band: scores `(n, 31)`; column c of row i is audio window i + c - 15.
        video: embeddings `(n, D)` of the windows' frames; None for models whose embeddings are
            not vectors.
        audio: embeddings `(n, D)` of the windows' audio, likewise.
    """

    band: Tensor
    video: Tensor | None
    audio: Tensor | None


def window_count(window: int, crops: np.ndarray, wav: np.ndarray) -> int:
    """Return the number of windows of a clip that the public evaluation counts.

    Frames that have audio, less `window`: the last possible window is left out.
    """
    return min(len(crops), len(wav) // SAMPLES_PER_FRAME) - window


@torch.inference_mode()
def score_clip_band(
    model: SyncModel,
    crops: np.ndarray,
    wav: np.ndarray,
    truth_ms: float = 0.0,
    empty_windows: bool = True,
) -> ScoreBand:
    """Score every window of a clip with the audio of every window up to 15 frames away.

    Args:
        model: a sync task in eval mode.
        crops: `(T, H, W, 3)` uint8 in the geometry that `model.spec` declares.
        wav: `(N,)` at 16 kHz, from the first crop on.
        truth_ms: true offset of the clip, subtracted first; positive = the audio leads.
        empty_windows: cut windows as the public evaluation does: out of the features of the whole
            clip, with features of zeros for those outside it. Otherwise, and for a model that is
            no `FeatureModel`, the audio of each window is cut out, with silence beyond the clip's
            ends, and the score against a window outside is NaN.
    """
    window = model.spec.window_frames
    count = window_count(window, crops, wav)
    if count < 1:
        raise ValueError(f"a clip must have over {window} frames, got {len(crops)}")
    (device, dtype), source = device_and_dtype(model), WavInMemory(wav)
    if empty_windows and isinstance(model, FeatureModel):
        audio = _AudioWindows(count, *_encode_features(model, source, count, truth_ms))
    else:
        audio = _AudioWindows(count, _encode_audio(model, source, truth_ms))
    rows: list[Tensor] = []
    video_vectors: list[Tensor] = []
    audio_vectors: list[Tensor] = []
    for start in range(0, count, ENCODED_WINDOWS):
        stop = min(start + ENCODED_WINDOWS, count)
        low = max(0, start - model.spec.context_frames)
        # A copy: torch takes no read-only arrays, such as those mapped from disk.
        part = np.array(crops[low : stop + window - 1 + model.spec.context_frames])
        kept = slice(start - low, stop - low)
        encoded = model.encode_video(to_frames(part).to(device, dtype))
        video = tree_map(lambda tensor, kept=kept: tensor[0, kept], encoded)
        rows += _compare(model, video, audio, start, stop)
        if isinstance(video, Tensor) and video.ndim == 2:
            video_vectors.append(video.float().cpu())
            audio_vectors.append(audio.part(start, stop).float().cpu())
    if not video_vectors:
        return ScoreBand(torch.cat(rows), None, None)
    return ScoreBand(torch.cat(rows), torch.cat(video_vectors), torch.cat(audio_vectors))


class WavInMemory:
    """Audio source from a waveform `(N,)` at 16 kHz, with silence beyond its ends."""

    def __init__(self, wav: np.ndarray) -> None:
        self.wav = wav
        self.end_s = len(wav) / SAMPLE_RATE

    def window(self, start_s: float, end_s: float) -> np.ndarray:
        start, end = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
        out = np.zeros(end - start, np.float32)
        low, high = max(start, 0), min(end, len(self.wav))
        if low < high:
            out[low - start : high - start] = self.wav[low:high]
        return out


class _AudioWindows:
    """Sliding buffer of the audio embeddings of a clip's windows, each encoded once.

    Args:
        count: windows of the clip.
        encode: encodes a range of windows.
        empty: embedding `(1, ...)` that stands for windows outside the clip; None to leave these
            out.
    """

    def __init__(self, count: int, encode: Encode, empty: Embeddings | None = None) -> None:
        self.count, self.encode, self.empty = count, encode, empty
        self.first = self.end = 0
        self.embeddings: Embeddings | None = None

    def around(self, start: int, stop: int) -> Embeddings:
        """Return the candidates of windows start to stop, from window `first` on.

        The last row stands for windows outside the clip: the embedding of an empty window; without
        one, a copy of the first row, whose scores are never used.
        """
        low, high = max(0, start - MAX_SHIFT), min(self.count, stop + MAX_SHIFT)
        if self.embeddings is None:
            self.embeddings = self.encode(low, high)
        else:
            drop = low - self.first
            kept = tree_map(lambda tensor: tensor[drop:], self.embeddings)
            if high > self.end:
                self.embeddings = concatenate_embeddings(kept, self.encode(self.end, high))
            else:
                self.embeddings = kept
        self.first, self.end = low, high
        last = self.empty
        if last is None:
            last = tree_map(lambda tensor: tensor[:1], self.embeddings)
        return concatenate_embeddings(self.embeddings, last)

    def part(self, start: int, stop: int) -> Embeddings:
        """Return the embeddings of windows start to stop, a part of the last `around`."""
        low, high = start - self.first, stop - self.first
        return tree_map(lambda tensor: tensor[low:high], self.embeddings)


def _compare(
    model: SyncModel, video: Embeddings, audio: _AudioWindows, start: int, stop: int
) -> list[Tensor]:
    """Score windows start to stop with their candidates, in chunks of rows `(r, 31)`."""
    candidates = audio.around(start, stop)
    index = candidate_windows(audio.count)[start:stop]
    inside = (index >= 0) & (index < audio.count)
    rows, row = [], 0
    while row < stop - start:
        end = _chunk_end(inside, row)
        known = inside[row]
        columns = index[row:end, known] - audio.first
        empty = audio.empty is not None and not bool(known.all())
        if empty:
            # Candidates outside the clip are all the same: compared once.
            columns = F.pad(columns, (0, 1), value=-1)
        scores = _compare_rows(model, video, candidates, slice(row, end), columns)
        band = torch.full((end - row, len(known)), torch.nan)
        if empty:
            band[:] = scores[:, -1:]
        band[:, known] = scores[:, : int(known.sum())]
        rows.append(band)
        row = end
    return rows


def _chunk_end(inside: Tensor, row: int) -> int:
    """Return the end of a chunk of rows from `row` on.

    Rows that have all their candidates are compared together, the others, at the clip's ends, one
    by one.
    """
    whole, end = inside.all(1), row + 1
    while end < min(len(inside), row + COMPARED_ROWS) and whole[row] and whole[end]:
        end += 1
    return end


def _compare_rows(
    model: SyncModel, video: Embeddings, candidates: Embeddings, rows: slice, columns: Tensor
) -> Tensor:
    """Score `(r, K)` of rows of the video with the candidates at `columns` `(r, K)`."""
    windows = tree_map(lambda tensor: tensor[rows, None], video)
    columns = columns.to(device_and_dtype(model).device)
    return (
        model.compare(windows, tree_map(lambda tensor: tensor[columns], candidates)).float().cpu()
    )


def _encode_features(
    model: FeatureModel, audio: WavInMemory, count: int, truth_ms: float
) -> tuple[Encode, Embeddings]:
    """Return an encoder of windows cut out of a clip's features, and the empty embedding."""
    wav = audio.window(-truth_ms / 1000, audio.end_s - truth_ms / 1000)
    features = model.window_features(_batch(wav, model), count)[0]
    empty = model.encode_features(torch.zeros_like(features[:1]))
    return lambda first, end: model.encode_features(features[first:end]), empty


def _encode_audio(model: SyncModel, audio: WavInMemory, truth_ms: float) -> Encode:
    """Return an encoder of windows whose audio is cut out."""
    spec = model.spec
    # A margin of whole frames: models that round starts to their hop then round all equally.
    context_s = spec.audio_context_s
    before = max(0, math.ceil((context_s - spec.audio_from_s) * FPS))

    def encode(first: int, end: int) -> Embeddings:
        begin_s = (first - before) / FPS - truth_ms / 1000
        starts_s = torch.arange(before, before + end - first) / FPS
        end_s = begin_s + float(starts_s[-1]) + spec.audio_until_s + context_s + 1 / FPS
        wav = audio.window(begin_s, end_s)
        encoded = model.encode_audio(_batch(wav, model), starts_s)
        return tree_map(lambda tensor: tensor[0], encoded)

    return encode


def _batch(wav: np.ndarray, model: object) -> Tensor:
    return torch.from_numpy(wav)[None].to(device_and_dtype(model).device)
