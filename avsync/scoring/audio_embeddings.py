"""Encode the audio of a file once at every offset step, in a buffer that slides over the file."""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from avsync.scoring.embeddings import (
    Embeddings,
    SyncModel,
    concatenate_embeddings,
    count_embeddings,
    device_and_dtype,
    tree_map,
)
from avsync.timing import FRAME_MS, SAMPLE_RATE, exact_div


class AudioSource(Protocol):
    """Mono audio at 16 kHz, read by time; `end_s` is None until the end has been read."""

    def window(self, start_s: float, end_s: float) -> np.ndarray: ...
    @property
    def end_s(self) -> float | None: ...


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


class AudioEncoder:
    """Encodes blocks of audio; if `shared`, a block equal to the last ones is not encoded again."""

    def __init__(self, model: SyncModel, shared: bool) -> None:
        self.model, self.spec, self.shared = model, model.spec, shared
        self.step, self.device = OffsetStep(model.spec.step_ms), device_and_dtype(model).device
        self.steps = (0, 0)
        self.recent: list[tuple[np.ndarray, Embeddings]] = []

    def encode(self, wav: np.ndarray, first: int, last: int) -> Embeddings:
        """Return the embeddings at steps first to last.

        The waveform holds the audio of their windows, with the context that the model uses.
        """
        if self.steps != (first, last):
            self.steps, self.recent = (first, last), []
        for known, embeddings in self.recent:
            if np.array_equal(known, wav):
                return embeddings
        before_s = self.spec.audio_context_s - self.spec.audio_from_s
        starts_s = torch.arange(last - first + 1) * self.step.seconds + before_s
        batch = torch.from_numpy(wav)[None].to(self.device)
        made = tree_map(lambda tensor: tensor[0], self.model.encode_audio(batch, starts_s))
        if self.shared:
            self.recent.append((wav, made))
        return made


class AudioEmbeddings:
    """Sliding buffer of the audio's embeddings at every step, each encoded once."""

    def __init__(self, encoder: AudioEncoder, audio: AudioSource) -> None:
        self.encoder, self.audio = encoder, audio
        self.spec, self.step = encoder.spec, encoder.step
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
        step, context_s = self.step, self.spec.audio_context_s
        begin_s = first * step.seconds + self.spec.audio_from_s
        end_s = last * step.seconds + self.spec.audio_until_s
        # One step more at the end: rounding of seconds to samples must not cost the last window.
        wav = self.audio.window(begin_s - context_s, end_s + context_s + step.seconds)
        skip = round(context_s * SAMPLE_RATE)
        own = wav[skip : skip + (last - first + 1) * step.samples]
        self.levels_db[first] = level_db(own, step.samples)
        return self.encoder.encode(wav, first, last)


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
