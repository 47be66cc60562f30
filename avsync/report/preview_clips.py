"""Short clips of a face with its audio, to be played on the page: as far apart as in the file."""

import base64
import time
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
from av.container import OutputContainer

from avsync.media.container import UnreadableMedia, audio_stream, open_media, video_stream
from avsync.media.video_reader import Converter, decoded_frames, pixel_ratio
from avsync.report.thumbnails import LEADS_S, Moment, around, audio_of, shrink

# A clip reaches this far to both sides of its moment.
REACH_S = 1.0
SIDE = 240
RATE = 48000
# Images closer than this are left out: 60 a second show lips no better than 30.
LEAST_S = 1 / 31
TICKS = Fraction(1, 90000)
Shown = list[tuple[float, np.ndarray]]


def read_clips(path: str, moments: list[Moment], budget_s: float = 6.0) -> list[str]:
    """Return an mp4 as a data URI for each moment; empty where the budget ran out or nothing was read."""
    deadline = time.monotonic() + budget_s
    return [_clip(path, moment, deadline) for moment in moments]


def _clip(path: str, moment: Moment, deadline: float) -> str:
    if time.monotonic() > deadline:
        return ""
    try:
        with open_media(path) as container:
            stream = video_stream(container)
            first = next(decoded_frames(container, stream), None)
            start_s = (0.0 if first is None else first[0]) + moment.t_s - REACH_S
        shown = _pictures(path, moment, start_s, deadline)
        return "" if len(shown) < 2 else _uri(shown, _wave(path, start_s, deadline))
    except (UnreadableMedia, av.error.FFmpegError, OSError, ValueError):
        # No encoder, or a file that breaks here: the page has its image without a clip.
        return ""


def _pictures(path: str, moment: Moment, start_s: float, deadline: float) -> Shown:
    """Images within the reach of a moment, by seconds from its beginning."""
    for lead_s in LEADS_S:
        shown: Shown = []
        with open_media(path) as container:
            stream = video_stream(container)
            to_rgb = Converter(pixel_ratio(stream))
            container.seek(int((start_s - lead_s) * av.time_base), backward=True)
            begun_s = None
            for time_s, frame in decoded_frames(container, stream):
                begun_s = time_s if begun_s is None else begun_s
                at_s = time_s - start_s
                if at_s >= 2 * REACH_S or time.monotonic() > deadline:
                    break
                if at_s < 0 or (shown and at_s - shown[-1][0] < LEAST_S):
                    continue
                image = to_rgb(frame)
                image = image if moment.box is None else around(image, moment.box)
                shown.append((at_s, shrink(image, SIDE)))
        if begun_s is None or begun_s <= max(start_s, 0) + 0.1:
            break
    return shown


def _wave(path: str, start_s: float, deadline: float) -> np.ndarray:
    """Audio `(N,)` within the reach, silent where there is none."""
    wav = np.zeros(round(2 * REACH_S * RATE), np.float32)
    try:
        with open_media(path) as container:
            stream = audio_stream(container)
            container.seek(int(max(start_s - 0.3, 0) * av.time_base), backward=True)
            for begin_s, samples in audio_of(container, stream, RATE):
                at = round((begin_s - start_s) * RATE)
                if at >= len(wav) or time.monotonic() > deadline:
                    break
                part = samples[max(-at, 0) :][: len(wav) - max(at, 0)]
                wav[max(at, 0) :][: len(part)] = part
    except (UnreadableMedia, av.error.FFmpegError, OSError):
        pass  # A file without audio has clips without audio.
    return wav


def _uri(shown: Shown, wav: np.ndarray) -> str:
    video = BytesIO()
    with av.open(video, "w", format="mp4") as container:
        _write(container, shown, wav)
    return "data:video/mp4;base64," + base64.b64encode(video.getvalue()).decode("ascii")


def _write(container: OutputContainer, shown: Shown, wav: np.ndarray) -> None:
    height, width = (side // 2 * 2 for side in shown[0][1].shape[:2])
    options = {"crf": "30", "preset": "fast", "profile": "main", "bf": "0"}
    picture = container.add_stream("libx264", rate=30, options=options)
    picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
    picture.codec_context.time_base = TICKS
    audio = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=48_000)
    packets: list[av.Packet] = []
    for at_s, image in shown:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), "rgb24")
        frame.pts, frame.time_base = round(at_s / TICKS), TICKS
        packets += picture.encode(frame)
    packets += picture.encode(None)
    whole = av.AudioFrame.from_ndarray(wav[None], "fltp", "mono")
    whole.sample_rate, whole.pts, whole.time_base = RATE, 0, Fraction(1, RATE)
    packets += [*audio.encode(whole), *audio.encode(None)]
    for packet in packets:
        container.mux(packet)
