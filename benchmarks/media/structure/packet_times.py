"""Judge by packet times how far a mutation moved the audio against the video.

FFprobe reads the times, not avsync's readers. Packets are matched by the hashes of their data, so
that it does not matter which other ones are lost.
"""

import json
import subprocess
from bisect import bisect
from collections import Counter
from pathlib import Path
from typing import NamedTuple

PROBE = (
    *("ffprobe", "-v", "error", "-show_packets", "-show_data_hash", "MD5", "-of", "json"),
    *("-show_entries", "packet=codec_type,stream_index,pts_time,dts_time,flags,data_hash"),
)
PROBE_S = 60
MIN_PACKETS = 10
# The nearest video packet of the source must be this near to compare an audio packet with it.
NEAR_S = 0.2
# The share of packets at either end that is left out; times that agree, as Matroska rounds to 1 ms.
OUTLIERS, AGREE_S = 0.03, 0.005
# Times further apart come from damaged fields: what a player makes of them is not defined.
MAX_DELAY_S = 1000.0

# Presentation times of the packets of a stream by the hashes of their data.
Times = dict[str, float]


class PacketTimes(NamedTuple):
    """Packets of the first video and the first audio stream; a hash that occurs twice is left out.

    Args:
        video: times of the video packets.
        audio: times of the audio packets.
    """

    video: Times
    audio: Times


def read_packet_times(path: Path) -> PacketTimes | None:
    """Read the times of the packets of a file; None if FFprobe does not end in time."""
    try:
        # A prefix: or FFprobe would guess a protocol.
        command = [*PROBE, f"file:{path}"]
        done = subprocess.run(command, capture_output=True, timeout=PROBE_S)
        packets = json.loads(done.stdout or "{}").get("packets", [])
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return PacketTimes(*(_times(packets, kind) for kind in ("video", "audio")))


def _times(packets: list[dict[str, str]], kind: str) -> Times:
    of_kind = [p for p in packets if p.get("codec_type") == kind]
    first = min((int(p["stream_index"]) for p in of_kind), default=0)
    found = [p for p in of_kind if int(p["stream_index"]) == first and "data_hash" in p]
    counts = Counter(p["data_hash"] for p in found)
    return {
        # Where there is no presentation time, as in MXF without an index, frames are in order.
        p["data_hash"]: float(p.get("pts_time", p.get("dts_time", "nan")))
        for p in found
        # An edit list marks what it does not show with D.
        if counts[p["data_hash"]] == 1
        and ("pts_time" in p or "dts_time" in p)
        and "D" not in p.get("flags", "")
    }


class Delay(NamedTuple):
    """By how much the audio comes later against the video than in the source, in seconds.

    Args:
        low_s: the least delay within the file, but for a few packets.
        high_s: the largest.
    """

    low_s: float
    high_s: float

    @property
    def is_constant(self) -> bool:
        return self.high_s - self.low_s <= AGREE_S


def audio_delay(source: PacketTimes, mutated: PacketTimes) -> Delay | None:
    """Measure how far a mutation moved the audio; None if too few packets are left to tell."""
    moved = sorted(
        (source.video[key], mutated.video[key] - source.video[key])
        for key in source.video.keys() & mutated.video.keys()
    )
    if len(moved) < MIN_PACKETS:
        return None
    starts = [time_s for time_s, _ in moved]
    delays = []
    for key in source.audio.keys() & mutated.audio.keys():
        time_s = source.audio[key]
        at = bisect(starts, time_s)
        near = min(moved[max(0, at - 1) : at + 1], key=lambda video: abs(video[0] - time_s))
        if abs(near[0] - time_s) <= NEAR_S:
            delays.append(mutated.audio[key] - time_s - near[1])
    if len(delays) < MIN_PACKETS:
        return None
    delays.sort()
    few = round(OUTLIERS * len(delays))
    low_s, high_s = delays[few], delays[-1 - few]
    return Delay(low_s, high_s) if max(-low_s, high_s) <= MAX_DELAY_S else None
