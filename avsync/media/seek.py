"""Read the frames and the audio around given times of a file, by seeking."""

import os
import time
from collections.abc import Iterator
from math import inf

import av
import numpy as np
from av.container import InputContainer

from avsync.media.audio_reader import is_audio
from avsync.media.container import (
    UnreadableMedia,
    audio_stream,
    decoded,
    first_line,
    open_media,
    video_stream,
)
from avsync.media.video_reader import HELD_S, Converter, VideoFrame, decoded_frames, pixel_ratio

# Some containers seek to a time past the one asked for: then again, to one this much earlier.
LEADS_S = (0.0, 1.0, 4.0, 12.0)
# Times come from floats and from clocks of few ticks a second.
CLOSE_S = 0.005
# A range is reached where the first frame after a seek comes no later than this after its start.
LATE_S = 0.1
# Audio is read from this much earlier on: after a seek the first packet may be half a frame.
AUDIO_LEAD_S = 0.3


class VideoSeeker:
    """Reads frames of a video at chosen times, upright and in RGB; a context manager.

    Times are seconds on the file's clock. `first_s` is when the first frame is shown.

    Args:
        path: a media file.
        deadline_s: no frame is decoded once `time.monotonic()` is past this.

    Raises:
        UnreadableMedia: the file is missing, holds no video, or none that can be decoded.
    """

    def __init__(self, path: str | os.PathLike[str], deadline_s: float = inf) -> None:
        self.path, self.deadline_s = path, deadline_s
        self._container = open_media(path)
        try:
            self._stream = video_stream(self._container)
            self.first_s, _ = next(decoded_frames(self._container, self._stream))
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> "VideoSeeker":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frame_at(self, time_s: float) -> np.ndarray | None:
        """Return the frame `(H, W, 3)` uint8 on display at a time; None where there is none, or where the
        deadline has passed.
        """
        for lead_s in LEADS_S:
            shown = None
            try:
                _seek(self._container, time_s - lead_s)
                for shown_s, frame in decoded_frames(self._container, self._stream):
                    if time.monotonic() > self.deadline_s:
                        return None
                    if shown_s > time_s + CLOSE_S:
                        break
                    shown = shown_s, frame
            except UnreadableMedia:
                continue  # There is nothing to decode from there on.
            if shown is not None and time_s - shown[0] < HELD_S:
                return Converter(pixel_ratio(self._stream))(shown[1])
        return None

    def frames_in(
        self, start_s: float, duration_s: float, min_gap_s: float = 0.0
    ) -> Iterator[VideoFrame]:
        """Yield the frames that come on display within `duration_s` of `start_s`.

        Ends early where the deadline passes. Raises UnreadableMedia where nothing can be decoded.

        Args:
            start_s: seconds on the file's clock.
            duration_s: length of the range.
            min_gap_s: frames closer to the one before are left out.
        """
        for lead_s in LEADS_S:
            with open_media(self.path) as container:
                stream = video_stream(container)
                to_rgb = Converter(pixel_ratio(stream))
                _seek(container, start_s - lead_s)
                begun, given_s = False, -inf
                for time_s, frame in decoded_frames(container, stream):
                    late = not begun and time_s > max(start_s, 0) + LATE_S
                    if late and lead_s != LEADS_S[-1]:
                        break
                    begun, at_s = True, time_s - start_s
                    if at_s >= duration_s or time.monotonic() > self.deadline_s:
                        break
                    if at_s >= 0 and at_s - given_s >= min_gap_s:
                        given_s = at_s
                        yield VideoFrame(time_s, to_rgb(frame))
                if begun:
                    return


class AudioSeeker:
    """Reads the audio of a file from chosen times on, mixed to mono; a context manager.

    Times are seconds on the file's clock. `rate` is the sample rate of the file.

    Args:
        path: a media file.

    Raises:
        UnreadableMedia: the file is missing or holds no audio.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._container = open_media(path)
        try:
            self._stream = audio_stream(self._container)
        except BaseException:
            self._container.close()
            raise
        self.rate = int(self._stream.rate)

    def __enter__(self) -> "AudioSeeker":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def blocks_from(
        self, start_s: float, rate: int | None = None
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Yield when each block begins and its samples `(n,)` float32, from shortly before a time.

        Damaged packets are gaps. Ends where a block has no time.

        Args:
            start_s: seconds on the file's clock.
            rate: samples a second, the file's own where None.
        """
        _seek(self._container, max(start_s - AUDIO_LEAD_S, 0))
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate or self.rate)
        for frame in filter(is_audio, decoded(self._container, self._stream)):
            if frame.pts is None or frame.time_base is None:
                return
            for mono in resampler.resample(frame):
                if mono.pts is not None and mono.time_base is not None:
                    yield float(mono.pts * mono.time_base), mono.to_ndarray()[0]


def _seek(container: InputContainer, time_s: float) -> None:
    """Go to the key frame at or before a time, as far as the container can."""
    try:
        container.seek(int(time_s * av.time_base), backward=True)
    except (av.error.FFmpegError, OSError, OverflowError) as error:
        raise UnreadableMedia(
            "damaged", f"the file cannot be sought in: {first_line(error)}"
        ) from error
