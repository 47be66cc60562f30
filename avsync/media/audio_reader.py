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

from avsync.media.audio_runs import JUMP_S, AudioRun, ResampledBlock, check_channel, is_valid_audio
from avsync.media.container import (
    MAX_LENGTH_S,
    UnreadableMedia,
    audio_stream,
    decoded,
    open_media,
)
from avsync.media.read_log import ReadLog, add_jumps
from avsync.media.timestamps.continuous_clock import ContinuousClock
from avsync.timing import SAMPLE_RATE

# Gaps are filled with silent blocks of at most this.
BLOCK_S = 1.0
# Crafted timestamps must not turn kilobytes into hours of silence: it may last for a quarter of an
# hour, for a multiple of the audio, and for as long as a file of this size can have video, which
# takes more than a kilobyte per second. So a microphone that is opened hours later is read.
SPARE_SILENCE_S = 900.0
SILENCE_PER_AUDIO = 60.0
MIN_BYTES_PER_S = 1000


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
    log = ReadLog() if log is None else log
    source = _Source(path, sample_rate, stream, mono, channel, origin_s, log)
    return _on_clock(_resampled_blocks(source), source)


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


class _Source(NamedTuple):
    """What is read: the arguments of `read_audio`."""

    path: str | os.PathLike[str]
    rate: int | None
    stream: int
    mono: bool
    channel: int | None
    origin_s: float
    log: ReadLog


def _on_clock(blocks: Iterator[ResampledBlock], source: _Source) -> Generator[np.ndarray]:
    """Yield blocks one after the other, with silence where audio is missing."""
    cursor, filled, rate = 0, 0, 1
    selected = 0 if source.mono else slice(None)
    spare_s = SPARE_SILENCE_S + os.stat(source.path).st_size / MIN_BYTES_PER_S
    for run_s, at, rate, block in blocks:
        start = round((run_s - source.origin_s) * rate) + at
        if start > cursor:
            filled += start - cursor
            _check_silence(filled / rate, (start - filled) / rate, spare_s)
        while cursor < start:
            silence = min(start - cursor, round(BLOCK_S * rate))
            yield np.zeros((len(block), silence), np.float32)[selected]
            cursor += silence
        if start < cursor:
            block = block[:, cursor - start :]
        if block.shape[1]:
            cursor += block.shape[1]
            yield block[selected]
        if cursor > MAX_LENGTH_S * rate:
            break
    source.log.audio_end_s = cursor / rate


def _check_silence(filled_s: float, decoded_s: float, spare_s: float) -> None:
    if filled_s > spare_s + SILENCE_PER_AUDIO * decoded_s:
        cause = f"the timestamps of its audio put {filled_s / 60:.0f} minutes of silence around"
        raise UnreadableMedia("damaged", f"{cause} {max(decoded_s, 0.0):.1f} s of audio")


def _resampled_blocks(source: _Source) -> Iterator[ResampledBlock]:
    """Yield audio in runs without gaps; each run is resampled on its own."""
    with open_media(source.path) as container:
        stream = audio_stream(container, source.stream)
        run: AudioRun | None = None
        clock, jumps = ContinuousClock(container, stream), 0
        frames = filter(is_valid_audio, decoded(clock.packets(), stream))
        for time_s, frame in _audio_with_times(frames):
            start_s = None
            while time_s is not None and jumps < len(clock.jumps):
                if time_s < clock.jumps[jumps].time_s - JUMP_S / 1000:
                    break
                # Runs follow the new clock exactly: smaller steps are taken for jitter.
                start_s, jumps = time_s, jumps + 1
            if run is None:
                run = _first_run(source, frame, time_s or 0.0)
            else:
                start_s = run.broken_by(frame, time_s) if start_s is None else start_s
                if start_s is not None:
                    yield from run.push(None)
                    run = run.next(frame, start_s)
            yield from run.push(frame)
            add_jumps(source.log, clock.jumps, source.origin_s)
        if run is None:
            raise UnreadableMedia("damaged", "no audio of the audio stream could be decoded")
        yield from run.push(None)


def _first_run(source: _Source, frame: AudioFrame, start_s: float) -> AudioRun:
    check_channel(source.channel, frame.layout)
    mix = source.mono and source.channel is None
    layout = "mono" if mix else frame.layout.name
    rate = source.rate or frame.sample_rate
    return AudioRun(frame, start_s, rate, layout, source.channel, source.log)


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
