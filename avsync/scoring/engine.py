"""The encode-once engine: every window of frame and audio is encoded once, then compared over the
search range.

It streams: crops come in tick by tick, audio is asked for as it is needed, and what stays is a row
of scores per bin of `BIN_WINDOWS` windows, whatever the length of the file.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from avsync.scoring.embeddings import Entries, bytes_of, count, each, joined, place_of
from avsync.scoring.score_sums import TrackScores, TrackSums
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FRAME_MS, SAMPLE_RATE, exact_div

# Ticks that are encoded together: large enough to fill the cores, small enough for any memory.
BLOCK_TICKS = 250
# Windows that are compared together, each with every offset; fewer where the entries of their audio
# are large.
COMPARED_WINDOWS = 50
COMPARED_BYTES = 2**26


class Step(NamedTuple):
    """The distance between the offsets that are tried."""

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


# The attributes of a `SyncModel`.
SYNC_CONTRACT = ("spec", "encode_video", "encode_audio", "compare")


class SyncModel(Protocol):
    """What the engine asks of a task; shapes are in DESIGN's contract of a sync task."""

    spec: ClipSpec

    def encode_video(self, frames: Tensor) -> Entries: ...
    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Entries: ...
    def compare(self, video: Entries, audio: Entries) -> Tensor: ...


class CroppedTick(NamedTuple):
    """Tick `number` of the steady clock and the crops `(H, W, 3)` uint8 of the faces in it, by
    track.
    """

    number: int
    crops: Mapping[int, np.ndarray]


class Scores(NamedTuple):
    """What `score_tracks` found: tracks by number, and the audio's level in dB of full scale at
    every tick.

    The level is NaN where no face called for audio.
    """

    tracks: dict[int, TrackScores]
    level_db: np.ndarray


class Sound(Protocol):
    """Mono audio at 16 kHz that can be asked for by time; `end_s` is None until the end has been
    read.
    """

    def window(self, start_s: float, end_s: float) -> np.ndarray: ...
    @property
    def end_s(self) -> float | None: ...


def score_tracks(
    model: SyncModel,
    ticks: Iterable[CroppedTick],
    audio: Sound,
    reach_s: float,
    on_block: Callable[[int], None] | None = None,
    out_of_range_s: float = 0.0,
) -> Scores:
    """Score every face at every offset within `reach_s` seconds to both sides.

    Args:
        model: a sync task in eval mode.
        ticks: crops in order; numbers may be missing.
        audio: the file's audio on the video's clock.
        reach_s: how far offsets go.
        on_block: told the tick reached after each block, for a progress bar.
        out_of_range_s: where larger than `reach_s`, a track's evidence as a whole is summed this far too.
    """
    engine = _Engine(model, audio, reach_s, max(out_of_range_s, reach_s))
    number = -1
    for tick in ticks:
        if tick.number > number + 1:
            engine.end_pieces()
        number, crops = tick
        for track, crop in crops.items():
            engine.take(track, number, crop)
        if (number + 1) % BLOCK_TICKS == 0:
            engine.score_block()
            if on_block:
                on_block(number + 1)
    engine.score_block()
    return engine.result(ticks=number + 1)


