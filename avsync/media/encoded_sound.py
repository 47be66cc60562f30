"""A sound on its way into a new file beside packets that are copied: encoded as far as those have
got."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

from avsync.media.new_container import NewContainer
from avsync.media.sound_encoder import SoundPlan, encoded
from avsync.media.untimed_sound import UntimedSound


class EncodedSound:
    """One sound of a new file.

    Args:
        new: the file, with an encoder for it.
        index: of the stream in the source that it takes the place of.
        plan: how it is encoded.
        blocks: the sound, `(C, n)` at the plan's rate.
        start_s: when it begins, on the source's clock.
    """

    def __init__(
        self,
        new: NewContainer,
        index: int,
        plan: SoundPlan,
        blocks: Iterable[np.ndarray],
        start_s: float,
    ) -> None:
        self.writing = new.writing
        stream = new.encoders[index]
        self.packets = encoded(stream, blocks, plan, Fraction(start_s))
        if new.writing.format.name == "avi":
            self.packets = _one_after_another(self.packets, stream)

    def write_until(self, time_s: Fraction | None) -> None:
        """Writes packets up to one that is heard at `time_s` or later; None: to the end."""
        for packet in self.packets:
            self.writing.mux_one(packet)
            stamp = packet.dts if packet.dts is not None else packet.pts
            if time_s is not None and (stamp or 0) * packet.time_base >= time_s:
                return


def _one_after_another(packets: Iterator[av.Packet], stream: av.AudioStream) -> Iterator[av.Packet]:
    untimed = UntimedSound(stream, Fraction(0))
    for packet in packets:
        for each in untimed.place(packet, Fraction(0)):
            each.stream = stream
            yield each
