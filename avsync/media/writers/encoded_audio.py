"""Write re-encoded audio into an output container, in step with the packets that are copied."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

from avsync.media.writers.audio_encoder import AudioPlan, encode_blocks
from avsync.media.writers.avi_audio import AviAudio
from avsync.media.writers.output_container import OutputFile


class EncodedAudio:
    """Encoder of one audio stream of an output file.

    Args:
        new: the file, with an encoder stream for it.
        index: index of the source stream that it replaces.
        plan: how it is encoded.
        blocks: the audio, `(C, n)` at the plan's rate.
        start_s: start time on the source's clock.
    """

    def __init__(
        self,
        new: OutputFile,
        index: int,
        plan: AudioPlan,
        blocks: Iterable[np.ndarray],
        start_s: float,
    ) -> None:
        self.writing = new.writing
        stream = new.encoders[index]
        self.packets = encode_blocks(stream, blocks, plan, Fraction(start_s))
        if new.writing.format.name == "avi":
            self.packets = _packed_for_avi(self.packets, stream)

    def write_until(self, time_s: Fraction | None) -> None:
        """Write packets up to the first at `time_s` or later; None writes all."""
        for packet in self.packets:
            self.writing.mux_one(packet)
            stamp = packet.dts if packet.dts is not None else packet.pts
            if time_s is not None and (stamp or 0) * packet.time_base >= time_s:
                return


def _packed_for_avi(packets: Iterator[av.Packet], stream: av.AudioStream) -> Iterator[av.Packet]:
    avi_audio = AviAudio(stream, Fraction(0))
    for packet in packets:
        for part in avi_audio.schedule(packet, Fraction(0)):
            part.stream = stream
            yield part
