"""A new video of frames that were painted on and of one audio: both are encoded, and frames keep
their times."""

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
from avsync.media.writers.atomic_output import plain_errors
from avsync.media.writers.audio_encoder import (
    CHANNEL_BIT_RATE,
    AudioPlan,
    add_encoder,
    plan_audio_streams,
)
from avsync.media.writers.output_container import MP4, EncodedAudio, NewContainer, container_format
from avsync.media.yuv import FORMATS, Picture
from avsync.timing import FPS

# Containers that keep the time of every frame, and what is said of the file in any words.
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
# Encoded a second time, frames take as many bits as they need not to show it.
ENCODERS = {
    "webm": ("libvpx-vp9", {"crf": "20", "b": "0", "cpu-used": "4", "row-mt": "1"}),
    "": ("libx264", {"crf": "17", "preset": "medium"}),
}
# Only so do mp4 and mov hold words other than title, comment and the like.
ANY_WORDS = {"movflags": "use_metadata_tags"}
UNPLAYED = ("pcm_", "mp2")
# What a container says of itself.
OF_THE_CONTAINER = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")


class TimedFrame(NamedTuple):
    """A frame, and when it is shown, in seconds from the first one."""

    time_s: float
    frame: Picture


class NewAudio(NamedTuple):
    """The audio of a new video: that of a file from `origin_s` on its clock, `length_s` of it."""

    path: str
    origin_s: float
    length_s: float


def check_suffix(destination: Path) -> None:
    """ValueError unless the name is that of a container that videos are written to."""
    if destination.suffix.lower() not in SUFFIXES:
        raise ValueError(f"output must end in {', '.join(SUFFIXES)}, got {destination.name}")


def encoder_formats(destination: Path) -> tuple[tuple[str, ...], bool]:
    """Return the formats of frames that can be written there as they are, and whether colour may be
    stored at half of an odd size.
    """
    name, _ = _encoder(container_format(destination))
    known = {each.name for each in Codec(name, "w").video_formats or ()}
    return tuple(each for each in FORMATS if each in known), name != "libx264"


def write_video(
    source: Path,
    partial: Path,
    destination: Path,
    frames: Iterable[TimedFrame],
    audio: NewAudio,
    words: Mapping[str, str],
) -> None:
    """Write frames and an audio that begin together to `partial`.

    Args:
        source: the video that the frames come from: the shape of its pixels, its rate and what its
            metadata say are kept.
        partial: the new file.
        destination: named in errors.
        frames: in order, of one layout.
        audio: encoded as it was where the container holds that, else in AAC or the like.
        words: metadata that say more, or in the place of others.
    """
    kind = container_format(partial)
    rest = iter(frames)
    first = next(rest)
    with plain_errors(source, destination):
        plan = plan_audio(Path(audio.path), partial, kind)
        writing = av.open(
            f"file:{partial}",
            "w",
            format=kind,
            container_options=ANY_WORDS if kind in MP4 else {},
            metadata_errors="surrogateescape",
        )
        with writing:
            stream = _add_pictures(writing, source, first.frame, words)
            new = NewContainer(writing, {}, {0: add_encoder(writing, plan)})
            blocks = cut(read_audio(audio.path, audio.origin_s, plan.rate, mono=False),
                         round(audio.length_s * plan.rate))  # fmt: skip
            heard = EncodedAudio(new, 0, plan, blocks, 0.0)
            for packet in _encoded(stream, chain([first], rest)):
                writing.mux_one(packet)
                heard.write_until(max(packet.dts or 0, 0) * packet.time_base)
            heard.write_until(None)


def plan_audio(audio: Path, partial: Path, kind: str) -> AudioPlan:
    """Return how the first audio of a file is encoded for a container: as it was, but in AAC where that
    would be an audio that few players take out of an mp4.
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
    """Yield the first samples of an audio in blocks `(C, n)`."""
    for block in blocks:
        if samples <= 0:
            return
        yield block[:, :samples]
        samples -= block.shape[1]


def _encoder(kind: str) -> tuple[str, dict[str, str]]:
    return ENCODERS.get(kind, ENCODERS[""])


def _add_pictures(
    writing: OutputContainer, source: Path, first: Picture, words: Mapping[str, str]
) -> av.VideoStream:
    """Return a stream for frames like the first, with what the source says of its own."""
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
            turned = layout.turn.rotation in (90, 270)
            context.sample_aspect_ratio = 1 / ratio if turned else ratio
        context.colorspace, context.color_range = layout.colours.matrix, layout.colours.range
        context.color_primaries = layout.colours.primaries
        context.color_trc = layout.colours.transfer
        told = {k: v for k, v in reading.metadata.items() if k.lower() not in OF_THE_CONTAINER}
        writing.metadata.update({**told, **words})
    return stream


def _encoded(stream: av.VideoStream, frames: Iterable[TimedFrame]) -> Iterator[av.Packet]:
    base = stream.codec_context.time_base
    last = -1
    for time_s, picture in frames:
        frame = picture.frame()
        # Two frames of a damaged clock may fall into one of its units.
        last = max(last + 1, round(time_s / base))
        frame.pts, frame.time_base = last, base
        yield from stream.encode(frame)
    yield from stream.encode(None)
