"""A model and a clip in memory -> the scores of each window against the 31 voices around it.

Windows are encoded in blocks, each once; of the voice those stay that the next block still meets.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from avsync.metrics.sync_accuracy import MAX_SHIFT, candidate_windows
from avsync.scoring.embeddings import Entries, each, joined, place_of
from avsync.scoring.engine import SyncModel, to_frames
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

# Windows that are encoded together, and rows of 31 pairs that are compared together.
ENCODED_WINDOWS = 64
COMPARED_ROWS = 8

# The entries of the voice of windows from the first to before the second.
Encode = Callable[[int, int], Entries]


@runtime_checkable
class FeatureModel(Protocol):
    """A sync task that can also cut its windows out of the features of a whole clip."""

    def window_features(self, wav: Tensor, windows: int) -> Tensor: ...
    def encode_features(self, features: Tensor) -> Entries: ...


class ClipBand(NamedTuple):
    """Scores `(n, 31)` of a clip; column c of row i is audio window i + c - 15.

    `video` and `audio` are the windows' embeddings `(n, D)`, None where a model's entries are more
    than a vector.
    """

    band: Tensor
    video: Tensor | None
    audio: Tensor | None


def window_count(window: int, crops: np.ndarray, wav: np.ndarray) -> int:
    """Return the windows that the public evaluation counts: frames with frame and audio, less a window
    of `window` frames (the last possible one is left out).
    """
    return min(len(crops), len(wav) // SAMPLES_PER_FRAME) - window


@torch.inference_mode()
def clip_band(
    model: SyncModel,
    crops: np.ndarray,
    wav: np.ndarray,
    truth_ms: float = 0.0,
    empty_windows: bool = True,
) -> ClipBand:
    """Score every window of a clip with the voice of every window up to 15 frames away.

    Args:
        model: a sync task in eval mode.
        crops: `(T, H, W, 3)` uint8 in the geometry that `model.spec` declares.
        wav: `(N,)` at 16 kHz, from the first crop on.
        truth_ms: offset of the clip, taken off first; positive = the audio leads.
        empty_windows: as the public evaluation has it: windows are cut out of the features of the
            whole clip, and features of zeros stand in for those outside it. Otherwise, and for a
            model that is no `FeatureModel`, the audio of each window is cut out, with silence
            beyond the clip's ends, and the score against a window outside is NaN.
    """
    window = model.spec.window_frames
    count = window_count(window, crops, wav)
    if count < 1:
        raise ValueError(f"a clip must have over {window} frames, got {len(crops)}")
    place, audio = place_of(model), WavInMemory(wav)
    if empty_windows and isinstance(model, FeatureModel):
        voice = _Voice(count, *_from_features(model, audio, count, truth_ms))
    else:
        voice = _Voice(count, _cut_out(model, audio, truth_ms))
    rows: list[Tensor] = []
    seen: list[Tensor] = []
    heard: list[Tensor] = []
    for start in range(0, count, ENCODED_WINDOWS):
        stop = min(start + ENCODED_WINDOWS, count)
        # A copy: torch takes nothing that is mapped from disk to be read only.
        frames = to_frames(np.array(crops[start : stop + window - 1]))
        frames = frames.to(place.device, place.dtype)
        lips = each(lambda embeddings: embeddings[0], model.encode_video(frames))
        rows += _compare(model, lips, voice, start, stop)
        if isinstance(lips, Tensor) and lips.ndim == 2:
            seen.append(lips.float().cpu())
            heard.append(voice.part(start, stop).float().cpu())
    if not seen:
        return ClipBand(torch.cat(rows), None, None)
    return ClipBand(torch.cat(rows), torch.cat(seen), torch.cat(heard))


class WavInMemory:
    """Audio `(N,)` at 16 kHz that lies in memory, as the engine asks for it: by time, with silence
    beyond its ends.
    """

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


class _Voice:
    """The entries of a clip's voice, encoded once as the windows move on.

    Args:
        count: windows of the clip.
        encode: gives the entries of some of them.
        empty: the entry `(1, ...)` of a window without audio; None where such are barred.
    """

    def __init__(self, count: int, encode: Encode, empty: Entries | None = None) -> None:
        self.count, self.encode, self.empty = count, encode, empty
        self.first = self.end = 0
        self.embeddings: Entries | None = None

    def around(self, start: int, stop: int) -> Entries:
        """Return the entries that windows from start to stop meet, from `first` on; the empty one last."""
        low, high = max(0, start - MAX_SHIFT), min(self.count, stop + MAX_SHIFT)
        if self.embeddings is None:
            self.embeddings = self.encode(low, high)
        else:
            drop = low - self.first
            kept = each(lambda embeddings: embeddings[drop:], self.embeddings)
            if high > self.end:
                self.embeddings = joined(kept, self.encode(self.end, high))
            else:
                self.embeddings = kept
        self.first, self.end = low, high
        last = each(lambda e: e[:1], self.embeddings) if self.empty is None else self.empty
        return joined(self.embeddings, last)

    def part(self, start: int, stop: int) -> Entries:
        """Return the entries from start to stop, which lie among those asked for last."""
        return each(
            lambda embeddings: embeddings[start - self.first : stop - self.first], self.embeddings
        )


def _compare(model: SyncModel, lips: Entries, voice: _Voice, start: int, stop: int) -> list[Tensor]:
    """Score of the windows from start to stop, some rows `(r, 31)` at a time."""
    table = voice.around(start, stop)
    index = candidate_windows(voice.count)[start:stop]
    inside = (index >= 0) & (index < voice.count)
    rows, row = [], 0
    while row < stop - start:
        end = _rows_together(inside, row)
        here = inside[row]
        places = index[row:end, here] - voice.first
        empty = voice.empty is not None and not bool(here.all())
        if empty:
            # Candidates outside the clip are all the same: compared once.
            places = F.pad(places, (0, 1), value=-1)
        scores = _grid(model, lips, table, slice(row, end), places)
        band = torch.full((end - row, len(here)), torch.nan)
        if empty:
            band[:] = scores[:, -1:]
        band[:, here] = scores[:, : int(here.sum())]
        rows.append(band)
        row = end
    return rows


def _rows_together(inside: Tensor, row: int) -> int:
    """Return where the rows end that have all their candidates, as `row` has; rows at the clip's ends,
    which have not, stand alone.
    """
    whole, end = inside.all(1), row + 1
    while end < min(len(inside), row + COMPARED_ROWS) and whole[row] and whole[end]:
        end += 1
    return end


def _grid(model: SyncModel, lips: Entries, table: Entries, rows: slice, places: Tensor) -> Tensor:
    """Score `(r, K)` of some rows of lips with the entries of the table at `places` `(r, K)`."""
    one = each(lambda embeddings: embeddings[rows, None], lips)
    wanted = places.to(place_of(model).device)
    return model.compare(one, each(lambda embeddings: embeddings[wanted], table)).float().cpu()


def _from_features(
    model: FeatureModel, audio: WavInMemory, count: int, truth_ms: float
) -> tuple[Encode, Entries]:
    wav = audio.window(-truth_ms / 1000, audio.end_s - truth_ms / 1000)
    features = model.window_features(_batch(wav, model), count)[0]
    empty = model.encode_features(torch.zeros_like(features[:1]))
    return lambda first, end: model.encode_features(features[first:end]), empty


def _cut_out(model: SyncModel, audio: WavInMemory, truth_ms: float) -> Encode:
    spec = model.spec
    # Whole frames of margin: a model that rounds starts to its hop does so alike everywhere.
    before = max(0, math.ceil(-spec.audio_from_s * FPS))

    def encode(first: int, end: int) -> Entries:
        begin_s = (first - before) / FPS - truth_ms / 1000
        starts_s = torch.arange(before, before + end - first) / FPS
        wav = audio.window(begin_s, begin_s + float(starts_s[-1]) + spec.audio_until_s + 1 / FPS)
        encoded = model.encode_audio(_batch(wav, model), starts_s)
        return each(lambda embeddings: embeddings[0], encoded)

    return encode


def _batch(wav: np.ndarray, model: object) -> Tensor:
    return torch.from_numpy(wav)[None].to(place_of(model).device)
