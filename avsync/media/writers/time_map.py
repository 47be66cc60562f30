"""Audio laid out anew over time: stretches of it moved, or played a little faster or slower."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from math import ceil, floor, inf
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Where two stretches meet, audio fades over this: long enough not to click, shorter than a phone.
FADE_S = 0.01
# Windowed-sinc interpolation. What it adds to a tone lies below -90 dB up to 0.85 of the half rate.
TAPS = 64
PHASES = 1024
KAISER_BETA = 10.0
BLOCK = 8192


class Stretch(NamedTuple):
    """From `start_s` to `end_s` the audio is early by `offset_ms` + `ppm` / 1000 per second since
    `start_s`; seconds count from the first sample.
    """

    start_s: float
    end_s: float
    offset_ms: float
    ppm: float


class Segment(NamedTuple):
    """Output samples `first` to `last` come from source positions `at` + k * `step`, with linear
    fades of so many samples at either end.
    """

    first: int
    last: float
    at: float
    step: float
    fade_in: int = 0
    fade_out: int = 0

    def position(self, sample: float) -> float:
        return self.at + (sample - self.first) * self.step


def segments(stretches: Sequence[Stretch], rate: int) -> list[Segment]:
    """Return what is played when: the first stretch begins at sample 0, and the last one never ends.

    Audio that a jump skips is left out, with a crossfade; where it would play twice, the later
    stretch waits in silence until the earlier one's end is past. Shifts are whole samples.
    """
    if not stretches:
        raise ValueError("stretches must hold at least one, got none")
    fade = max(2, round(FADE_S * rate) // 2 * 2)
    found: list[Segment] = []
    for index, (start_s, end_s, offset_ms, ppm) in enumerate(stretches):
        first = round(start_s * rate) if index else 0
        last = round(end_s * rate) if index + 1 < len(stretches) else inf
        step = 1 - ppm * 1e-6
        lead = rate * (offset_ms + ppm / 1000 * (first / rate - start_s)) / 1000
        at = first - (lead if ppm else round(lead))
        if not found:
            found.append(Segment(0, last, at, step))
            continue
        before = found[-1]
        played = before.position(first)
        if at < played - 1:  # Heard already: silence until there is something new.
            first += ceil((played - at) / step)
            if first + fade >= last:
                continue
            found[-1] = before._replace(fade_out=fade // 2)
            found.append(
                Segment(first, last, at + ceil((played - at) / step) * step, step, fade // 2)
            )
        else:
            half = fade // 2
            found[-1] = before._replace(last=first + half, fade_out=fade)
            found.append(Segment(first - half, last, at - half * step, step, fade))
    return found


def warped(blocks: Iterable[np.ndarray], plan: Sequence[Segment]) -> Iterator[np.ndarray]:
    """Map consecutive blocks `(C, n)` to blocks laid out by `plan`, until the audio has ended.

    Streaming: what is held does not grow with the audio.
    """
    tape = _Tape(blocks)
    start = 0
    while True:
        end: float = start + BLOCK
        live = [each for each in plan if each.last > start]
        tape.read_to(
            max(
                (ceil(each.position(min(end, each.last))) for each in live if each.first < end),
                default=0,
            )
            + TAPS
        )
        if tape.ended:
            ends = [min(e.last, e.first + ceil((tape.end - e.at) / e.step)) for e in live]
            end = min(end, max(ends, default=start))
        if end <= start:
            return
        block = np.zeros((tape.channels, int(end) - start), np.float32)
        for each in live:
            _add(block, start, each, tape)
        yield block
        start = int(end)
        tape.forget(
            min(
                (
                    floor(each.position(max(start, each.first)))
                    for each in live
                    if each.first < start + 2 * BLOCK
                ),
                default=0,
            )
            - 2 * TAPS
        )


def _add(block: np.ndarray, start: int, segment: Segment, tape: "_Tape") -> None:
    low = max(start, segment.first)
    high = int(min(start + block.shape[1], segment.last))
    if low >= high:
        return
    at, count = segment.position(low), high - low
    if segment.step == 1 and at == round(at):
        audio = tape.cut(round(at), round(at) + count)
    else:
        audio = interpolate(tape, at + np.arange(count) * segment.step)
    gain = np.ones(count, np.float32)
    index = np.arange(low, high)
    if segment.fade_in:
        gain *= np.clip((index + 0.5 - segment.first) / segment.fade_in, 0, 1)
    if segment.fade_out:
        gain *= np.clip((segment.last - index - 0.5) / segment.fade_out, 0, 1)
    block[:, low - start : high - start] += gain * audio


def interpolate(tape: "_Tape", positions: np.ndarray) -> np.ndarray:
    """Return the audio `(C, len(positions))` between its samples, at rising positions `(n,)`."""
    base = np.floor(positions).astype(np.int64)
    first = int(base[0]) - TAPS // 2 + 1
    held = tape.cut(first, int(base[-1]) + TAPS // 2 + 1)
    phase = (positions - base) * PHASES
    row = phase.astype(np.int64)
    part = (phase - row).astype(np.float32)[:, None]
    kernel = _kernel()
    taps = kernel[row] * (1 - part) + kernel[row + 1] * part
    windows = sliding_window_view(held, TAPS, axis=1)[:, base - base[0]]
    return np.einsum("cnt,nt->cn", windows, taps)


@cache
def _kernel() -> np.ndarray:
    """Filters `(PHASES + 1, TAPS)`, one for each place between two samples."""
    taps = np.arange(TAPS) - TAPS // 2 + 1
    at = taps[None] - np.arange(PHASES + 1)[:, None] / PHASES
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (at / (TAPS / 2)) ** 2, 0, 1)))
    kernel = np.sinc(at) * window
    return (kernel / kernel.sum(1, keepdims=True)).astype(np.float32)


class _Tape:
    """Consecutive blocks `(C, n)`, of which only what may still be asked for is held."""

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
        """Sample from `start` to `end` as `(C, end - start)`, zeros where there are none."""
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
