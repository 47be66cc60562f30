"""A file whose audio is laid out anew over time and encoded again; everything else is copied."""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from avsync.media.audio_reader import AudioClock, read_audio
from avsync.media.container import open_media
from avsync.media.probe import probe
from avsync.media.writers.atomic_output import becoming, plain_errors, refuse_destination
from avsync.media.writers.audio_encoder import AudioPlan, plan_audio_streams
from avsync.media.writers.output_container import (
    EncodedAudio,
    NewContainer,
    Sounds,
    begin,
    container_format,
    fitting,
)
from avsync.media.writers.remux import copied
from avsync.media.writers.time_map import Stretch, segments, warped
from avsync.timing import SAMPLE_RATE


class Prospect(NamedTuple):
    """What a copy of a file will be: how each audio is encoded, and what is left out, in words."""

    encoded: tuple[str, ...]
    left_out: tuple[str, ...]


def retime_audio(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    stretches: Sequence[Stretch],
    *,
    overwrite: bool = False,
) -> Prospect:
    """Copy a media file with its audio moved stretch by stretch, or played faster or slower.

    Every audio track is decoded, laid out anew, and encoded as it was: codec, rate, channels and
    bit rate, or the nearest there are. All other streams are copied as they are. Memory does not
    grow with the file.

    The extension of `destination` names its container, as in `shift_audio`, whose errors hold.

    Args:
        source: the file to copy, never written to.
        destination: the new file.
        stretches: by how much the audio is early, from when to when: seconds from the first
            frame; the first one also holds before it, and the last one to the end of the file.
        overwrite: replace an existing destination, which else is a FileExistsError.
    """
    source, destination = Path(source), Path(destination)
    refuse_destination(source, destination, overwrite=overwrite)
    with becoming(destination) as partial:
        return write_retimed(source, partial, destination, stretches)


def write_retimed(
    source: Path, partial: Path, destination: Path, stretches: Sequence[Stretch]
) -> Prospect:
    """Write the file of `retime_audio` to `partial`; `destination` is named in errors."""
    if not stretches:
        raise ValueError("stretches must hold at least one, got none")
    video_s = probe(source).video_start_s
    with open_media(source) as reading, plain_errors(source, destination):
        kind = container_format(partial)
        with av.open(f"file:{partial}", "w", format=kind) as unwritten:
            sounds = plan_audio_streams(source, unwritten)
        wanted, left_out = fitting(reading, kind, sounds)
        new = begin(reading, partial, kind, wanted, sounds)
        with new.writing:
            made = [
                _laid_out(source, number, new, index, plan, stretches, video_s)
                for number, (index, plan) in enumerate(sounds.items())
            ]
            for packet in copied(reading, new):
                time_s = (packet.dts or 0) * packet.time_base
                for audio in made:
                    audio.write_until(time_s)
                new.writing.mux_one(packet)
            for audio in made:
                audio.write_until(None)
    return Prospect(tuple(plan.describe() for plan in sounds.values()), tuple(left_out))


def prospect(source: Path, destination: Path, *, encode: bool) -> Prospect:
    """Return what a copy of `source` would be, its audio encoded anew or copied; nothing is written.

    RuntimeError where the container that the extension names cannot hold it.
    """
    with open_media(source) as reading, plain_errors(source, destination):
        kind = container_format(destination)
        sounds: Sounds | None = None
        if encode:
            with av.open(f"file:{destination}", "w", format=kind) as unwritten:
                sounds = plan_audio_streams(source, unwritten)
        _, left_out = fitting(reading, kind, sounds)
        words = tuple(plan.describe() for plan in (sounds or {}).values())
        return Prospect(words, tuple(left_out))


def _laid_out(
    source: Path,
    number: int,
    new: NewContainer,
    index: int,
    plan: AudioPlan,
    stretches: Sequence[Stretch],
    video_s: float,
) -> EncodedAudio:
    """Return an audio of the source, stretch by stretch, on its way into the new file."""
    start_s = _start_s(source, number, video_s)
    # Samples are counted from the file's beginning, stretches from the first frame.
    lead_s = video_s - start_s
    moved = [
        each._replace(start_s=each.start_s + lead_s, end_s=each.end_s + lead_s)
        for each in stretches
    ]
    blocks = read_audio(source, start_s, plan.rate, number, mono=False)
    return EncodedAudio(new, index, plan, warped(blocks, segments(moved, plan.rate)), start_s)


def _start_s(source: Path, number: int, video_s: float) -> float:
    """When an audio of the new file begins: with the frames, or before where the old one does."""
    with open_media(source) as reading:
        audio = reading.streams.audio[number]
        first_s = float((audio.start_time or 0) * (audio.time_base or 0))
    # What is dated before the clock begins is an encoder's priming.
    return min(video_s, max(first_s, 0.0))


# Jumps are located no better than this, so a pause as near as this is as good a place.
NEAR_S = 0.3
STEP_S = 0.01
# Audio this long counts on either side of a cut.
WINDOW_S = 0.03


def cut_at_silence(
    path: str | os.PathLike[str], origin_s: float, stretches: Sequence[Stretch]
) -> list[Stretch]:
    """Return the stretches with the moments between them moved, by 0.3 s at most, to where both ends of
    the audio that meet there are quietest.

    Args:
        path: a media file; its first audio counts.
        origin_s: the time of the first frame, from which the stretches count.
        stretches: what `retime_audio` takes, of constant offsets.
    """
    moved = list(stretches)
    keep_s = 10 + max(abs(each.offset_ms) for each in stretches) / 500
    with closing(AudioClock(path, origin_s, keep_s=keep_s)) as audio:
        for index in range(1, len(moved)):
            before, after = moved[index - 1], moved[index]
            moments = after.start_s + np.arange(-NEAR_S, NEAR_S + STEP_S / 2, STEP_S)
            moments = moments[(moments > before.start_s) & (moments < after.end_s)]
            if len(moments) == 0:
                continue
            # In rising order of time: the audio is read once, forward.
            later, earlier = sorted((before.offset_ms, after.offset_ms))
            loud = _levels(audio, moments - earlier / 1000)
            loud += _levels(audio, moments - later / 1000)
            # Of moments equally quiet the nearest to the one asked for.
            away = 1e-6 * np.abs(moments - after.start_s)
            at_s = float(moments[np.argmin(loud + away)])
            moved[index - 1] = before._replace(end_s=at_s)
            moved[index] = after._replace(start_s=at_s)
    return moved


def _levels(audio: AudioClock, moments: np.ndarray) -> np.ndarray:
    """Return how loud it is around each of rising moments, in seconds, as root mean squares."""
    first_s = moments[0] - WINDOW_S / 2
    wav = audio.window(first_s, moments[-1] + WINDOW_S)
    length = round(WINDOW_S * SAMPLE_RATE)
    starts = np.round((moments - moments[0]) * SAMPLE_RATE).astype(int)
    return np.array([np.sqrt(np.mean(wav[at : at + length] ** 2)) for at in starts])
