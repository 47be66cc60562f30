"""The report page of a separation: what was heard, which share of it is each voice's, and both to
be listened to."""

import base64
import os
from datetime import UTC, datetime
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from avsync.atomic import write_text
from avsync.media.container import UnreadableMedia
from avsync.media.writers.wav_writer import samples_of
from avsync.pipelines.check.messages import printable
from avsync.pipelines.separate.result import SeparationResult, Voice
from avsync.report.axes import Tick, clock
from avsync.report.heat_map import viridis
from avsync.report.html import environment
from avsync.report.thumbnails import Moment, Picture, jpeg_uri, read_images

# So much of a file is drawn and played: the stretch in which the voices are heard most.
EXCERPT_S = 12
# Of a long file so many stretches are looked at, each for so long.
LOOKS, LOOK_S = 400, 0.25
PLAYED_RATE, PLAYED_BITS = 44100, 64_000
# Seconds for the images of the faces.
BUDGET_S = 6.0


class Part(NamedTuple):
    """One audio of the page: images as data URIs, `share` empty where it is no voice."""

    title: str
    words: str
    file: str
    audio: str
    spectrum: str
    share: str
    face: Picture | None


class Excerpt(NamedTuple):
    """What the page shows of the audio streams: from sample `first` on, `start_s` seconds after the first
    image.
    """

    first: int
    samples: int
    start_s: float


def write_separation_report(result: SeparationResult, path: str | os.PathLike[str]) -> None:
    """Write the page of a separation as one HTML file that needs nothing but itself.

    ValueError where nothing was separated: there is nothing to show.
    """
    if result.status != "ok" or result.sample_rate is None:
        raise ValueError(f"result must be of a file that was separated, got {result.detail}")
    excerpt, parts = _parts(result)
    page = (
        environment()
        .get_template("separation.html.j2")
        .render(
            result=result,
            name=printable(Path(result.file).name),
            parts=parts,
            excerpt=excerpt,
            length_s=excerpt.samples / result.sample_rate,
            ticks=_ticks(excerpt, result.sample_rate),
            top_khz=TOP_HZ // 1000,
            written=datetime.now(UTC),
        )
    )
    write_text(os.fspath(path), page)


def _parts(result: SeparationResult) -> tuple[Excerpt, list[Part]]:
    rate, folder = result.sample_rate or 0, Path(result.output)
    voices = [samples_of(folder / voice.file) for voice in result.voices]
    rest = samples_of(folder / (result.rest or ""))
    excerpt = _excerpt(voices, rest, rate, result.start_s or 0.0)
    span = slice(excerpt.first, excerpt.first + excerpt.samples)
    waves = [np.asarray(each[span]).mean(1) for each in (*voices, rest)]
    mixture = np.sum(waves, axis=0)
    heard = power(mixture, rate)
    loudest = float(heard.max())
    faces = _faces(result, excerpt, rate)
    parts = [
        Part(
            "The audio of the file", "voices and rest together", "",
            _sound_uri(mixture, rate), jpeg_uri(loudness_image(heard, loudest)), "", None,
        )
    ]  # fmt: skip
    for voice, wave, face in zip(result.voices, waves, faces, strict=False):
        own = power(wave, rate)
        images = loudness_image(own, loudest), share_image(own, heard)
        spectrum, share = map(jpeg_uri, images)
        audio = _sound_uri(wave, rate)
        parts.append(
            Part(_title(voice, result), _words(voice), voice.file, audio, spectrum, share, face)
        )
    left = jpeg_uri(loudness_image(power(waves[-1], rate), loudest))
    words = "the audio of the file without these voices"
    parts.append(
        Part("The rest", words, result.rest or "", _sound_uri(waves[-1], rate), left, "", None)
    )
    return excerpt, parts


