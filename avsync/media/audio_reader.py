"""Read the audio of a file as a stream on the video's clock: sample 0 is the first frame's time.

Timestamp quirks handled here: start times and encoder priming (AAC), gaps, jumps (discontinuities
in TS), jitter (Matroska rounds to 1 ms), drift against the nominal rate, damaged timestamps, and
changes of format within a stream.
"""

import os
from collections import deque
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler

from avsync.media.container import (
    AUDIO_RATES,
    MAX_CHANNELS,
    MAX_GAP_S,
    UnreadableMedia,
    audio_stream,
    decoded,
    open_media,
)
from avsync.media.read_log import ReadLog
from avsync.timing import SAMPLE_RATE

# Containers round timestamps (Matroska to 1 ms) and recorders jitter: audio is taken as continuous
# until timestamps are off by more than JUMP_S at once, or by more than DRIFT_S in a running mean.
JUMP_S = 0.02
DRIFT_S = 0.003
DRIFT_MEMORY = 0.05
# Gaps are filled with silent blocks of at most this.
BLOCK_S = 1.0


def read_audio(
    path: str | os.PathLike[str],
    origin_s: float,
    sample_rate: int | None = SAMPLE_RATE,
    stream: int = 0,
    mono: bool = True,
    channel: int | None = None,
    log: ReadLog | None = None,
) -> Generator[np.ndarray]:
    """Yield the audio as consecutive float32 blocks `(n,)`, or `(channels, n)` if not mono.

    The first sample is at time `origin_s` of the file's clock: earlier audio and encoder priming
    are dropped, gaps and damaged packets are zeros.

    Args:
        path: a media file.
        origin_s: time of the first video frame (`MediaInfo.video_start_s`).
        sample_rate: output rate; None keeps that of the source.
        stream: position among the audio streams, from 0.
        mono: mix all channels down to one, never louder than the loudest of them.
        channel: read this channel of the stream, from 0, instead of mixing (`channel_names`).
        log: filled while audio is read.

    Raises:
        UnreadableMedia: at the first step, if there is no audio that can be decoded.
        ValueError: at the first step, if there is no such stream or channel.
    """
    if sample_rate is not None and sample_rate <= 0:
        raise ValueError(f"sample_rate must be positive, got {sample_rate}")
    if not np.isfinite(origin_s):
        raise ValueError(f"origin_s must be a finite time in seconds, got {origin_s}")
    blocks = _resampled_blocks(path, sample_rate, stream, mono, channel)
    return _on_clock(blocks, origin_s, mono)


class AudioClock:
    """Random access to windows of a file's mono audio, going forward, in bounded memory.

    Args:
        path: a media file.
        origin_s: time of the first video frame; window times count from there.
        sample_rate: output rate.
        keep_s: how far a window may start before the latest start requested so far.
        stream: position among the audio streams, from 0.
        channel: read this channel of the stream, from 0, instead of mixing (`channel_names`).
        log: filled while audio is read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        origin_s: float,
        sample_rate: int = SAMPLE_RATE,
        keep_s: float = 5.0,
        stream: int = 0,
        channel: int | None = None,
        log: ReadLog | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.keep_s = keep_s
        self._blocks = read_audio(path, origin_s, sample_rate, stream, channel=channel, log=log)
        self._held: deque[_HeldBlock] = deque()
        self._floor = 0
        self._next = 0
        self._ended = False

    @property
    def end_s(self) -> float | None:
        """End of the audio, in seconds from the origin; None until it has been reached."""
        return self._next / self.sample_rate if self._ended else None

    def window(self, start_s: float, end_s: float) -> np.ndarray:
        """Return the audio from `start_s` to `end_s`, `(n,)` float32, zero outside the file.

        The length is `round(end_s * rate) - round(start_s * rate)`.

        Raises:
            ValueError: if the window starts before what is still kept.
            UnreadableMedia: if there is no audio.
        """
        start, end = round(start_s * self.sample_rate), round(end_s * self.sample_rate)
        if end < start:
            raise ValueError(f"end_s must not lie before start_s, got {start_s} to {end_s}")
        if max(start, 0) < self._floor:
            floor_s = self._floor / self.sample_rate
            raise ValueError(f"start_s must be at least {floor_s:.3f} by now, got {start_s}")
        self._floor = max(self._floor, start - round(self.keep_s * self.sample_rate))
        self._read_to(end)
        window = np.zeros(end - start, np.float32)
        for first, block in self._held:
            low, high = max(start, first), min(end, first + len(block))
            if low < high:
                window[low - start : high - start] = block[low - first : high - first]
        return window

    def close(self) -> None:
        """Close the file."""
        self._blocks.close()

    def _read_to(self, end: int) -> None:
        self._forget()
        while self._next < end and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                return
            self._held.append(_HeldBlock(self._next, block))
            self._next += len(block)
            self._forget()

    def _forget(self) -> None:
        while self._held and self._held[0].first + len(self._held[0].block) <= self._floor:
            self._held.popleft()


class _HeldBlock(NamedTuple):
    first: int
    block: np.ndarray


class _Block(NamedTuple):
    """Resampled audio `(C, n)` that starts `at` samples after `run_s` on the file's clock."""

    run_s: float
    at: int
    rate: int
    block: np.ndarray


