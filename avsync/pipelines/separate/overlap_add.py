"""Voices out of audio of any length: chunks that overlap, each separated on its own, faded into one
another.

It streams: blocks of audio come in, and go out again with the voices in them; what is held is a
chunk or two.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from avsync.audio.resampling import Resampler
from avsync.scoring.embeddings import DeviceAndDtype, device_and_dtype
from avsync.scoring.engine import to_frames
from avsync.tasks.separation.input_spec import SeparationSpec

# A task hears chunks with their loudest sample here, as loud as those of its training: it is no
# matter to it how loud a file is.
PEAK = 1.0
# Below this a chunk is digital silence, and stays it.
SILENT_PEAK = 1e-6


class Separator(Protocol):
    """What separating asks of a task; those that see a face have `encode_video` besides."""

    spec: SeparationSpec

    def separate(self, mixture: Tensor, tokens: Tensor | None) -> Tensor: ...


class Seen(NamedTuple):
    """A face over a chunk: what the task looks at `(T, ...)`, and how much of the voice is kept at
    each of the chunk's samples `(N,)`, 0 where the face is out of the frame.
    """

    frames: np.ndarray | None
    kept: np.ndarray


class Faces(Protocol):
    """Gives each voice's face over frames `first` to `first + count`, going forward; `samples` at
    `rate` lie in them. None where the face is not in the frame at all.
    """

    def over(self, first: int, count: int, samples: int, rate: int) -> Sequence[Seen | None]: ...


class Separated(NamedTuple):
    """A stretch of the mixture `(C, n)` and of each voice in it `(V, C, n)`, float32."""

    mixture: np.ndarray
    voices: np.ndarray


class Grid(NamedTuple):
    """Chunks of so many samples and frames, every `hop` samples and `hop_frames`; `reach` is how
    many samples those frames are shown for, one more than the Y-Net family hears of them.
    """

    samples: int
    reach: int
    frames: int
    hop: int
    hop_frames: int

    @staticmethod
    def of(spec: SeparationSpec) -> "Grid":
        """Chunks of the length of training, of two seconds at least, that begin on whole seconds:
        there a frame begins with a sample. A quarter of a chunk or so overlaps the next one.
        """
        frames = ceil(2 * spec.fps / spec.frames) * spec.frames
        # What the chunks of training are short of their frames, these are too.
        missing = round(spec.frames * spec.sample_rate / spec.fps) - spec.samples
        reach = round(frames * spec.sample_rate / spec.fps)
        # No sample may lie in three chunks.
        hop_s = max(ceil(frames / (2 * spec.fps)), 3 * frames // (4 * spec.fps))
        return Grid(reach - missing, reach, frames, hop_s * spec.sample_rate, hop_s * spec.fps)

    def weights(self, first: bool, last: bool) -> np.ndarray:
        """Return the share `(samples,)` of a chunk in the whole: over an overlap, those of both add up to
        1. The first chunk has none before it, the last one none after.
        """
        overlap = self.samples - self.hop
        falling = np.cos(np.pi / 2 * (np.arange(overlap) + 0.5) / overlap) ** 2
        weights = np.ones(self.samples)
        if not last:
            weights[self.hop :] = falling
        if not first:
            weights[:overlap] = 1 - falling
        return weights.astype(np.float32)


def separate_blocks(
    model: Separator, blocks: Iterable[np.ndarray], rate: int, faces: Faces, first_frame: int = 0
) -> Iterator[Separated]:
    """Yield the audio again, all of it, with the voices in it.

    Args:
        model: a separation task in eval mode.
        blocks: consecutive audio `(C, n)` float32.
        rate: samples a second.
        faces: whose voices.
        first_frame: the frame that is shown with the first sample.
    """
    joint = _Joint(model, rate, faces, first_frame)
    for block in blocks:
        yield from joint.push(block)
    yield from joint.end()


class _Joint:
    """Audio on its way: at the file's rate, at the task's, and back."""

    def __init__(self, model: Separator, rate: int, faces: Faces, first_frame: int) -> None:
        self.model, self.rate, self.faces, self.frame = model, rate, faces, first_frame
        self.grid, self.place = Grid.of(model.spec), device_and_dtype(model)
        self.first = True
        self.down: Resampler | None = None
        self.up: Resampler | None = None
        self.mixture: list[np.ndarray] = []
        self.held = self.done = np.zeros((0, 0), np.float32)
        self.pending = np.zeros((1, 1, 0), np.float32)

    def push(self, block: np.ndarray) -> Iterator[Separated]:
        if self.down is None:
            self.down = Resampler(self.rate, self.model.spec.sample_rate, len(block))
            self.held = np.zeros((len(block), 0), np.float32)
        self.mixture.append(block)
        self.held = np.concatenate([self.held, self.down.push(block)], axis=1)
        yield from self._chunks()

    def end(self) -> Iterator[Separated]:
        if self.down is None:
            return
        self.held = np.concatenate([self.held, self.down.flush()], axis=1)
        yield from self._chunks()
        yield from self._chunk(last=True)
        assert self.up is not None
        channels = self.down.channels
        self.done = np.concatenate([self.done, self.up.flush()], axis=1)
        left = sum(block.shape[1] for block in self.mixture)
        # There and back again may cost half a sample.
        self.done = np.pad(self.done, [(0, 0), (0, max(0, left - self.done.shape[1]))])[:, :left]
        yield from self._given(len(self.done) // channels)

    def _chunks(self) -> Iterator[Separated]:
        """Separate the chunks that surely have one after them."""
        while self.held.shape[1] > self.grid.reach:
            yield from self._chunk(last=False)

    def _chunk(self, last: bool) -> Iterator[Separated]:
        grid, rate = self.grid, self.model.spec.sample_rate
        ready = self.held.shape[1] if last else grid.hop
        audio = self.held[:, : grid.samples]
        audio = np.pad(audio, [(0, 0), (0, grid.samples - audio.shape[1])])
        seen = self.faces.over(self.frame, grid.frames, grid.samples, rate)
        voices = separate_chunk(self.model, audio, seen, self.place)
        voices *= grid.weights(self.first, last)
        voices[..., : self.pending.shape[-1]] += self.pending
        # A sample that the task does not hear is in no voice.
        known = voices[..., :ready]
        known = np.pad(known, [(0, 0), (0, 0), (0, ready - known.shape[-1])])
        flat = known.reshape(-1, ready)
        if self.up is None:
            self.up = Resampler(rate, self.rate, len(flat))
            self.done = np.zeros((len(flat), 0), np.float32)
        self.done = np.concatenate([self.done, self.up.push(flat)], axis=1)
        self.pending = voices[..., grid.hop :].copy()
        self.held = self.held[:, ready:]
        self.frame, self.first = self.frame + grid.hop_frames, False
        yield from self._given(len(voices))

    def _given(self, voices: int) -> Iterator[Separated]:
        """Yield what is told of the voices, block by block of the mixture as it came."""
        while self.mixture and self.mixture[0].shape[1] <= self.done.shape[1]:
            block = self.mixture.pop(0)
            some, self.done = self.done[:, : block.shape[1]], self.done[:, block.shape[1] :]
            yield Separated(block, some.reshape(voices, *block.shape))


@torch.inference_mode()
def separate_chunk(
    model: Separator, audio: np.ndarray, faces: Sequence[Seen | None], place: DeviceAndDtype
) -> np.ndarray:
    """Return the voices `(V, C, N)` of a chunk `(C, N)`, each channel on its own; channels that hold the
    same are separated once.
    """
    voices = np.zeros((len(faces), *audio.shape), np.float32)
    peak = float(abs(audio).max())
    if peak < SILENT_PEAK:
        return voices
    alike = bool((audio == audio[:1]).all())
    mixture = torch.from_numpy(audio[:1] if alike else audio).to(place.device, place.dtype)
    for voice, face in zip(voices, faces, strict=True):
        if face is None:
            continue
        tokens = None
        if face.frames is not None:
            seen = _shown(face.frames).to(place.device, place.dtype)
            tokens = model.encode_video(seen)  # type: ignore[attr-defined]
            tokens = tokens.expand(len(mixture), *tokens.shape[1:])
        found = model.separate(mixture * (PEAK / peak), tokens)
        voice[:] = found.float().cpu().numpy() * (peak / PEAK) * face.kept
    return voices


def _shown(frames: np.ndarray) -> Tensor:
    """Crops `(T, H, W, 3)` uint8 as `(1, 3, T, H, W)` in [0, 1], landmarks `(T, 68, 2)` as `(1, 2,
    T, 68)`.
    """
    if frames.ndim == 4:
        return to_frames(frames)
    return torch.from_numpy(frames).permute(2, 0, 1)[None]