def _excerpt(voices: list[np.ndarray], rest: np.ndarray, rate: int, start_s: float) -> Excerpt:
    """Return the stretch in which the voices, each against its own mean, are loudest."""
    total, count = len(rest), min(len(rest), EXCERPT_S * rate)
    looks = min(LOOKS, 1 + (total - count) // rate)
    starts = np.linspace(0, total - count, looks)
    scores = np.zeros(len(starts))
    for voice in voices:
        energies = np.array([_energy(voice, int(first), count, rate) for first in starts])
        scores += energies / max(energies.mean(), 1e-20)
    first = int(starts[scores.argmax()])
    return Excerpt(first, count, start_s + first / rate)


def _energy(voice: np.ndarray, first: int, count: int, rate: int) -> float:
    """Return the energy of a stretch by looks of `LOOK_S` spread over it."""
    look = max(1, min(count, round(LOOK_S * rate)))
    places = np.linspace(first, first + count - look, 8).astype(int)
    return float(sum(np.square(voice[at : at + look], dtype=np.float64).sum() for at in places))


def _faces(result: SeparationResult, excerpt: Excerpt, rate: int) -> list[Picture | None]:
    """Return an image of each voice's face, from the excerpt where it is seen there."""
    middle_s = excerpt.start_s + excerpt.samples / rate / 2
    moments = []
    for voice in result.voices:
        nearest = min(
            (min(max(middle_s, start_s), end_s - 0.2) for start_s, end_s in voice.seen),
            key=lambda t_s: abs(t_s - middle_s),
            default=middle_s,
        )
        moments.append(Moment(max(nearest, 0.0), voice.box))
    try:
        return read_images(result.file, moments, BUDGET_S)
    except (UnreadableMedia, av.error.FFmpegError, OSError, cv2.error):
        return [None] * len(moments)  # The file is gone; the audio streams are still there.


def _title(voice: Voice, result: SeparationResult) -> str:
    if voice.number is None:
        return "The voice"
    side = {0: ", left", result.faces - 1: ", right"}.get(voice.number, "")
    return f"Voice {voice.number}{side if result.faces > 1 else ''}"


def _words(voice: Voice) -> str:
    level = "silent" if voice.level_db is None else f"{voice.level_db:+.1f} dB against the file"
    spans = [f"{clock(start_s)} to {clock(end_s)}" for start_s, end_s in voice.seen]
    more = f" and {len(spans) - 3} times more" if len(spans) > 3 else ""
    return f"{level}; in view {', '.join(spans[:3])}{more}" if spans else level


def _ticks(excerpt: Excerpt, rate: int) -> list[Tick]:
    """Round seconds of the file, in percent across the excerpt."""
    length_s = excerpt.samples / rate
    step = 1 if length_s <= 6 else 2
    first = -(-excerpt.start_s // step) * step
    times = np.arange(first, excerpt.start_s + length_s, step)
    return [
        Tick(round(100 * (t - excerpt.start_s) / length_s, 2), clock(t)) for t in times.tolist()
    ]


def _sound_uri(wave: np.ndarray, rate: int) -> str:
    """Return an audio `(N,)` as an mp4 in a data URI."""
    video = BytesIO()
    with av.open(video, "w", format="mp4") as container:
        audio = container.add_stream("aac", rate=PLAYED_RATE, layout="mono")
        audio.bit_rate = PLAYED_BITS
        # The encoder brings it to its own rate.
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler("fltp", "mono", PLAYED_RATE)
        for each in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(audio.encode(each))
        container.mux(audio.encode(None))
    return "data:audio/mp4;base64," + base64.b64encode(video.getvalue()).decode("ascii")


TOP_HZ = 8000
WINDOW_S = 0.04
WIDTH, HEIGHT = 800, 200
# What lies so far under the loudest of the mixture is dark.
RANGE_DB = 70.0
COLOURS = viridis(256)


def power(wav: np.ndarray, rate: int) -> np.ndarray:
    """Power of an audio `(N,)` at `WIDTH` moments and every frequency up to 8 kHz, low to high `(F,
    WIDTH)`; zero above half the rate.
    """
    length = round(WINDOW_S * rate)
    window = np.hanning(length + 2)[1:-1]
    padded = np.pad(np.asarray(wav, np.float64), (length // 2, length))
    starts = np.linspace(0, max(len(wav) - 1, 0), WIDTH).round().astype(int)
    frames = padded[starts[:, None] + np.arange(length)]
    spectrum = np.abs(np.fft.rfft(frames * window, axis=1).T) ** 2
    rows = round(TOP_HZ * length / rate)
    return np.pad(spectrum[:rows], [(0, max(0, rows - len(spectrum))), (0, 0)])


def loudness_image(spectrum: np.ndarray, loudest: float) -> np.ndarray:
    """Return a spectrum `(F, T)` against the loudest power, as an image `(HEIGHT, WIDTH, 3)` uint8."""
    decibels = 10 * np.log10(np.maximum(spectrum, 1e-20) / max(loudest, 1e-20))
    return _coloured(1 + decibels / RANGE_DB)


def share_image(voice: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Return the share of a mixture's amplitude that a voice is, from 0 to 1, as an image; none where
    the mixture is silent.
    """
    heard = mixture > 10 ** (-RANGE_DB / 10) * max(float(mixture.max()), 1e-20)
    return _coloured(np.where(heard, np.sqrt(voice / np.maximum(mixture, 1e-20)), 0))


def _coloured(levels: np.ndarray) -> np.ndarray:
    """Levels `(F, T)` from 0 to 1, low frequencies first, as colours with high ones on top."""
    image = cv2.resize(levels[::-1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return COLOURS[np.clip(255 * image, 0, 255).round().astype(np.uint8)]
