"""Short preview clips of a face with its audio, with the same offset as in the file."""

import base64
import time

import numpy as np

from avsync.media.container import UnreadableMedia
from avsync.media.seek import AudioSeeker, VideoSeeker
from avsync.media.writers.mp4_bytes import encode_clip
from avsync.report.thumbnails import Box, MediaSource, Moment, around, shrink

# A clip reaches this far to both sides of its moment.
REACH_S = 1.0
SIDE = 240
RATE = 48000
# Frames closer than this are skipped: 30 per second are enough to see lips.
LEAST_S = 1 / 31


def read_clips(source: MediaSource, moments: list[Moment], budget_s: float = 6.0) -> list[str]:
    """Encode an mp4 data URI for each moment; empty if the budget ran out or reading failed."""
    deadline_s = time.monotonic() + budget_s
    return [_clip(source, moment, deadline_s) for moment in moments]


def _clip(source: MediaSource, moment: Moment, deadline_s: float) -> str:
    if time.monotonic() > deadline_s:
        return ""
    try:
        with VideoSeeker(source.path, deadline_s, source.video) as video:
            start_s = video.first_s + moment.t_s - REACH_S
            shown = [
                (frame.time_s - start_s, _cut(frame.image, moment.box))
                for frame in video.frames_in(start_s, 2 * REACH_S, LEAST_S)
            ]
        if len(shown) < 2:
            return ""
        data = encode_clip(shown, _wave(source, start_s, deadline_s), RATE)
    except (RuntimeError, OSError, ValueError):
        # No encoder, or a damaged file: the page shows the thumbnail without a clip.
        return ""
    return "data:video/mp4;base64," + base64.b64encode(data).decode("ascii")


def _cut(image: np.ndarray, box: Box | None) -> np.ndarray:
    return shrink(image if box is None else around(image, box), SIDE)


def _wave(source: MediaSource, start_s: float, deadline_s: float) -> np.ndarray:
    """Return the audio `(N,)` within REACH_S, zero where there is none."""
    wav = np.zeros(round(2 * REACH_S * RATE), np.float32)
    try:
        with AudioSeeker(source.path, source.audio, source.channel) as audio:
            for begin_s, samples in audio.blocks_from(start_s, RATE):
                at = round((begin_s - start_s) * RATE)
                if at >= len(wav) or time.monotonic() > deadline_s:
                    break
                part = samples[max(-at, 0) :][: len(wav) - max(at, 0)]
                wav[max(at, 0) :][: len(part)] = part
    except (UnreadableMedia, OSError):
        pass  # A file without audio has clips without audio.
    return wav
