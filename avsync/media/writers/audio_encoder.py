"""Re-encode audio like its source: codec, rate, channels and bit rate, or the nearest available."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.codec import Codec
from av.container import OutputContainer

from avsync.media.container import open_media

# Codecs whose encoder has another name, or whose native encoder is of poor quality.
ENCODERS = {"mp3": "libmp3lame", "opus": "libopus", "vorbis": "libopus"}
# Codecs used in a container if the source's codec has no encoder.
FALLBACKS = {"matroska": "flac", "webm": "libopus", "avi": "libmp3lame", "mpeg": "mp2"}
MXF_ENCODERS = ("pcm_s16le", "pcm_s24le")
LOSSLESS = ("flac", "alac", "pcm_")
OPUS_RATE = 48000
# Matroska does not store the channel layout of PCM, and mp4 requires it.
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
# Packets from which the bit rate is measured if the header lacks it.
RATE_PACKETS = 500
CHANNEL_BIT_RATE = 96_000
# Silent beginnings take few bits; re-encoding at that rate would be audible.
LEAST_CHANNEL_BIT_RATE = 32_000


class AudioPlan(NamedTuple):
    """How one audio stream is re-encoded; `bit_rate` is None for lossless codecs."""

    codec: str
    encoder: str
    rate: int
    layout: str
    sample_format: str | None
    bit_rate: int | None

    def describe(self) -> str:
        """Return a description such as `aac at 128 kb/s` or `dts as flac`."""
        name = Codec(self.encoder, "w").canonical_name
        words = name if name == self.codec else f"{self.codec} as {name}"
        return f"{words} at {round(self.bit_rate / 1000)} kb/s" if self.bit_rate else words


def plan_audio_streams(
    source: Path, writing: OutputContainer, positions: Collection[int] | None = None
) -> dict[int, AudioPlan]:
    """Plan the encoding of the audio streams of a file for a container, by stream index.

    Args:
        source: the file.
        writing: the container.
        positions: which streams, counted among the audio streams from 0; None for all.

    Raises:
        ValueError: if a stream cannot be decoded.
    """
    with open_media(source) as reading:
        streams = [
            audio
            for position, audio in enumerate(reading.streams.audio)
            if positions is None or position in positions
        ]
        for audio in streams:
            if not is_decodable(audio):
                raise ValueError(f"its audio (stream {audio.index}) cannot be decoded")
        measured = _bit_rates(reading, streams)
        return {audio.index: _plan(audio, writing, measured[audio.index]) for audio in streams}


def is_decodable(audio: av.AudioStream) -> bool:
    """Whether FFmpeg knows the codec, sample rate and sample format of an audio stream."""
    context = audio.codec_context
    return context is not None and bool(context.sample_rate) and context.format is not None


def add_encoder(writing: OutputContainer, plan: AudioPlan) -> av.AudioStream:
    """Add an audio stream with an encoder to a container."""
    stream = cast(
        av.AudioStream, writing.add_stream(plan.encoder, rate=plan.rate, layout=plan.layout)
    )
    if plan.bit_rate is not None:
        stream.bit_rate = plan.bit_rate
    if plan.sample_format is not None:
        cast(Any, stream.codec_context).format = plan.sample_format
    return stream


def encode_blocks(
    stream: av.AudioStream, blocks: Iterable[np.ndarray], plan: AudioPlan, start_s: Fraction
) -> Iterator[av.Packet]:
    """Encode float blocks `(C, n)` to packets; the first sample is at `start_s` of the file."""
    at = round(start_s * plan.rate)
    for block in blocks:
        # Packed format: PyAV 18 cannot make frames of more than seven planes.
        packed = np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", plan.layout)
        frame.sample_rate, frame.time_base, frame.pts = plan.rate, Fraction(1, plan.rate), at
        at += block.shape[1]
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _plan(audio: av.AudioStream, writing: OutputContainer, measured: int) -> AudioPlan:
    context = audio.codec_context
    codec = context.codec.canonical_name
    encoder = ENCODERS.get(codec, codec)
    if not _encodes(encoder, writing):
        encoder = FALLBACKS.get(writing.format.name, "aac")
    lossless = encoder.startswith(LOSSLESS)
    default = CHANNEL_BIT_RATE * context.channels
    bit_rate = default if codec.startswith(LOSSLESS) else context.bit_rate or measured or default
    return AudioPlan(
        codec=codec,
        encoder=encoder,
        rate=OPUS_RATE if encoder == "libopus" else context.sample_rate,
        layout=channel_layout(context),
        sample_format=_sample_format(encoder, context.format.name),
        bit_rate=None if lossless else max(bit_rate, LEAST_CHANNEL_BIT_RATE * context.channels),
    )


def channel_layout(context: av.AudioCodecContext) -> str:
    """Return the channel layout of an audio stream; the usual one if the file does not say."""
    name = context.layout.name
    return LAYOUTS.get(context.channels, name) if "channels" in name else name


def _encodes(encoder: str, writing: OutputContainer) -> bool:
    """Whether audio of an encoder is found again in a container: some write what none reads."""
    if writing.format.name == "mxf":
        return encoder in MXF_ENCODERS
    held = BytesIO()
    try:
        codec = Codec(encoder, "w")
        plan = AudioPlan(encoder, encoder, OPUS_RATE, "stereo", None, 2 * CHANNEL_BIT_RATE)
        with av.open(held, "w", format=writing.format.name) as attempt:
            stream = add_encoder(attempt, plan)
            silence = np.zeros((2, OPUS_RATE // 4), np.float32)
            attempt.mux(list(encode_blocks(stream, [silence], plan, Fraction(0))))
        held.seek(0)
        with av.open(held) as found:
            names = [s.codec_context.codec.canonical_name for s in found.streams.audio]
    except (ValueError, AttributeError, av.error.FFmpegError):  # Also for unknown codecs.
        return False
    # The layers of MPEG audio differ in their packets only.
    layers = ("mp2", "mp3")
    return names == [codec.canonical_name] or {*names, codec.canonical_name} <= set(layers)


def _sample_format(encoder: str, source: str) -> str | None:
    """Return a 32-bit sample format if the source has one and the encoder supports it."""
    names = [fmt.name for fmt in Codec(encoder, "w").audio_formats or ()]
    wide = [name for name in names if name.startswith("s32")]
    return wide[0] if wide and source.startswith("s32") and encoder != "libmp3lame" else None


def _bit_rates(
    reading: av.container.InputContainer, streams: Sequence[av.AudioStream]
) -> dict[int, int]:
    """Measure bit rates from the first packets of the file; 0 if unknown."""
    bits: dict[int, int] = {}
    length_s: dict[int, float] = {}
    if not streams:
        return {}
    for packet in islice(reading.demux(streams), RATE_PACKETS * len(streams)):
        if packet.size and packet.duration and packet.time_base is not None:
            index = packet.stream_index
            bits[index] = bits.get(index, 0) + 8 * packet.size
            length_s[index] = length_s.get(index, 0.0) + float(packet.duration * packet.time_base)
    return {
        audio.index: round(bits[audio.index] / length_s[audio.index])
        if length_s.get(audio.index)
        else 0
        for audio in streams
    }
