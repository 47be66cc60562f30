"""Retime the audio of a file by a time map and re-encode it; everything else is copied."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from math import inf
from pathlib import Path

import numpy as np
from av.container import InputContainer

from avsync.media.audio_reader import AudioClock, read_audio
from avsync.media.container import open_media
from avsync.media.probe import probe_media
from avsync.media.writers.atomic_output import (
    atomic_output,
    check_destination,
    explain_write_errors,
)
from avsync.media.writers.audio_encoder import AudioPlan, is_decodable
from avsync.media.writers.comparison.differences import compare_streams, refuse_loss
from avsync.media.writers.comparison.forecast import UNDECODABLE, check_positions, plan_copy
from avsync.media.writers.comparison.forecast import CopyForecast as CopyForecast
from avsync.media.writers.comparison.forecast import forecast_copy as forecast_copy
from avsync.media.writers.copied_packets import copied_packets
from avsync.media.writers.encoded_audio import EncodedAudio
from avsync.media.writers.output_container import (
    OutputFile,
    container_format,
    output_file,
    supported_streams,
)
from avsync.media.writers.patching.mxf_samples import replace_samples
from avsync.media.writers.remux import shifts_by_index
from avsync.media.writers.time_map import AudioSegment, apply_time_map, played_segments
from avsync.timing import SAMPLE_RATE

# Segments of all audio streams, or of each stream by its position among them, from 0.
Segments = Sequence[AudioSegment] | Mapping[int, Sequence[AudioSegment]]


def retime_audio(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    segments: Segments,
    *,
    shifts_ms: Mapping[int, float] | None = None,
    overwrite: bool = False,
    allow_loss: bool = False,
) -> CopyForecast:
    """Copy a media file with its audio shifted segment by segment, or resampled for a drift.

    Audio is decoded, retimed, and encoded like the original: codec, rate, channels and bit rate, or
    the nearest available. All other streams are copied. Memory does not grow with the file.

    Args:
        source: the file to copy, never written to.
        destination: the new file; its extension selects the container.
        segments: by how much the audio leads, from when to when, in seconds from the first frame;
            the first one also applies before it, and the last one to the end of the file. A mapping
            retimes single streams, by their positions among the audio streams, from 0; the others
            are copied without re-encoding.
        shifts_ms: shifts of streams that are copied, by position, positive = later.
        overwrite: replace an existing destination.
        allow_loss: accept a copy that lacks something that matters, as in `shift_audio`.

    Returns:
        How audio was encoded, and what the copy lacks.

    Raises:
        As `shift_audio`.
    """
    source, destination = Path(source), Path(destination)
    check_destination(source, destination, overwrite=overwrite)
    with atomic_output(destination) as partial:
        return write_retimed(
            source, partial, destination, segments, shifts_ms=shifts_ms, allow_loss=allow_loss
        )


def write_retimed(
    source: Path,
    partial: Path,
    destination: Path,
    segments: Segments,
    *,
    shifts_ms: Mapping[int, float] | None = None,
    video: int = 0,
    allow_loss: bool = False,
) -> CopyForecast:
    """Write the file of `retime_audio` to `partial`; errors name `destination`.

    Segments count from the first frame of the video stream at position `video`.
    """
    video_s = probe_media(source, video).video_start_s
    with open_media(source) as reading:
        audio = reading.streams.audio
        maps = _segments_by_position(segments, shifts_ms or {}, len(audio))
        shifts_s = shifts_by_index(reading, shifts_ms or {})
        # Refused before the whole file is copied.
        forecast = forecast_copy(source, destination, encode=tuple(maps), allow_loss=allow_loss)
        unheard = [at for at in maps if not is_decodable(audio[at])]
        indices = {at: audio[at].index for at in maps if at not in unheard}
        with explain_write_errors(source, destination):
            kind = container_format(partial)
            plans = plan_copy(source, partial, kind, indices)
            if kind == "mxf":
                moved = {at: [AudioSegment(0, inf, ms, 0)] for at, ms in (shifts_ms or {}).items()}
                maps = {**maps, **moved}
                _replace_samples(reading, source, partial, maps, video_s)
                return forecast
            excluded = {audio[at].index: UNDECODABLE for at in unheard}
            wanted, _ = supported_streams(reading, kind, plans, excluded)
            spread_s = max(map(abs, shifts_s.values()), default=Fraction(0))
            with output_file(reading, partial, kind, wanted, plans, spread_s) as new:
                made = [
                    _encoder(source, at, new, index, plans[index], maps[at], video_s)
                    for at, index in indices.items()
                    if index in wanted
                ]
                _interleave(reading, new, made, shifts_s)
        found = compare_streams(source, partial, encoded=plans, shifts_s=shifts_s)
    left_out = refuse_loss(source, destination, found, allow_loss=allow_loss)
    return CopyForecast(forecast.encoded, left_out)


def _replace_samples(
    reading: InputContainer,
    source: Path,
    partial: Path,
    maps: Mapping[int, Sequence[AudioSegment]],
    video_s: float,
) -> None:
    """Write an MXF file with retimed samples."""
    audio = {}
    for at, segments in maps.items():
        stream = reading.streams.audio[at]
        rate = stream.codec_context.sample_rate
        audio[stream.index] = _retimed(source, at, rate, segments, 0.0, video_s)
    replace_samples(reading, source, partial, audio)


def _interleave(
    reading: InputContainer,
    new: OutputFile,
    made: Sequence[EncodedAudio],
    shifts_s: Mapping[int, Fraction],
) -> None:
    """Write copied packets and encoded audio in order of time."""
    for packet in copied_packets(reading, new, shifts_s):
        time_s = (packet.dts or 0) * packet.time_base
        for encoded in made:
            encoded.write_until(time_s)
        new.writing.mux_one(packet)
    for encoded in made:
        encoded.write_until(None)


def _segments_by_position(
    segments: Segments, shifts_ms: Mapping[int, float], count: int
) -> dict[int, Sequence[AudioSegment]]:
    if isinstance(segments, Mapping):
        maps = dict(segments)
    else:
        rest = [position for position in range(count) if position not in shifts_ms]
        maps = dict.fromkeys(rest, segments)
    if not segments or not all(maps.values()):
        raise ValueError("segments must hold at least one, got none")
    check_positions("segments", maps, count)
    if both := sorted(set(maps) & set(shifts_ms)):
        raise ValueError(f"an audio stream has either segments or a shift, got both for {both[0]}")
    return maps


def _encoder(
    source: Path,
    number: int,
    new: OutputFile,
    index: int,
    plan: AudioPlan,
    segments: Sequence[AudioSegment],
    video_s: float,
) -> EncodedAudio:
    """Return the encoder of one retimed audio stream of the source."""
    start_s = _start_s(source, number, video_s)
    blocks = _retimed(source, number, plan.rate, segments, start_s, video_s)
    return EncodedAudio(new, index, plan, blocks, start_s)


def _retimed(
    source: Path,
    number: int,
    rate: int,
    segments: Sequence[AudioSegment],
    start_s: float,
    video_s: float,
) -> Iterator[np.ndarray]:
    """Yield the retimed audio of a stream from a time of the source on."""
    # Samples count from the start of the file, segments from the first frame.
    lead_s = video_s - start_s
    moved = [
        part._replace(start_s=part.start_s + lead_s, end_s=part.end_s + lead_s) for part in segments
    ]
    blocks = read_audio(source, start_s, rate, number, mono=False)
    return apply_time_map(blocks, played_segments(moved, rate))


def _start_s(source: Path, number: int, video_s: float) -> float:
    """Return the start of an audio stream in the new file: the first frame, or earlier audio."""
    with open_media(source) as reading:
        audio = reading.streams.audio[number]
        first_s = float((audio.start_time or 0) * (audio.time_base or 0))
    # Audio before time 0 is encoder priming.
    return min(video_s, max(first_s, 0.0))


# Jumps are located no better than this, so any pause within this distance is a valid cut point.
NEAR_S = 0.3
STEP_S = 0.01
# Duration over which the level at a cut is measured.
WINDOW_S = 0.03


def cut_at_silence(
    path: str | os.PathLike[str],
    origin_s: float,
    segments: Sequence[AudioSegment],
    stream: int = 0,
) -> list[AudioSegment]:
    """Move the cut points between segments, by 0.3 s at most, to where the audio is silent.

    At a cut two parts of the audio meet: the point with the lowest sum of their levels is chosen.

    Args:
        path: a media file.
        origin_s: time of the first frame, from which segments count.
        segments: as for `retime_audio`, of constant offsets.
        stream: position among the audio streams.

    Returns:
        The segments with new boundaries.
    """
    moved = list(segments)
    keep_s = 10 + max(abs(part.offset_ms) for part in segments) / 500
    with closing(AudioClock(path, origin_s, keep_s=keep_s, stream=stream)) as audio:
        for index in range(1, len(moved)):
            before, after = moved[index - 1], moved[index]
            moments = after.start_s + np.arange(-NEAR_S, NEAR_S + STEP_S / 2, STEP_S)
            moments = moments[(moments > before.start_s) & (moments < after.end_s)]
            if len(moments) == 0:
                continue
            # In order of time: the audio is read once, forward.
            later, earlier = sorted((before.offset_ms, after.offset_ms))
            loud = _levels(audio, moments - earlier / 1000)
            loud += _levels(audio, moments - later / 1000)
            # Of equally silent points the nearest to the original one.
            away = 1e-6 * np.abs(moments - after.start_s)
            at_s = float(moments[np.argmin(loud + away)])
            moved[index - 1] = before._replace(end_s=at_s)
            moved[index] = after._replace(start_s=at_s)
    return moved


def _levels(audio: AudioClock, moments: np.ndarray) -> np.ndarray:
    """Return the RMS level around each of the increasing times, in seconds."""
    first_s = moments[0] - WINDOW_S / 2
    wav = audio.window(first_s, moments[-1] + WINDOW_S)
    length = round(WINDOW_S * SAMPLE_RATE)
    starts = np.round((moments - moments[0]) * SAMPLE_RATE).astype(int)
    return np.array([np.sqrt(np.mean(wav[at : at + length] ** 2)) for at in starts])
