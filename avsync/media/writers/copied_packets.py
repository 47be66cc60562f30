"""Prepare the packets of copied streams for a new container, with audio shifted.

Container quirks handled here: missing decoding times (Matroska), decreasing timestamps, cover art
without a time, encoder lead-in hidden by edit lists (MP4, MOV), audio before the start of the file;
`avi_audio.py` handles AVI, which has no timestamps.
"""

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from math import ceil

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from avsync.media.container import open_media, packets
from avsync.media.timestamps.continuous_clock import ContinuousClock, can_leap
from avsync.media.writers.avi_audio import AviAudio
from avsync.media.writers.output_container import OutputFile
from avsync.media.writers.patching.shift import first_time_s

MAX_BACK_S = 1.0
# Most packets that wait for the first decoding time of their stream.
UNDATED_PACKETS = 32
# Audio packets from before the start of the file that are kept so that the first one after it
# decodes completely: where an edit list hides them, and where they delay everything else.
HIDDEN_LEAD_IN, PLAYED_LEAD_IN = 4, 1
HIDING = ("mp4", "mov", "ipod")
# Codecs whose packets decode independently.
NO_LEAD_IN = ("pcm_", "flac", "alac")
PCM = re.compile(r"pcm_(?:[fsu](?P<bits>\d+)(?:[bl]e)?|alaw|mulaw)")


def copied_packets(
    reading: InputContainer, new: OutputFile, shifts_s: Mapping[int, Fraction] | None = None
) -> Iterator[av.Packet]:
    """Yield the packets of the copied streams, ready to be muxed.

    Audio is shifted by the `shifts_s` of its stream index. Streams with an encoder in the new
    container are skipped.
    """
    shifts_s = shifts_s or {}
    kind = new.writing.format.name
    copies = new.copies
    last_dts: dict[int, int] = {}
    zero_s = min(_first_dts_s(reading), Fraction(0)) if kind == "avi" else Fraction(0)
    audio_streams = [s for s in reading.streams.audio if s.index in copies]
    avi_audio = {s.index: AviAudio(s, zero_s) for s in audio_streams if kind == "avi"}
    lead_ins = {s.index: _LeadIn(s, first_time_s(reading), kind) for s in audio_streams}
    for packet in _with_decoding_times(_on_one_clock(reading, copies)):
        index = packet.stream_index
        copy, shift_s = copies[index], shifts_s.get(packet.stream_index, Fraction(0))
        if index in avi_audio:
            ready = list(avi_audio[index].schedule(packet, shift_s))
        elif index in lead_ins:
            _move(packet, copy, shift_s)
            ready = lead_ins[index].pass_on(packet)
        else:
            _move(packet, copy, Fraction(0))
            ready = [packet]
        for ready_packet in ready:
            if index not in avi_audio:
                _keep_order(ready_packet, last_dts.get(index))
                last_dts[index] = ready_packet.dts or 0
            ready_packet.stream = copy
            yield ready_packet


def _on_one_clock(reading: InputContainer, indices: Iterable[int]) -> Iterator[av.Packet | None]:
    """Yield the packets of streams; where the clock of the file leaps, the time continues."""
    streams = [reading.streams[index] for index in indices]
    path = reading.name.removeprefix("file:")
    if can_leap(reading) and _leaps(path, os.stat(path).st_mtime_ns):
        return ContinuousClock(reading, *streams).packets()
    return packets(reading, *streams)


@lru_cache(maxsize=4)
def _leaps(path: str, mtime_ns: int) -> bool:
    """Return whether the clock of a file, which was written at `mtime_ns`, leaps anywhere."""
    with open_media(path) as container:
        clock = ContinuousClock(container, *container.streams.video, *container.streams.audio)
        return any(clock.jumps for _ in clock.packets())