def _on_clock(blocks: Iterator[_Block], origin_s: float, mono: bool) -> Generator[np.ndarray]:
    cursor = 0
    for run_s, at, rate, block in blocks:
        start = round((run_s - origin_s) * rate) + at
        while cursor < start:
            silence = min(start - cursor, round(BLOCK_S * rate))
            yield np.zeros((len(block), silence), np.float32)[0 if mono else slice(None)]
            cursor += silence
        if start < cursor:
            block = block[:, cursor - start :]
        if block.shape[1]:
            cursor += block.shape[1]
            yield block[0] if mono else block


def _resampled_blocks(
    path: str | os.PathLike[str], rate: int | None, index: int, mono: bool, channel: int | None
) -> Iterator[_Block]:
    """Yield audio in runs without gaps; each run is resampled on its own."""
    with open_media(path) as container:
        stream = audio_stream(container, index)
        run: _Run | None = None
        for time_s, frame in _audio_with_times(filter(is_valid_audio, decoded(container, stream))):
            if run is None:
                check_channel(channel, frame.layout)
                layout = "mono" if mono and channel is None else frame.layout.name
                run = _Run(frame, time_s or 0.0, rate or frame.sample_rate, layout, channel)
            elif (start_s := run.broken_by(frame, time_s)) is not None:
                yield from run.push(None)
                run = _Run(frame, start_s, run.rate, run.layout, channel)
            yield from run.push(frame)
        if run is None:
            raise UnreadableMedia("damaged", "no audio of the audio stream could be decoded")
        yield from run.push(None)


def _audio_with_times(frames: Iterator[AudioFrame]) -> Iterator[tuple[float | None, AudioFrame]]:
    """Yield frames with their times in seconds; None if missing, or later than the next one."""
    held: tuple[float | None, AudioFrame] | None = None
    for frame in frames:
        time_s = None
        if frame.pts is not None and frame.time_base is not None:
            time_s = float(frame.pts * frame.time_base)
        if held is not None:
            before_s, before = held
            # One damaged timestamp must not shift all later audio.
            if before_s is not None and time_s is not None and time_s < before_s:
                before_s = None
            yield before_s, before
        held = time_s, frame
    if held is not None:
        yield held


class _Run:
    """A run of audio without gaps, of one format: resampled to `rate` and mixed to `layout`."""

    def __init__(
        self, first: AudioFrame, start_s: float, rate: int, layout: str, channel: int | None
    ) -> None:
        self.start_s, self.rate, self.layout, self.channel = start_s, rate, layout, channel
        self.source = _format(first)
        self.taken = 0
        self.given = 0
        self.drift_s = 0.0
        # Channels without positions ("3 channels") cannot be mixed by position: take their mean.
        self.by_mean = layout == "mono" and "channels" in first.layout.name
        self.resampler = AudioResampler(
            # Packed format: PyAV 18 crashes on frames with more than seven planes.
            "flt",
            None if self.by_mean else layout,
            rate,
            # Otherwise the mix of float samples is 3 dB too loud for stereo.
            options={"rematrix_maxval": "1.0"},
        )

    def broken_by(self, frame: AudioFrame, time_s: float | None) -> float | None:
        """Return when a new run starts with this frame, in seconds; None if it continues."""
        end_s = self.start_s + self.taken / self.source[0]
        late_s = 0.0 if time_s is None or time_s - end_s > MAX_GAP_S else time_s - end_s
        self.drift_s += DRIFT_MEMORY * (late_s - self.drift_s)
        if abs(late_s) > JUMP_S:
            return end_s + late_s
        if abs(self.drift_s) > DRIFT_S or _format(frame) != self.source:
            return end_s + self.drift_s
        return None

    def push(self, frame: AudioFrame | None) -> Iterator[_Block]:
        if frame is not None:
            self.taken += frame.samples
        for out in self.resampler.resample(frame):
            if out is None:
                continue  # The reply of an idle resampler when it is flushed.
            block = out.to_ndarray().reshape(-1, out.layout.nb_channels).T
            if self.by_mean:
                block = block.mean(0, keepdims=True)
            if self.channel is not None:
                block = block[self.channel : self.channel + 1]
            yield _Block(self.start_s, self.given, self.rate, block)
            self.given += block.shape[1]


def is_valid_audio(frame: AudioFrame) -> bool:
    """Return whether a frame has plausible properties, not those of a damaged header."""
    low, high = AUDIO_RATES
    return low <= frame.sample_rate <= high and frame.layout.nb_channels <= MAX_CHANNELS


def check_channel(channel: int | None, layout: AudioLayout) -> None:
    """Raise ValueError if a channel is not one of a layout's."""
    if channel is not None and not 0 <= channel < layout.nb_channels:
        count = layout.nb_channels
        raise ValueError(f"channel must be one of the stream's {count} from 0, got {channel}")


def _format(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name