def level_db(wav: np.ndarray, samples: int) -> np.ndarray:
    """Level of each stretch of `samples` of a waveform `(N,)`, `(N // samples,)` in dB of full
    scale.
    """
    steps = wav[: len(wav) // samples * samples].reshape(-1, samples)
    return 10 * np.log10((steps.astype(np.float64) ** 2).mean(1) + 1e-12)


class _Engine:
    def __init__(
        self, model: SyncModel, audio: Sound, reach_s: float, out_of_range_s: float
    ) -> None:
        self.model, self.spec, self.step = model, model.spec, Step(model.spec.step_ms)
        self.place = place_of(model)
        self.audio = _AudioEntries(model, audio)
        reach, far = round(reach_s / self.step.seconds), round(out_of_range_s / self.step.seconds)
        self.steps = torch.arange(-far, far + 1)
        self.near = self.steps.abs() <= reach
        self.pieces: dict[int, _Piece] = {}
        self.found: dict[int, TrackSums] = {}

    @torch.inference_mode()
    def take(self, track: int, number: int, crop: np.ndarray) -> None:
        piece = self.pieces.get(track)
        if piece is not None and piece.end != number:
            # The face was lost for a while: no window reaches over the gap.
            self._score_piece(piece, self.found[track])
            piece = None
        if piece is None:
            piece = self.pieces[track] = _Piece(number, [])
        piece.crops.append(crop)
        self.found.setdefault(track, TrackSums(number, self.near)).last_tick = number

    @torch.inference_mode()
    def score_block(self) -> None:
        """Score all windows that are complete; what the next windows overlap stays."""
        for track, piece in self.pieces.items():
            self._score_piece(piece, self.found[track])
        done = max((piece.end for piece in self.pieces.values()), default=0)
        overlap = self.spec.window_frames - 1
        self.pieces = {
            track: piece.tail(overlap)
            for track, piece in self.pieces.items()
            if piece.end == done  # others have ended
        }
        self.audio.forget(self._earliest_step(done))

    def end_pieces(self) -> None:
        """Score what waits before ticks that are missing: nobody asks for the audio in between."""
        self.score_block()
        self.pieces = {}

    def _earliest_step(self, default: int) -> int:
        """Return the first step of audio that a window still waiting may ask for."""
        start = min((piece.start for piece in self.pieces.values()), default=default)
        return self.step.per_frame * start - int(self.steps[-1])

    def _score_piece(self, piece: "_Piece", found: "TrackSums") -> None:
        if len(piece.crops) < self.spec.window_frames:
            return
        crops = np.stack(piece.crops)
        found.add_motion(piece.start, crops)
        frames = to_frames(crops).to(self.place.device, self.place.dtype)
        video = each(lambda embeddings: embeddings[0], self.model.encode_video(frames))
        windows, per_frame = count(video), self.step.per_frame
        first = per_frame * piece.start - int(self.steps[-1])
        last = per_frame * (piece.start + windows - 1) - int(self.steps[0])
        audio, known = self.audio.between(first, last, self._earliest_step(piece.start))
        room = COMPARED_BYTES // (bytes_of(audio) // count(audio) * len(self.steps))
        some = max(1, min(COMPARED_WINDOWS, room))
        for low in range(0, windows, some):
            high = min(low + some, windows)
            # Audio that leads by k steps starts k steps before the frame.
            starts = per_frame * torch.arange(low, high)
            index = starts[:, None] - self.steps + int(self.steps[-1])
            scores = self._compare(video, audio, low, index).float().cpu()
            found.add_scores(piece.start + low, evidence_of(scores, known[index], self.near))

    def _compare(self, video: Entries, audio: Entries, low: int, index: Tensor) -> Tensor:
        """Score of the windows from `low` on, each with its row of `index` `(W, K)`."""
        places = index.to(self.place.device)
        one = each(lambda embeddings: embeddings[low : low + len(index), None], video)
        return self.model.compare(one, each(lambda embeddings: embeddings[places], audio))

    def result(self, ticks: int) -> Scores:
        offsets_ms = self.step.ms * self.steps.numpy().astype(np.float64)
        tracks = {track: found.result(offsets_ms) for track, found in self.found.items()}
        return Scores(tracks, self.audio.levels(ticks))


def to_frames(crops: np.ndarray) -> Tensor:
    """Crops `(T, H, W, 3)` uint8 as frames `(1, 3, T, H, W)` in [0, 1]."""
    return torch.from_numpy(crops).permute(3, 0, 1, 2)[None].float() / 255


def evidence_of(scores: Tensor, known: Tensor, near: Tensor) -> Tensor:
    """Score `(W, F)` less each window's mean over the known offsets that are `near` `(F,)`; 0
    where unknown, and all 0 for a window that knows none of these.
    """
    asked = known & near
    count = asked.sum(1, keepdim=True)
    mean = scores.masked_fill(~asked, 0).sum(1, keepdim=True) / count.clamp_min(1)
    return (scores - mean).masked_fill(~known | (count == 0), 0)


@dataclass
class _Piece:
    """Crops of one track that wait to be scored; `start` is the first one's tick."""

    start: int
    crops: list[np.ndarray]

    @property
    def end(self) -> int:
        return self.start + len(self.crops)

    def tail(self, count: int) -> "_Piece":
        keep = min(count, len(self.crops))
        return _Piece(self.end - keep, self.crops[len(self.crops) - keep :])


class _AudioEntries:
    """The audio's entries on the grid of offsets, encoded once as the windows move on."""

    def __init__(self, model: SyncModel, audio: Sound) -> None:
        self.model, self.spec, self.audio = model, model.spec, audio
        self.step, self.device = Step(model.spec.step_ms), place_of(model).device
        self.first = 0
        self.embeddings: Entries | None = None
        self.levels_db: dict[int, np.ndarray] = {}

    def between(self, first: int, last: int, earliest: int) -> tuple[Entries, Tensor]:
        """Entries `(n, ...)` at steps first to last, and which of them `(n,)` lie wholly inside the
        file's audio. Steps from `earliest` on are kept until they are forgotten.
        """
        if self.embeddings is None or earliest > self.first + count(self.embeddings):
            self.first, self.embeddings = earliest, self._encode(earliest, last)
        elif last >= (end := self.first + count(self.embeddings)):
            self.embeddings = joined(self.embeddings, self._encode(end, last))
        offset = first - self.first
        starts_s, half_s = torch.arange(first, last + 1) * self.step.seconds, self.step.seconds / 2
        known: Tensor = starts_s + self.spec.audio_from_s > -half_s
        if self.audio.end_s is not None:
            known &= starts_s + self.spec.audio_until_s < self.audio.end_s + half_s
        stop = offset + last - first + 1
        return each(lambda embeddings: embeddings[offset:stop], self.embeddings), known

    def forget(self, before: int) -> None:
        """Let go of the entries before a step."""
        if self.embeddings is not None and before > self.first:
            # A copy, so that what is let go is freed.
            skip = before - self.first
            self.embeddings = each(lambda embeddings: embeddings[skip:].clone(), self.embeddings)
            self.first = before

    def levels(self, ticks: int) -> np.ndarray:
        """Return the audio's level at every tick in dB of full scale, NaN where it was not needed."""
        steps = np.full(ticks * self.step.per_frame, np.nan)
        for first, level in self.levels_db.items():
            low, high = max(first, 0), min(first + len(level), len(steps))
            steps[low:high] = level[low - first : max(low, high) - first]
        return steps.reshape(ticks, self.step.per_frame).max(1)

    def _encode(self, first: int, last: int) -> Entries:
        step = self.step
        begin_s = first * step.seconds + self.spec.audio_from_s
        end_s = last * step.seconds + self.spec.audio_until_s
        # One step more at the end: rounding of seconds to samples must not cost the last window.
        wav = self.audio.window(begin_s, end_s + step.seconds)
        self.levels_db[first] = level_db(wav[: (last - first + 1) * step.samples], step.samples)
        starts_s = torch.arange(last - first + 1) * step.seconds - self.spec.audio_from_s
        batch = torch.from_numpy(wav)[None].to(self.device)
        return each(lambda embeddings: embeddings[0], self.model.encode_audio(batch, starts_s))
