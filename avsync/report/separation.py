"""Report of a separation: spectrogram, mask and audio player of each voice and of the rest."""

import base64
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from avsync.media.container import UnreadableMedia
from avsync.media.writers.mp4_bytes import encode_audio
from avsync.media.writers.wav_writer import samples_of
from avsync.outputs import HTML_REPORT, write_output
from avsync.pipelines.check.messages import printable
from avsync.pipelines.separate.result import SeparatedVoice, SeparationResult
from avsync.report.axes import AxisTick, clock
from avsync.report.heat_map import viridis
from avsync.report.html import environment
from avsync.report.thumbnails import MediaSource, Moment, Thumbnail, jpeg_uri, read_images

# Duration of the excerpt that is drawn and played: the one in which the voices are loudest.
EXCERPT_S = 12
# Candidate excerpts of a long file, and the duration of each energy probe in one.
CANDIDATES, PROBE_S = 400, 0.25
PLAYED_RATE, PLAYED_BITS = 44100, 64_000
# Time budget for reading the thumbnails.
BUDGET_S = 6.0
# The spectrogram: highest frequency, window, size in pixels.
TOP_HZ = 8000
WINDOW_S = 0.04
WIDTH, HEIGHT = 800, 200
# Powers this far below the loudest of the mixture are drawn dark.
RANGE_DB = 70.0
COLOURS = viridis(256)


class Part(NamedTuple):
    """One section of the page: audio and images as data URIs; `share` is empty for the rest."""

    title: str
    words: str
    file: str
    audio: str
    spectrum: str
    share: str
    face: Thumbnail | None


class Excerpt(NamedTuple):
    """The excerpt shown: `samples` from sample `first`, `start_s` seconds after the first frame."""

    first: int
    samples: int
    start_s: float