def _with_decoding_times(found: Iterable[av.Packet | None]) -> Iterator[av.Packet]:
    """Yield packets with decoding times; in Matroska the first ones of a stream may lack them."""
    waiting: dict[int, list[av.Packet]] = {}
    last: dict[int, int] = {}
    for packet in found:
        if packet is None:
            continue
        index, step = packet.stream_index, packet.duration or 1
        if packet.size and packet.stream.disposition & Disposition.attached_pic:
            packet.pts = packet.dts = 0  # Cover art has no time.
        if packet.dts is None and (not packet.size or packet.pts is None):
            continue
        if packet.dts is None and index in last:
            packet.dts = min(last[index] + step, packet.pts or 0)
        if packet.dts is None:
            waiting.setdefault(index, []).append(packet)
            if len(waiting[index]) < UNDATED_PACKETS:
                continue
            packet.dts = min(p.pts or 0 for p in waiting[index]) + step * UNDATED_PACKETS
            waiting[index].pop()
        # Counted back from the first packet with a decoding time.
        early = waiting.pop(index, [])
        for position, early_packet in enumerate(early):
            early_packet.dts = packet.dts - step * (len(early) - position)
            yield early_packet
        last[index] = packet.dts
        yield packet
    for early in waiting.values():  # Streams too short to have a decoding time.
        for early_packet in early:
            early_packet.dts = early_packet.pts
            yield early_packet


class _LeadIn:
    """Drop the audio packets that would be played before the start of the file.

    Args:
        stream: the audio stream of the source.
        start_s: start of the file on its clock.
        kind: FFmpeg's name of the new container.
    """

    def __init__(self, stream: Stream, start_s: Fraction, kind: str) -> None:
        self.start_s = start_s
        lead_in = HIDDEN_LEAD_IN if kind in HIDING else PLAYED_LEAD_IN
        name = stream.codec_context.name if stream.codec_context else ""
        self.early: deque[av.Packet] = deque(maxlen=0 if name.startswith(NO_LEAD_IN) else lead_in)
        self.rate = self.width = 0
        if isinstance(stream, av.AudioStream) and (pcm := PCM.fullmatch(name)):
            self.rate = stream.codec_context.sample_rate
            self.width = stream.codec_context.channels * int(pcm["bits"] or 8) // 8
        self.begun = False

    def pass_on(self, packet: av.Packet) -> list[av.Packet]:
        """Return the packets to write after reading this one."""
        if self.begun:
            return [packet]
        stamp = packet.pts if packet.pts is not None else packet.dts or 0
        if (stamp + (packet.duration or 0)) * packet.time_base <= self.start_s:
            self.early.append(packet)
            return []
        self.begun = True
        return [*self.early, self._cut(packet) if self.rate else packet]

    def _cut(self, packet: av.Packet) -> av.Packet:
        """Return a PCM packet without the samples before the start of the file."""
        if packet.pts is None or not packet.duration or packet.time_base is None:
            return packet
        units = ceil(self.start_s / packet.time_base) - packet.pts
        cut = round(units * packet.time_base * self.rate) * self.width
        if not 0 < cut < packet.size:
            return packet
        rest = av.Packet(bytes(packet)[cut:])
        rest.time_base, rest.is_keyframe = packet.time_base, True
        rest.pts = rest.dts = packet.pts + units
        rest.duration = max(packet.duration - units, 0)
        return rest


def _move(packet: av.Packet, copy: Stream, shift_s: Fraction) -> None:
    base = copy.time_base or packet.time_base
    # In the units of the copy, which may be finer: an AVI counts whole packets.
    units, shift = packet.time_base / base, shift_s / base
    if packet.pts is not None:
        packet.pts = round(packet.pts * units + shift)
    packet.dts = round((packet.dts or 0) * units + shift)
    packet.duration = round((packet.duration or 0) * units)
    packet.time_base = base


def _keep_order(packet: av.Packet, last_dts: int | None) -> None:
    """Make decoding times increase, as muxers require, by raising small steps back."""
    if last_dts is None or packet.dts is None or packet.dts > last_dts:
        return
    back_s = float((last_dts - packet.dts) * packet.time_base)
    if back_s > MAX_BACK_S:
        raise ValueError(
            f"its timestamps are damaged, they jump back by {back_s:.1f} s (those of an edit list "
            "of several parts do too: a shift to a file with the same extension keeps it)"
        )
    packet.dts = last_dts + 1
    if packet.pts is not None:
        packet.pts = max(packet.pts, packet.dts)


def _first_dts_s(reading: InputContainer) -> Fraction:
    """Return the first decoding time of the video in seconds: the zero of an AVI's clock."""
    with (
        open_media(reading.name.removeprefix("file:")) as again,
        suppress(av.error.FFmpegError, OSError),
    ):
        for stream in again.streams.video[:1]:
            for packet in again.demux(stream):
                if packet.dts is not None and packet.time_base is not None:
                    return packet.dts * packet.time_base
    return Fraction(0)
