"""Read the frames and the audio around given times of a file, by seeking."""

import os
import time
from collections.abc import Iterator
from math import inf

import av
import numpy as np
from av.container import InputContainer

from avsync.media.audio_reader import check_channel, is_valid_audio
from avsync.media.container import (
    UnreadableMedia,
    audio_stream,
    decoded,
    ffmpeg_message,
    open_media,
    video_stream,
)
from avsync.media.video_reader import (
    HELD_S,
    RgbConverter,
    VideoFrame,
    decode_video_frames,
    pixel_ratio,
)

# Some containers seek past the requested time: then retry, this much earlier.
LEADS_S = (0.0, 1.0, 4.0, 12.0)
# Tolerance for float times and coarse time bases.
CLOSE_S = 0.005
# A seek has reached a range if the first frame comes no later than this after its start.
LATE_S = 0.1
# Audio is read from this much earlier: after a seek the first packet may be incomplete.
AUDIO_LEAD_S = 0.3


class VideoSeeker:
    """Read frames of a video at given times, upright and in RGB; a context manager.

    Times are seconds on the file's clock. `first_s` is the time of the first frame.

    Args:
        path: a media file.
        deadline_s: no frame is decoded once `time.monotonic()` is past this.
        stream: position among the video streams without cover art, from 0.

    Raises:
        UnreadableMedia: if the file is missing, has no video, or none that can be decoded.
    """

    def __init__(
        self, path: str | os.PathLike[str], deadline_s: float = inf, stream: int = 0
    ) -> None:
        self.path, self.deadline_s, self.stream = path, deadline_s, stream
        self._container = open_media(path)
        try:
            self._stream = video_stream(self._container, stream)
            self.first_s, _ = next(decode_video_frames(self._container, self._stream))
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> "VideoSeeker":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frame_at(self, time_s: float) -> np.ndarray | None:
        """Return the frame `(H, W, 3)` uint8 on display at a time.

        None if there is none or the deadline has passed.
        """
        for lead_s in LEADS_S:
            shown = None
            try:
                _seek(self._container, time_s - lead_s)
                for shown_s, frame in decode_video_frames(self._container, self._stream):
                    if time.monotonic() > self.deadline_s:
                        return None
                    if shown_s > time_s + CLOSE_S:
                        break
                    shown = shown_s, frame
            except UnreadableMedia:
                continue  # Nothing can be decoded from there on.
            if shown is not None and time_s - shown[0] < HELD_S:
                return RgbConverter(pixel_ratio(self._stream))(shown[1])
        return None

    def frames_in(
        self, start_s: float, duration_s: float, min_gap_s: float = 0.0
    ) -> Iterator[VideoFrame]:
        """Yield the frames whose presentation time is in `[start_s, start_s + duration_s)`.

        Ends early when the deadline passes.

        Args:
            start_s: seconds on the file's clock.
            duration_s: length of the range, in seconds.
            min_gap_s: frames closer than this to the previous one are skipped.

        Raises:
            UnreadableMedia: if nothing can be decoded.
        """
        for lead_s in LEADS_S:
            with open_media(self.path) as container:
                stream = video_stream(container, self.stream)
                to_rgb = RgbConverter(pixel_ratio(stream))
                _seek(container, start_s - lead_s)
                begun, given_s = False, -inf
                for time_s, frame in decode_video_frames(container, stream):
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
    """Read the audio of a file from given times on, mixed to mono; a context manager.

    Times are seconds on the file's clock. `rate` is the sample rate of the file.

    Args:
        path: a media file.
        stream: position among the audio streams, from 0.
        channel: read this channel of the stream, from 0, instead of mixing (`channel_names`).

    Raises:
        UnreadableMedia: if the file is missing or has no audio.
        ValueError: if there is no such stream or channel.
    """

    def __init__(
        self, path: str | os.PathLike[str], stream: int = 0, channel: int | None = None
    ) -> None:
        self._container = open_media(path)
        self.channel = channel
        try:
            self._stream = audio_stream(self._container, stream)
            check_channel(channel, self._stream.layout)
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
        """Yield start times and samples `(n,)` float32 of blocks, from shortly before a time on.

        Damaged packets are gaps. Ends at a block without a timestamp.

        Args:
            start_s: seconds on the file's clock.
            rate: sample rate; by default the file's own.
        """
        _seek(self._container, max(start_s - AUDIO_LEAD_S, 0))
        layout = "mono" if self.channel is None else self._stream.layout.name
        # Packed format: PyAV 18 crashes on frames with more than seven planes.
        resampler = av.AudioResampler(format="flt", layout=layout, rate=rate or self.rate)
        for frame in filter(is_valid_audio, decoded(self._container, self._stream)):
            if frame.pts is None or frame.time_base is None:
                return
            for mono in resampler.resample(frame):
                if mono.pts is not None and mono.time_base is not None:
                    wav = mono.to_ndarray().reshape(-1, mono.layout.nb_channels)
                    yield float(mono.pts * mono.time_base), wav[:, self.channel or 0]


def _seek(container: InputContainer, time_s: float) -> None:
    """Seek to the key frame at or before a time, as far as the container supports it."""
    try:
        container.seek(int(time_s * av.time_base), backward=True)
    except (av.error.FFmpegError, OSError, OverflowError) as error:
        raise UnreadableMedia(
            "damaged", f"seeking in the file failed: {ffmpeg_message(error)}"
        ) from error
