"""Time audio in AVI, which has no timestamps, by inserting silence or dropping packets.

The zero of an AVI's clock is computed in `remux.py`; its block sizes and frame clock are set in
`output_container.py`.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec import CodecContext

# The first packets of an encoder contain its start-up; from this one on they are plain silence.
STEADY = 8


class AviAudio:
    """Arrange the packets of one audio stream back to back, as an AVI plays them.

    Silence is inserted before a late packet, and a packet that overlaps the previous ones is
    dropped: exact to a sample for PCM, to half a packet for compressed audio.

    Args:
        stream: the audio stream that the packets come from.
        zero_s: time on the source's clock at which the new file starts.
    """

    def __init__(self, stream: av.AudioStream, zero_s: Fraction) -> None:
        self.stream = stream
        self.rate = stream.codec_context.sample_rate
        self.zero_s = zero_s
        self.written = 0
        name = stream.codec_context.name
        self.pcm = name.startswith("pcm_")
        # Silence of unsigned PCM is the middle of its range.
        self.rest = b"\x80" if name == "pcm_u8" else b"\0"
        self.silence: av.Packet | None = None

    def schedule(self, packet: av.Packet, shift_s: Fraction) -> Iterator[av.Packet]:
        """Yield the packets to write for a packet that is shifted by `shift_s`."""
        stamp = packet.pts if packet.pts is not None else packet.dts or 0
        start = round((stamp * packet.time_base + shift_s - self.zero_s) * self.rate)
        if self.pcm:
            yield from self._schedule_pcm(packet, start)
            return
        samples = round(packet.duration * packet.time_base * self.rate) if packet.duration else 0
        samples = samples or self.stream.codec_context.frame_size or 1024
        # Deviations up to half a packet are tolerated, else each packet would displace the next.
        while 2 * (start - self.written) > samples:
            yield self._next(av.Packet(self._silent_packet(samples)), samples)
        if 2 * (self.written - start) <= samples:
            yield self._next(packet, samples)

    def _schedule_pcm(self, packet: av.Packet, start: int) -> Iterator[av.Packet]:
        content = bytes(packet)
        width = self.stream.codec_context.format.bytes * self.stream.codec_context.channels
        # Timestamps may be rounded to 1 ms: less than that is neither gap nor overlap.
        slack = self.rate // 1000 if self.written else 0
        if start > self.written + slack:
            missing = start - self.written
            for at in range(0, missing, self.rate):
                samples = min(self.rate, missing - at)
                yield self._next(av.Packet(self.rest * (samples * width)), samples)
        elif start < self.written - slack:
            content = content[(self.written - start) * width :]
        if content:
            yield self._next(av.Packet(content), len(content) // width)

    def _next(self, packet: av.Packet, samples: int) -> av.Packet:
        packet.time_base = Fraction(1, self.rate)
        packet.pts = packet.dts = self.written
        packet.duration = samples
        packet.is_keyframe = True
        self.written += samples
        return packet

    def _silent_packet(self, samples: int) -> bytes:
        if self.silence is None:
            self.silence = _encode_silence(self.stream.codec_context, samples)
        return bytes(self.silence)


def _encode_silence(like: av.AudioCodecContext, samples: int) -> av.Packet:
    """Encode a packet of silence with the codec, rate, layout and bit rate of a decoder."""
    try:
        encoder: Any = CodecContext.create(like.codec.canonical_name, "w")
        encoder.sample_rate, encoder.layout = like.sample_rate, like.layout.name
        encoder.format = encoder.codec.audio_formats[0]
        encoder.time_base = Fraction(1, like.sample_rate)
        if like.bit_rate:
            encoder.bit_rate = like.bit_rate
        encoded: list[av.Packet] = []
        for index in range(3 * STEADY):
            zeros = np.zeros((like.channels, samples), np.float32)
            frame = av.AudioFrame.from_ndarray(zeros, "fltp", like.layout.name)
            frame.sample_rate, frame.pts = like.sample_rate, index * samples
            frame.time_base = Fraction(1, like.sample_rate)
            encoded += encoder.encode(frame)
            if len(encoded) > STEADY:
                return encoded[STEADY]
    except (av.error.FFmpegError, ValueError) as error:
        raise ValueError(f"cannot encode silence with the codec {like.name} ({error})") from error
    raise ValueError(f"cannot encode silence with the codec {like.name}")
