"""Encode a video of given YUV frames and the audio of a file; frames keep their times."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.codec import Codec
from av.container import OutputContainer

from avsync.media.audio_reader import read_audio
from avsync.media.container import open_media, video_stream
from avsync.media.writers.atomic_output import explain_write_errors
from avsync.media.writers.audio_encoder import (
    CHANNEL_BIT_RATE,
    AudioPlan,
    add_encoder,
    plan_audio_streams,
)
from avsync.media.writers.encoded_audio import EncodedAudio
from avsync.media.writers.output_container import MP4, OutputFile, container_format
from avsync.media.yuv import FORMATS, YuvFrame
from avsync.timing import FPS

# Containers that store the time of every frame and arbitrary metadata keys.
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
# High quality, so that re-encoding is not visible.
ENCODERS = {
    "webm": ("libvpx-vp9", {"crf": "20", "b": "0", "cpu-used": "4", "row-mt": "1"}),
    "": ("libx264", {"crf": "17", "preset": "medium"}),
}
# Needed by mp4 and mov for metadata keys other than title, comment and the like.
ANY_METADATA = {"movflags": "use_metadata_tags"}
UNPLAYED = ("pcm_", "mp2")
# Metadata that the muxer writes itself.
MUXER_METADATA = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")


class TimedFrame(NamedTuple):
    """A frame and its presentation time, in seconds from the first one."""

    time_s: float
    frame: YuvFrame


class NewAudio(NamedTuple):
    """The audio of a new video: `length_s` of a file, from `origin_s` on its clock."""

    path: str
    origin_s: float
    length_s: float


def check_suffix(destination: Path) -> None:
    """Check that the extension is that of a container that videos are written to.

    Raises:
        ValueError: if it is not.
    """
    if destination.suffix.lower() not in SUFFIXES:
        raise ValueError(f"output must end in {', '.join(SUFFIXES)}, got {destination.name}")


def encoder_formats(destination: Path) -> tuple[tuple[str, ...], bool]:
    """Return the pixel formats that the encoder takes, and whether odd sizes may be subsampled."""
    name, _ = _encoder(container_format(destination))
    known = {fmt.name for fmt in Codec(name, "w").video_formats or ()}
    return tuple(fmt for fmt in FORMATS if fmt in known), name != "libx264"


def write_video(
    source: Path,
    partial: Path,
    destination: Path,
    frames: Iterable[TimedFrame],
    audio: NewAudio,
    words: Mapping[str, str],
) -> None:
    """Encode frames, and audio that starts with them, to `partial`.

    Args:
        source: the video of the frames; its aspect ratio, frame rate and metadata are kept.
        partial: the new file.
        destination: named in errors.
        frames: in order, of one layout.
        audio: encoded with its own codec if the container supports it, else in AAC or the like.
        words: additional metadata, which override those of the source.
    """
    kind = container_format(partial)
    rest = iter(frames)
    first = next(rest)
    with explain_write_errors(source, destination):
        plan = plan_audio(Path(audio.path), partial, kind)
        writing = av.open(
            f"file:{partial}",
            "w",
            format=kind,
            container_options=ANY_METADATA if kind in MP4 else {},
            metadata_errors="surrogateescape",
        )
        with writing:
            stream = _add_video_stream(writing, source, first.frame, words)
            new = OutputFile(writing, {}, {0: add_encoder(writing, plan)})
            blocks = cut(read_audio(audio.path, audio.origin_s, plan.rate, mono=False),
                         round(audio.length_s * plan.rate))  # fmt: skip
            encoded_audio = EncodedAudio(new, 0, plan, blocks, 0.0)
            for packet in _encoded(stream, chain([first], rest)):
                writing.mux_one(packet)
                encoded_audio.write_until(max(packet.dts or 0, 0) * packet.time_base)
            encoded_audio.write_until(None)


def plan_audio(audio: Path, partial: Path, kind: str) -> AudioPlan:
    """Plan the encoding of the first audio stream of a file for a container.

    It keeps its codec, except for codecs that few players support in an mp4, which become AAC.
    """
    with av.open(f"file:{partial}", "w", format=kind) as unwritten:
        plans = plan_audio_streams(audio, unwritten)
    plan = plans[min(plans)]
    if plan.encoder == "aac" or (kind in ("mp4", "ipod") and plan.encoder.startswith(UNPLAYED)):
        rates = Codec("aac", "w").audio_rates or []
        channels = av.AudioLayout(plan.layout).nb_channels
        return plan._replace(
            encoder="aac",
            rate=plan.rate if plan.rate in rates else max(rates),
            sample_format=None,
            bit_rate=plan.bit_rate or CHANNEL_BIT_RATE * channels,
        )
    return plan


def cut(blocks: Iterable[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    """Yield the first `samples` samples of blocks `(C, n)`."""
    for block in blocks:
        if samples <= 0:
            return
        yield block[:, :samples]
        samples -= block.shape[1]


def _encoder(kind: str) -> tuple[str, dict[str, str]]:
    return ENCODERS.get(kind, ENCODERS[""])


def _add_video_stream(
    writing: OutputContainer, source: Path, first: YuvFrame, words: Mapping[str, str]
) -> av.VideoStream:
    """Add a video stream for frames like the first, with the properties of the source's stream."""
    layout = first.layout
    name, options = _encoder(writing.format.name)
    with open_media(source) as reading:
        old = video_stream(reading)
        rate = old.average_rate or old.guessed_rate or Fraction(FPS)
        stream = cast(av.VideoStream, writing.add_stream(name, rate=rate, options=dict(options)))
        stream.width, stream.height, stream.pix_fmt = layout.width, layout.height, layout.format
        context = cast(Any, stream.codec_context)
        context.time_base = old.time_base or 1 / rate
        ratio = old.sample_aspect_ratio
        if ratio:
            turned = layout.rotation.rotation in (90, 270)
            context.sample_aspect_ratio = 1 / ratio if turned else ratio
        context.colorspace, context.color_range = layout.colours.matrix, layout.colours.range
        context.color_primaries = layout.colours.primaries
        context.color_trc = layout.colours.transfer
        kept = {k: v for k, v in reading.metadata.items() if k.lower() not in MUXER_METADATA}
        writing.metadata.update({**kept, **words})
    return stream


def _encoded(stream: av.VideoStream, frames: Iterable[TimedFrame]) -> Iterator[av.Packet]:
    base = stream.codec_context.time_base
    last = -1
    for time_s, yuv in frames:
        frame = yuv.frame()
        # Two frames of a damaged clock may have the same timestamp.
        last = max(last + 1, round(time_s / base))
        frame.pts, frame.time_base = last, base
        yield from stream.encode(frame)
    yield from stream.encode(None)
