"""Apply a piecewise-linear time map to audio: shift segments, or resample them for a drift."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from math import ceil, floor, inf
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Crossfade where two segments meet: long enough to avoid clicks, shorter than a phone.
FADE_S = 0.01
# Windowed-sinc interpolation. Distortion of a tone is below -90 dB up to 0.85 of the Nyquist rate.
TAPS = 64
PHASES = 1024
KAISER_BETA = 10.0
BLOCK = 8192


class AudioSegment(NamedTuple):
    """A time segment with its audio-video offset.

    From `start_s` to `end_s`, in seconds from the first sample, the audio leads by `offset_ms` plus
    `ppm` / 1000 for each second since `start_s`.
    """

    start_s: float
    end_s: float
    offset_ms: float
    ppm: float


class PlayedSegment(NamedTuple):
    """Output samples and the source positions they are read from.

    Samples `first` to `last` come from positions `at + k * step`, with linear fades of `fade_in`
    and `fade_out` samples.
    """

    first: int
    last: float
    at: float
    step: float
    fade_in: int = 0
    fade_out: int = 0

    def position(self, sample: float) -> float:
        return self.at + (sample - self.first) * self.step


def played_segments(segments: Sequence[AudioSegment], rate: int) -> list[PlayedSegment]:
    """Return the source positions of all output samples; the last segment has no end.

    Audio that a jump skips is dropped, with a crossfade; if it would play twice, the later segment
    is silent until the end of the earlier one is past. Shifts are whole samples.
    """
    if not segments:
        raise ValueError("segments must hold at least one, got none")
    fade = max(2, round(FADE_S * rate) // 2 * 2)
    found: list[PlayedSegment] = []
    for index, (start_s, end_s, offset_ms, ppm) in enumerate(segments):
        first = round(start_s * rate) if index else 0
        last = round(end_s * rate) if index + 1 < len(segments) else inf
        step = 1 - ppm * 1e-6
        lead = rate * (offset_ms + ppm / 1000 * (first / rate - start_s)) / 1000
        at = first - (lead if ppm else round(lead))
        if not found:
            found.append(PlayedSegment(0, last, at, step))
            continue
        before = found[-1]
        played = before.position(first)
        if at < played - 1:  # Already played: silence until new audio comes.
            first += ceil((played - at) / step)
            if first + fade >= last:
                continue
            found[-1] = before._replace(fade_out=fade // 2)
            found.append(
                PlayedSegment(first, last, at + ceil((played - at) / step) * step, step, fade // 2)
            )
        else:
            half = fade // 2
            found[-1] = before._replace(last=first + half, fade_out=fade)
            found.append(PlayedSegment(first - half, last, at - half * step, step, fade))
    return found


def apply_time_map(
    blocks: Iterable[np.ndarray], plan: Sequence[PlayedSegment]
) -> Iterator[np.ndarray]:
    """Map consecutive blocks `(C, n)` to blocks retimed by `plan`, until the audio ends.

    Streaming: memory does not grow with the audio.
    """
    buffer = _SampleBuffer(blocks)
    start = 0
    while True:
        end: float = start + BLOCK
        live = [part for part in plan if part.last > start]
        buffer.read_to(
            max(
                (ceil(part.position(min(end, part.last))) for part in live if part.first < end),
                default=0,
            )
            + TAPS
        )
        if buffer.ended:
            ends = [min(e.last, e.first + ceil((buffer.end - e.at) / e.step)) for e in live]
            end = min(end, max(ends, default=start))
        if end <= start:
            return
        block = np.zeros((buffer.channels, int(end) - start), np.float32)
        for part in live:
            _add(block, start, part, buffer)
        yield block
        start = int(end)
        buffer.forget(
            min(
                (
                    floor(part.position(max(start, part.first)))
                    for part in live
                    if part.first < start + 2 * BLOCK
                ),
                default=0,
            )
            - 2 * TAPS
        )


def _add(block: np.ndarray, start: int, segment: PlayedSegment, buffer: "_SampleBuffer") -> None:
    low = max(start, segment.first)
    high = int(min(start + block.shape[1], segment.last))
    if low >= high:
        return
    at, count = segment.position(low), high - low
    if segment.step == 1 and at == round(at):
        audio = buffer.cut(round(at), round(at) + count)
    else:
        audio = interpolate(buffer, at + np.arange(count) * segment.step)
    gain = np.ones(count, np.float32)
    index = np.arange(low, high)
    if segment.fade_in:
        gain *= np.clip((index + 0.5 - segment.first) / segment.fade_in, 0, 1)
    if segment.fade_out:
        gain *= np.clip((segment.last - index - 0.5) / segment.fade_out, 0, 1)
    block[:, low - start : high - start] += gain * audio


def interpolate(buffer: "_SampleBuffer", positions: np.ndarray) -> np.ndarray:
    """Interpolate the audio `(C, len(positions))` at increasing positions `(n,)`."""
    base = np.floor(positions).astype(np.int64)
    first = int(base[0]) - TAPS // 2 + 1
    held = buffer.cut(first, int(base[-1]) + TAPS // 2 + 1)
    phase = (positions - base) * PHASES
    row = phase.astype(np.int64)
    part = (phase - row).astype(np.float32)[:, None]
    kernel = _kernel()
    taps = kernel[row] * (1 - part) + kernel[row + 1] * part
    windows = sliding_window_view(held, TAPS, axis=1)[:, base - base[0]]
    return np.einsum("cnt,nt->cn", windows, taps)


@cache
def _kernel() -> np.ndarray:
    """Return the filters `(PHASES + 1, TAPS)`, one for each phase between two samples."""
    taps = np.arange(TAPS) - TAPS // 2 + 1
    at = taps[None] - np.arange(PHASES + 1)[:, None] / PHASES
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (at / (TAPS / 2)) ** 2, 0, 1)))
    kernel = np.sinc(at) * window
    return (kernel / kernel.sum(1, keepdims=True)).astype(np.float32)


class _SampleBuffer:
    """Buffer of consecutive blocks `(C, n)` that keeps only samples that may still be needed."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = iter(blocks)
        self._held: list[np.ndarray] = []
        self._first = 0
        self.end = 0
        self.ended = False
        self.channels = 1
        self.read_to(1)

    def read_to(self, end: int) -> None:
        while self.end < end and not self.ended:
            block = next(self._blocks, None)
            if block is None:
                self.ended = True
                return
            self.channels = len(block)
            self._held.append(block)
            self.end += block.shape[1]

    def cut(self, start: int, end: int) -> np.ndarray:
        """Return the samples from `start` to `end`, `(C, end - start)`, zero outside the audio."""
        audio = np.zeros((self.channels, end - start), np.float32)
        at = self._first
        for block in self._held:
            low, high = max(start, at), min(end, at + block.shape[1])
            if low < high:
                audio[:, low - start : high - start] = block[:, low - at : high - at]
            at += block.shape[1]
        return audio

    def forget(self, start: int) -> None:
        while self._held and self._first + self._held[0].shape[1] <= start:
            self._first += self._held.pop(0).shape[1]
