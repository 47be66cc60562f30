"""Separate audio of any length by overlap-add: overlapping chunks are separated and cross-faded.

It streams: blocks of audio go in and come out with the separated voices; one or two chunks are
held in memory.
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

# Each chunk is scaled to this peak, the level of training, so the loudness of a file does not
# matter.
PEAK = 1.0
# A chunk whose peak is lower is digital silence, and its voices are silent too.
SILENT_PEAK = 1e-6


class Separator(Protocol):
    """A separation task; audio-visual ones have `encode_video` too."""

    spec: SeparationSpec

    def separate(self, mixture: Tensor, tokens: Tensor | None) -> Tensor: ...


class FaceChunk(NamedTuple):
    """A face during one chunk.

    Args:
        frames: visual input of the task `(T, ...)`; None for an audio-only task.
        gain: gain of the voice at each sample `(N,)`, 0 where the face is not in the frame.
    """

    frames: np.ndarray | None
    gain: np.ndarray


class FaceStream(Protocol):
    """Source of the faces whose voices are separated."""

    def chunk(
        self, first_frame: int, frames: int, samples: int, sample_rate: int
    ) -> Sequence[FaceChunk | None]:
        """Return the face of each voice during a chunk, None where it is not in the frame at all.

        Args:
            first_frame: first frame of the chunk; never lower than in the call before.
            frames: number of frames.
            samples: number of audio samples that begin with the first frame.
            sample_rate: in Hz.
        """
        ...


class SeparatedBlock(NamedTuple):
    """A block of the mixture `(C, n)` and of each voice in it `(V, C, n)`, float32."""

    mixture: np.ndarray
    voices: np.ndarray


class ChunkGrid(NamedTuple):
    """Length and hop of the chunks.

    Args:
        samples: samples of a chunk.
        shown_samples: duration of its frames in samples; the Y-Net family takes one sample less.
        frames: frames of a chunk.
        hop: samples from one chunk to the next.
        hop_frames: frames from one chunk to the next.
    """

    samples: int
    shown_samples: int
    frames: int
    hop: int
    hop_frames: int

    @staticmethod
    def from_spec(spec: SeparationSpec) -> "ChunkGrid":
        """Return chunks of the training length, at least two seconds long.

        They begin at whole seconds, where a frame begins with a sample, and overlap by about a
        quarter.
        """
        frames = ceil(2 * spec.fps / spec.frames) * spec.frames
        # Training chunks may be shorter than their frames by some samples; so are these.
        missing = round(spec.frames * spec.sample_rate / spec.fps) - spec.samples
        shown_samples = round(frames * spec.sample_rate / spec.fps)
        # At least half a chunk: no sample may lie in three chunks.
        hop_s = max(ceil(frames / (2 * spec.fps)), 3 * frames // (4 * spec.fps))
        return ChunkGrid(
            shown_samples - missing,
            shown_samples,
            frames,
            hop_s * spec.sample_rate,
            hop_s * spec.fps,
        )

    def weights(self, first: bool, last: bool) -> np.ndarray:
        """Return the cross-fade weights `(samples,)` of a chunk.

        Over an overlap the weights of both chunks sum to 1. The first chunk is not faded in, the
        last one not faded out.
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
    model: Separator,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    faces: FaceStream,
    first_frame: int = 0,
) -> Iterator[SeparatedBlock]:
    """Yield every block of the audio with the separated voices in it.

    Args:
        model: a separation task in eval mode.
        blocks: consecutive audio `(C, n)` float32.
        sample_rate: of the audio, in Hz.
        faces: faces whose voices are separated.
        first_frame: frame shown with the first sample, negative if the audio begins earlier.
    """
    overlap_add = _OverlapAdd(model, sample_rate, faces, first_frame)
    for block in blocks:
        yield from overlap_add.push(block)
    yield from overlap_add.flush()


