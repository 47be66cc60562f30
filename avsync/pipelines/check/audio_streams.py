"""Select the audio streams of a file, diagnose those without an offset, and choose the judge.

A mix of channels may hide the speech: `channels_to_try` names single channels that may show it.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import AudioStream, MediaInfo, channel_names
from avsync.media.read_log import ReadLog
from avsync.scoring.music_detection import is_music
from avsync.scoring.result import Reason, StreamResult
from avsync.timing import SAMPLE_RATE

# Length of the beginning of an audio that is tested for music, channels and clipping.
BEGINNING_S = 60
# More invalid samples than this share are a fault of the file, not a click.
MAX_INVALID_SHARE = 0.001
# At most this many channels of a stream are compared on their own.
MAX_CHANNELS = 8
# A channel is left out if it is this much below the loudest one, or as equal to the mix or to
# another channel as this (absolute correlation).
BELOW_LOUDEST_DB, SAME_CORRELATION = 30.0, 0.995
# The channels of a stream cancel where the mix is this much below their mean power.
CANCELLED_DB = 15.0
# Samples this close to the largest absolute value count as clipped, if this share of all does.
CLIPPED_SHARE = 0.03
# A mean this far from zero, as a share of full scale, is a DC offset.
DC_OFFSET = 0.05
# Flags of streams that are not the dialogue of the video.
NOT_DIALOGUE = {"comment", "descriptions", "visual_impaired", "clean_effects", "karaoke", "lyrics"}
# What is reported if no stream has an offset: the first of these reasons.
REASONS: tuple[Reason, ...] = (
    *("out_of_range", "inconsistent", "no_match", "music", "invalid_audio", "too_quiet"),
    *("still_lips", "too_short", "face_too_small", "silence", "no_face", "damaged"),
)


def select_streams(info: MediaInfo, choice: str | int | None) -> list[AudioStream]:
    """Return the audio streams of a file that a choice names.

    Args:
        info: properties of the file.
        choice: a position from 0, a language tag, `all`, or None, which is all.

    Raises:
        UnreadableMedia: if the file has no audio stream, or none that is named.
    """
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio")
    text = "all" if choice is None else str(choice).strip().lower()
    if text == "all":
        return list(info.audio)
    if re.fullmatch(r"\d+", text):
        found = [stream for stream in info.audio if stream.index == int(text)]
    else:
        found = [stream for stream in info.audio if _has_language(stream, text)]
    if not found:
        have = ", ".join(
            f"{s.index} ({s.language})" if s.language else str(s.index) for s in info.audio
        )
        cause = f"the file has no audio stream {choice!r}; it has {have}"
        raise UnreadableMedia("no_audio_stream", cause)
    return found


def _has_language(stream: AudioStream, tag: str) -> bool:
    """Return whether a stream is of a language: `en` stands for `eng` and `en-GB` too."""
    language = (stream.language or "").lower()
    return language == tag or (len(tag) == 2 and language.startswith(tag))


def blank_result(stream: AudioStream) -> StreamResult:
    """Return the result of an audio stream without an answer."""
    return StreamResult(
        audio=stream.index,
        stream=stream.stream,
        codec=stream.codec,
        channels=stream.channels,
        layout=stream.layout,
        language=stream.language,
        title=stream.title,
        dispositions=stream.dispositions,
    )


def read_beginning(
    info: MediaInfo, stream: int, channel: int | None = None, *, mono: bool = True
) -> np.ndarray:
    """Read the first minute of an audio stream at 16 kHz, `(N,)`, or `(C, N)` if not mono."""
    blocks: list[np.ndarray] = []
    count = 0
    reading = read_audio(info.path, info.video_start_s, stream=stream, mono=mono, channel=channel)
    with closing(reading) as audio:
        for block in audio:
            blocks.append(block)
            count += block.shape[-1]
            if count >= BEGINNING_S * SAMPLE_RATE:
                break
    if not blocks:
        return np.zeros(0, np.float32)
    channels = {block.shape[:-1] for block in blocks}
    whole = [block for block in blocks if block.shape[:-1] == blocks[0].shape[:-1]]
    wav = np.concatenate(blocks if len(channels) == 1 else whole, axis=-1)
    return wav[..., : BEGINNING_S * SAMPLE_RATE]


def diagnose(
    result: StreamResult, info: MediaInfo, channel: int | None, log: ReadLog
) -> StreamResult:
    """Return the result of a stream without an offset with the reason that its audio gives.

    Args:
        result: the result.
        info: properties of the file.
        channel: the channel that was compared; None for the mix of all.
        log: what the reader of the audio met.
    """
    if result.status == "ok":
        return result
    if log.samples and (bad := log.invalid_samples + log.huge_samples):
        share = bad / log.samples
        if share > MAX_INVALID_SHARE:
            detail = f"{share:.1%} of the audio samples are not numbers or far beyond full scale"
            return replace(result, reason="invalid_audio", detail=detail)
    if result.reason != "no_match":
        return result
    wav = read_beginning(info, result.audio, channel)
    if is_music(wav):
        return replace(
            result,
            reason="music",
            detail="the audio is music, and no speech in it matches the lips",
        )
    if words := _distortions(wav):
        return replace(result, detail=f"{result.detail}; {' and '.join(words)}")
    return result


def _distortions(wav: np.ndarray) -> list[str]:
    """Return what distorts a waveform, in words."""
    if not len(wav):
        return []
    words = []
    mean, peak = float(wav.mean()), float(np.abs(wav).max())
    if abs(mean) > DC_OFFSET:
        words.append(f"the audio has a DC offset of {mean:+.2f}")
    clipped = float((np.abs(wav - mean) >= 0.85 * np.abs(wav - mean).max()).mean())
    if peak > 0.1 and clipped > CLIPPED_SHARE:
        words.append(f"{clipped:.0%} of the audio is clipped")
    return words


def channels_to_try(info: MediaInfo, stream: StreamResult, *, only_cancelled: bool) -> list[int]:
    """Return the channels of a stream that may show speech that its mix hides.

    The centre comes first, then the others by level. Channels that are silent, equal to the mix,
    or equal to another channel but for their sign are left out.

    Args:
        info: properties of the file.
        stream: the result of the stream's mix.
        only_cancelled: return none unless the channels cancel in the mix.
    """
    if stream.channels < 2 or stream.reason not in ("silence", "too_quiet", "no_match", "music"):
        return []
    names = channel_names(info.path, stream.audio)
    wav = read_beginning(info, stream.audio, mono=False).astype(np.float64)
    if wav.ndim != 2 or len(wav) != len(names) or not wav.any():
        return []
    power = (wav**2).mean(1)
    mix = wav.mean(0)
    cancelled = 10 * np.log10((mix**2).mean() / power.mean() + 1e-30) < -CANCELLED_DB
    if only_cancelled and not (cancelled and stream.reason in ("silence", "too_quiet")):
        return []
    order = sorted(range(len(names)), key=lambda k: (names[k] != "FC", -power[k]))
    kept: list[int] = []
    for channel in order:
        loud = 10 * np.log10(power[channel] / power.max() + 1e-30) > -BELOW_LOUDEST_DB
        compared = [wav[other] for other in kept] + ([] if cancelled else [mix])
        if names[channel] == "LFE" or not loud or _any_equal(wav[channel], compared):
            continue
        kept.append(channel)
    return kept[:MAX_CHANNELS]


def _any_equal(wav: np.ndarray, others: Iterable[np.ndarray]) -> bool:
    norm = np.linalg.norm(wav)
    return any(
        abs(wav @ other) > SAME_CORRELATION * norm * np.linalg.norm(other) for other in others
    )


def judging_stream(streams: Sequence[StreamResult], programme: Sequence[int]) -> StreamResult:
    """Return the stream by which a file is judged.

    A stream out of tolerance comes before one in tolerance, and one with an offset before one
    without; then dialogue that is flagged as default, the streams of the video's own programme,
    and the order of the file.

    Args:
        streams: results of the streams, at least one.
        programme: positions of the streams that belong to the video's own programme.
    """

    def key(stream: StreamResult) -> tuple[int, ...]:
        known = stream.status == "ok"
        reason = REASONS.index(stream.reason) if stream.reason in REASONS else len(REASONS)
        return (
            not known,
            known and stream.verdict == "in_sync",
            0 if known else reason,
            bool(NOT_DIALOGUE & set(stream.dispositions)),
            "default" not in stream.dispositions,
            stream.audio not in programme,
            stream.audio,
        )

    return min(streams, key=key)