def write_separation_report(
    result: SeparationResult, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write the report of a separation as one self-contained HTML file.

    Args:
        result: a result with status `ok`.
        path: the HTML file; an earlier report is replaced.
        overwrite: replace any other file too, but neither the video nor the separated files.

    Raises:
        ValueError: if nothing was separated, or the path is one of the files of the separation.
        OSError: if the path may not be replaced.
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
    inputs = [Path(result.file), *(Path(result.output) / name for name in result.written())]
    write_output(os.fspath(path), page, HTML_REPORT, inputs, overwrite=overwrite)


def _parts(result: SeparationResult) -> tuple[Excerpt, list[Part]]:
    rate, folder = result.sample_rate or 0, Path(result.output)
    voices = [samples_of(folder / voice.file) for voice in result.voices]
    rest = samples_of(folder / (result.rest or ""))
    excerpt = _excerpt(voices, rest, rate, result.start_s or 0.0)
    shown = slice(excerpt.first, excerpt.first + excerpt.samples)
    waves = [np.asarray(wav[shown]).mean(1) for wav in (*voices, rest)]
    mixture = np.sum(waves, axis=0)
    mixture_power = power(mixture, rate)
    loudest = float(mixture_power.max())
    faces = _faces(result, excerpt, rate)
    parts = [
        Part(
            "The audio of the file", "voices and rest together", "",
            _audio_uri(mixture, rate), jpeg_uri(loudness_image(mixture_power, loudest)), "", None,
        )
    ]  # fmt: skip
    for voice, wave, face in zip(result.voices, waves, faces, strict=False):
        own = power(wave, rate)
        images = loudness_image(own, loudest), share_image(own, mixture_power)
        spectrum, share = map(jpeg_uri, images)
        audio = _audio_uri(wave, rate)
        parts.append(
            Part(_title(voice, result), _words(voice), voice.file, audio, spectrum, share, face)
        )
    left = jpeg_uri(loudness_image(power(waves[-1], rate), loudest))
    words = "the audio of the file without these voices"
    parts.append(
        Part("The rest", words, result.rest or "", _audio_uri(waves[-1], rate), left, "", None)
    )
    return excerpt, parts


def _excerpt(voices: list[np.ndarray], rest: np.ndarray, rate: int, start_s: float) -> Excerpt:
    """Return the excerpt in which the voices, relative to their own means, are loudest."""
    total, count = len(rest), min(len(rest), EXCERPT_S * rate)
    candidates = min(CANDIDATES, 1 + (total - count) // rate)
    starts = np.linspace(0, total - count, candidates)
    scores = np.zeros(len(starts))
    for voice in voices:
        energies = np.array([_energy(voice, int(first), count, rate) for first in starts])
        scores += energies / max(energies.mean(), 1e-20)
    first = int(starts[scores.argmax()])
    return Excerpt(first, count, start_s + first / rate)


def _energy(voice: np.ndarray, first: int, count: int, rate: int) -> float:
    """Estimate the energy of `count` samples from eight probes of `PROBE_S`."""
    size = max(1, min(count, round(PROBE_S * rate)))
    starts = np.linspace(first, first + count - size, 8).astype(int)
    return float(sum(np.square(voice[at : at + size], dtype=np.float64).sum() for at in starts))


def _faces(result: SeparationResult, excerpt: Excerpt, rate: int) -> list[Thumbnail | None]:
    """Return a thumbnail of each voice's face, from the excerpt if it is in view there."""
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
        return read_images(MediaSource(result.file), moments, BUDGET_S)
    except (UnreadableMedia, OSError, cv2.error):
        return [None] * len(moments)  # The video no longer exists; the separated audio does.


def _title(voice: SeparatedVoice, result: SeparationResult) -> str:
    if voice.number is None:
        return "The voice"
    side = {0: ", left", result.faces - 1: ", right"}.get(voice.number, "")
    return f"Voice {voice.number}{side if result.faces > 1 else ''}"


def _words(voice: SeparatedVoice) -> str:
    level = "silent" if voice.level_db is None else f"{voice.level_db:+.1f} dB against the file"
    in_view = [f"{clock(start_s)} to {clock(end_s)}" for start_s, end_s in voice.seen]
    more = f" and {len(in_view) - 3} times more" if len(in_view) > 3 else ""
    return f"{level}; in view {', '.join(in_view[:3])}{more}" if in_view else level


def _ticks(excerpt: Excerpt, rate: int) -> list[AxisTick]:
    """Return ticks at whole seconds of the file, in percent across the excerpt."""
    length_s = excerpt.samples / rate
    step = 1 if length_s <= 6 else 2
    first = -(-excerpt.start_s // step) * step
    times = np.arange(first, excerpt.start_s + length_s, step)
    return [
        AxisTick(round(100 * (t - excerpt.start_s) / length_s, 2), clock(t)) for t in times.tolist()
    ]


def _audio_uri(wave: np.ndarray, rate: int) -> str:
    """Encode a waveform `(N,)` as an mp4 data URI."""
    data = encode_audio(wave, rate, PLAYED_RATE, PLAYED_BITS)
    return "data:audio/mp4;base64," + base64.b64encode(data).decode("ascii")


def power(wav: np.ndarray, rate: int) -> np.ndarray:
    """Compute the power spectrogram `(F, WIDTH)` of a waveform `(N,)` up to 8 kHz, low to high.

    It is zero above half the sample rate.
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
    """Draw a spectrogram `(F, T)` relative to the loudest power: `(HEIGHT, WIDTH, 3)` uint8."""
    decibels = 10 * np.log10(np.maximum(spectrum, 1e-20) / max(loudest, 1e-20))
    return _coloured(1 + decibels / RANGE_DB)


def share_image(voice: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Draw a voice's share of the mixture's amplitude, in [0, 1]; 0 where the mixture is silent."""
    audible = mixture > 10 ** (-RANGE_DB / 10) * max(float(mixture.max()), 1e-20)
    return _coloured(np.where(audible, np.sqrt(voice / np.maximum(mixture, 1e-20)), 0))


def _coloured(levels: np.ndarray) -> np.ndarray:
    """Map levels `(F, T)` in [0, 1], low frequencies first, to colours with high ones on top."""
    image = cv2.resize(levels[::-1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return COLOURS[np.clip(255 * image, 0, 255).round().astype(np.uint8)]