class _OverlapAdd:
    """State of the stream: audio at the file's rate, at the task's rate, and back."""

    def __init__(
        self, model: Separator, sample_rate: int, faces: FaceStream, first_frame: int
    ) -> None:
        self.model, self.sample_rate, self.faces = model, sample_rate, faces
        self.frame = first_frame
        self.grid, self.target = ChunkGrid.from_spec(model.spec), device_and_dtype(model)
        self.first = True
        self.down: Resampler | None = None
        self.up: Resampler | None = None
        # Blocks as they came, whose voices are not complete yet.
        self.mixture: list[np.ndarray] = []
        # Audio at the task's rate that is not separated yet.
        self.held = np.zeros((0, 0), np.float32)
        # Voices at the file's rate, ready to be yielded.
        self.done = np.zeros((0, 0), np.float32)
        # The faded-out end of the last chunk, at the task's rate.
        self.pending = np.zeros((1, 1, 0), np.float32)

    def push(self, block: np.ndarray) -> Iterator[SeparatedBlock]:
        if self.down is None:
            self.down = Resampler(self.sample_rate, self.model.spec.sample_rate, len(block))
            self.held = np.zeros((len(block), 0), np.float32)
        self.mixture.append(block)
        self.held = np.concatenate([self.held, self.down.push(block)], axis=1)
        yield from self._separate_chunks()

    def flush(self) -> Iterator[SeparatedBlock]:
        if self.down is None:
            return
        self.held = np.concatenate([self.held, self.down.flush()], axis=1)
        yield from self._separate_chunks()
        yield from self._separate_next(last=True)
        assert self.up is not None
        channels = self.down.channels
        self.done = np.concatenate([self.done, self.up.flush()], axis=1)
        left = sum(block.shape[1] for block in self.mixture)
        # Resampling there and back may lose half a sample.
        self.done = np.pad(self.done, [(0, 0), (0, max(0, left - self.done.shape[1]))])[:, :left]
        yield from self._complete_blocks(len(self.done) // channels)

    def _separate_chunks(self) -> Iterator[SeparatedBlock]:
        """Separate the chunks that are certainly not the last one."""
        while self.held.shape[1] > self.grid.shown_samples:
            yield from self._separate_next(last=False)

    def _separate_next(self, last: bool) -> Iterator[SeparatedBlock]:
        grid, task_rate = self.grid, self.model.spec.sample_rate
        ready = self.held.shape[1] if last else grid.hop
        audio = self.held[:, : grid.samples]
        audio = np.pad(audio, [(0, 0), (0, grid.samples - audio.shape[1])])
        faces = self.faces.chunk(self.frame, grid.frames, grid.samples, task_rate)
        voices = separate_chunk(self.model, audio, faces, self.target)
        voices *= grid.weights(self.first, last)
        voices[..., : self.pending.shape[-1]] += self.pending
        # Samples beyond the input of the task are in no voice.
        known = voices[..., :ready]
        known = np.pad(known, [(0, 0), (0, 0), (0, ready - known.shape[-1])])
        flat = known.reshape(-1, ready)
        if self.up is None:
            self.up = Resampler(task_rate, self.sample_rate, len(flat))
            self.done = np.zeros((len(flat), 0), np.float32)
        self.done = np.concatenate([self.done, self.up.push(flat)], axis=1)
        self.pending = voices[..., grid.hop :].copy()
        self.held = self.held[:, ready:]
        self.frame, self.first = self.frame + grid.hop_frames, False
        yield from self._complete_blocks(len(voices))

    def _complete_blocks(self, voices: int) -> Iterator[SeparatedBlock]:
        """Yield the blocks whose voices are complete, as they were pushed."""
        while self.mixture and self.mixture[0].shape[1] <= self.done.shape[1]:
            block = self.mixture.pop(0)
            samples = block.shape[1]
            separated, self.done = self.done[:, :samples], self.done[:, samples:]
            yield SeparatedBlock(block, separated.reshape(voices, *block.shape))


@torch.inference_mode()
def separate_chunk(
    model: Separator,
    audio: np.ndarray,
    faces: Sequence[FaceChunk | None],
    target: DeviceAndDtype,
) -> np.ndarray:
    """Return the voices `(V, C, N)` of a chunk `(C, N)`.

    Channels are separated independently; identical ones are separated once.
    """
    voices = np.zeros((len(faces), *audio.shape), np.float32)
    peak = float(abs(audio).max())
    if peak < SILENT_PEAK:
        return voices
    equal = bool((audio == audio[:1]).all())
    mixture = torch.from_numpy(audio[:1] if equal else audio).to(target.device, target.dtype)
    for voice, face in zip(voices, faces, strict=True):
        if face is None:
            continue
        tokens = None
        if face.frames is not None:
            frames = _visual_input(face.frames).to(target.device, target.dtype)
            tokens = model.encode_video(frames)  # type: ignore[attr-defined]
            tokens = tokens.expand(len(mixture), *tokens.shape[1:])
        estimate = model.separate(mixture * (PEAK / peak), tokens)
        if not estimate.isfinite().all():
            raise RuntimeError(f"{type(model).__name__} gave voices that are not finite numbers")
        voice[:] = estimate.float().cpu().numpy() * (peak / PEAK) * face.gain
    return voices


def _visual_input(frames: np.ndarray) -> Tensor:
    # Crops (T, H, W, 3) uint8 become (1, 3, T, H, W) in [0, 1], landmarks (T, 68, 2) become
    # (1, 2, T, 68).
    if frames.ndim == 4:
        return to_frames(frames)
    return torch.from_numpy(frames).permute(2, 0, 1)[None]
