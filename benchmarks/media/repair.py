"""Measure repairs by `avsync.fix` in every container: residual offset, streams and audio kept.

    python benchmarks/media/repair.py [--seconds S] [--kills N]

Rendered talking clips are written in every supported container and codec, with two audio streams
and, where the container has them, a subtitle, a chapter and languages. Their audio is shifted,
resampled or cut by a known amount. Each file is repaired, and its residual offset, streams, packets
and audio are compared with the original. Then repairs are killed at random times, and the input and
output files are checked.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from avsync.media.audio_reader import read_audio
from avsync.media.probe import probe_media
from avsync.media.writers.retime import retime_audio
from avsync.media.writers.time_map import AudioSegment
from avsync.pipelines.fix.fix_file import FixRefused, fix
from avsync.synthetic import render_clip
from benchmarks.media.repaired_file import (
    RATE,
    describe,
    missing_audio_ms,
    packets_equal,
    payloads,
    read_samples,
    stream_types,
)
from benchmarks.record import machine, write_record

# Video codec and audio codecs by container.
CASES = {
    ".mp4": ("h264", ("aac", "libopus", "libmp3lame", "flac", "pcm_s16le", "ac3")),
    ".mov": ("h264", ("aac", "pcm_s16le", "pcm_s24le")),
    ".mkv": ("h264", ("aac", "libopus", "libmp3lame", "flac", "pcm_s16le", "ac3")),
    ".webm": ("vp8", ("libopus",)),
    ".avi": ("mpeg4", ("pcm_s16le", "libmp3lame")),
    ".mpg": ("mpeg2", ("mp2", "ac3")),
    ".ts": ("h264", ("aac", "mp2", "ac3")),
}
VIDEO_SOURCES = {"h264": ".mp4", "vp8": ".webm", "mpeg4": ".avi", "mpeg2": ".mpg"}
SUBTITLES = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
LEADS_MS = (240, -160)
SEED = 5
TOLERANCE_MS = 20.0


class Outcome(NamedTuple):
    """One repaired file.

    Args:
        case: container, codec and fault.
        lead_ms: applied shift (positive = the audio leads).
        before_ms: estimated offset before the repair, None without an estimate.
        after_ms: estimated offset after the repair, None if it was refused.
        kind: kind of the repair.
        streams_kept: whether streams, title and chapters are kept.
        packets_kept: whether the packets of all streams are kept.
        lost_ms: duration of missing audio, None if the audio was encoded again.
        first_picture_ms: time of the first frame after the start of the file.
        refused: message of a refused repair.
    """

    case: str
    lead_ms: float
    before_ms: float | None
    after_ms: float | None
    kind: str | None
    streams_kept: bool
    packets_kept: bool
    lost_ms: float | None
    first_picture_ms: float | None
    refused: str | None = None


def write_case(
    video_source: Path, wav: np.ndarray, target: Path, codec: str, lead_ms: float
) -> None:
    """Copy a video stream and encode two audio streams that lead by `lead_ms`, the second quieter.

    Args:
        video_source: file of the video stream.
        wav: stereo audio `(2, N)` at `RATE`.
        target: file to write.
        codec: audio codec.
        lead_ms: shift of the audio (positive = the audio leads).
    """
    lead = round(lead_ms * RATE / 1000)
    shifted = wav[:, lead:] if lead > 0 else np.pad(wav, ((0, 0), (-lead, 0)))[:, : wav.shape[1]]
    with av.open(video_source) as source, av.open(target, "w") as container:
        video = container.add_stream_from_template(source.streams.video[0], opaque=True)
        packets = []
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.size:
                # A program stream starts at about half a second.
                packet.pts -= source.streams.video[0].start_time
                packet.dts -= source.streams.video[0].start_time
                packet.stream = video
                packets.append((float(packet.dts * packet.time_base), packet))
        for number, language in enumerate(("eng", "fra")):
            audio = container.add_stream(codec, rate=RATE, layout="stereo")
            audio.metadata["language"] = language
            if not codec.startswith(("pcm", "flac")):
                audio.bit_rate = 160_000
            packets += encode(audio, shifted * (1 - 0.5 * number))
        if target.suffix in SUBTITLES:
            packets += subtitle(container, SUBTITLES[target.suffix])
        container.metadata["title"] = "A known fault"
        if target.suffix in (".mp4", ".mov", ".mkv"):
            chapter = {"id": 1, "start": 0, "end": 2000, "time_base": Fraction(1, 1000)}
            container.set_chapters([{**chapter, "metadata": {"title": "One"}}])
        for _, packet in sorted(packets, key=lambda timed: timed[0]):
            container.mux(packet)


def encode(audio: av.AudioStream, wav: np.ndarray) -> list[tuple[float, av.Packet]]:
    """Encode audio `(2, N)` and return (time in s, packet)."""
    packets = []
    for at in range(0, wav.shape[1], 4800):
        block = np.ascontiguousarray(wav[:, at : at + 4800].astype(np.float32))
        frame = av.AudioFrame.from_ndarray(block, "fltp", "stereo")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), at
        packets += [(at / RATE, packet) for packet in audio.encode(frame)]
    return packets + [(wav.shape[1] / RATE, packet) for packet in audio.encode(None)]


def subtitle(container: av.container.OutputContainer, codec: str) -> list[tuple[float, av.Packet]]:
    """Add a subtitle stream and return (time in s, packet)."""
    stream = container.add_mux_stream(codec)
    stream.metadata["language"] = "eng"
    packets = []
    for number, text in enumerate((b"Hello", b"Goodbye")):
        body = len(text).to_bytes(2, "big") + text if codec == "mov_text" else text
        packet = av.Packet(body)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = 500 + 2000 * number
        packet.duration = 1000
        packets.append((packet.pts / 1000, packet))
    return packets


def try_repair(name: str, broken: Path, target: Path, lead_ms: float, search_s: float) -> Outcome:
    """Repair one file and compare it with the original."""
    try:
        result = fix(broken, target, overwrite=True, search_s=search_s)
    except (FixRefused, RuntimeError) as refusal:
        before = getattr(getattr(refusal, "before", None), "offset_ms", None)
        cause = str(refusal)
        return Outcome(name, lead_ms, before, None, None, False, False, None, None, cause)
    assert result.after is not None
    copied = result.repair.kind == "constant"
    before_packets, after_packets = payloads(broken), payloads(target)
    lost_ms = None
    if copied:
        lost_ms = max(missing_audio_ms(broken, target, result.shift_ms, track) for track in (0, 1))
    return Outcome(
        case=name,
        lead_ms=lead_ms,
        before_ms=result.before.offset_ms,
        after_ms=result.after.offset_ms,
        kind=result.repair.kind,
        streams_kept=describe(broken) == describe(target),
        packets_kept=all(
            packets_equal(before_packets[i], after_packets[i], kind, copied)
            for i, kind in stream_types(broken)
        ),
        lost_ms=lost_ms,
        first_picture_ms=1000 * (probe_media(target).video_start_s - probe_media(target).start_s),
    )


def constant_faults(folder: Path) -> list[Outcome]:
    """Repair constant shifts in every container and audio codec."""
    outcomes = []
    videos = {}
    for name, suffix in VIDEO_SOURCES.items():
        videos[name] = folder / f"video_{name}{suffix}"
        codec = "flac" if suffix == ".mp4" else None
        render_clip(videos[name], seed=SEED, duration_s=6.0, size=(320, 240), audio_codec=codec)
    origin_s = probe_media(videos["h264"]).video_start_s
    wav = np.concatenate(list(read_audio(videos["h264"], origin_s, RATE)))
    for suffix, (video_codec, codecs) in CASES.items():
        for codec in codecs:
            for lead_ms in LEADS_MS:
                broken, target = folder / f"broken{suffix}", folder / f"fixed{suffix}"
                write_case(videos[video_codec], np.stack([wav, wav]), broken, codec, lead_ms)
                outcome = try_repair(f"{suffix[1:]} {codec}", broken, target, lead_ms, 1.0)
                print(outcome, flush=True)
                outcomes.append(outcome)
    return outcomes


def changing_faults(folder: Path, duration_s: float) -> list[Outcome]:
    """Repair drift and jumps, which are made by retiming the audio of a clip in sync."""
    half = duration_s / 2
    faults = (
        (".mp4", "aac", "drift of +1000 ppm", [AudioSegment(0, inf, 0, -1000)]),
        (
            ".mp4",
            "aac",
            "jump to +200 ms",
            [AudioSegment(0, half, 0, 0), AudioSegment(half, inf, -200, 0)],
        ),
        (".mkv", "libopus", "drift of -1000 ppm", [AudioSegment(0, inf, 0, 1000)]),
        (
            ".mkv",
            "libopus",
            "jump to -200 ms",
            [AudioSegment(0, half, 0, 0), AudioSegment(half, inf, 200, 0)],
        ),
    )
    outcomes = []
    for suffix, codec, name, segments in faults:
        clip = folder / f"long{suffix}"
        if not clip.exists():
            render_clip(
                clip, seed=SEED + 1, duration_s=duration_s, size=(320, 240), audio_codec=codec
            )
        broken, target = folder / f"broken{suffix}", folder / f"fixed{suffix}"
        retime_audio(clip, broken, segments, overwrite=True)
        outcome = try_repair(f"{suffix[1:]} {codec}, {name}", broken, target, 0.0, 1.0)
        print(outcome, flush=True)
        outcomes.append(outcome)
    return outcomes


def kill(folder: Path, times: int, seed: int) -> dict[str, int]:
    """Kill repairs at random times and count the intact inputs and outputs."""
    rng = random.Random(seed)
    clip, target = folder / "to_kill.mp4", folder / "earlier.mp4"
    render_clip(clip, seed=SEED + 2, duration_s=20.0, size=(320, 240))
    target.write_bytes(b"an earlier output")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from avsync.media.writers.retime import retime_audio\n"
        "from avsync.media.writers.remux import shift_audio\n"
        "from avsync.media.writers.time_map import AudioSegment\n"
        "print('started', flush=True)\n"
        "while True:\n"
        "    shift_audio(sys.argv[1], sys.argv[2], 120.0, overwrite=True)\n"
        "    late = [AudioSegment(0, 99, 0, 500)]\n"
        "    retime_audio(sys.argv[1], sys.argv[2], late, overwrite=True)\n"
    )
    original = clip.read_bytes()
    counts = {"kills": 0, "input_whole": 0, "output_whole": 0, "partial_files_left": 0}
    for _ in range(times):
        worker = subprocess.Popen(
            [sys.executable, "-c", code, str(clip), str(target)], stdout=subprocess.PIPE
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(rng.uniform(0, 3))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        counts["kills"] += 1
        counts["input_whole"] += clip.read_bytes() == original
        counts["output_whole"] += target.read_bytes() == b"an earlier output" or is_complete(
            target, clip
        )
        # Each worker removes the partial files of the one before; those of the last are counted.
    partial = [path for path in folder.iterdir() if ".part" in path.name]
    counts["partial_files_left"] = len(partial)
    print(counts, flush=True)
    return counts


def is_complete(target: Path, clip: Path) -> bool:
    """Whether a file can be read to its end and has all frames and the audio of its source."""
    try:
        all_frames = len(payloads(target)[0]) == len(payloads(clip)[0])
        seconds = len(read_samples(target, 0)) / RATE
    except (av.error.FFmpegError, RuntimeError):
        return False
    return all_frames and abs(seconds - len(read_samples(clip, 0)) / RATE) < 0.3


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    """Count the repaired files and what they kept."""
    repaired = [outcome for outcome in outcomes if outcome.after_ms is not None]
    after_ms = [abs(outcome.after_ms or 0) for outcome in repaired]
    lost_ms = [outcome.lost_ms for outcome in repaired if outcome.lost_ms is not None]
    first_ms = [outcome.first_picture_ms or 0 for outcome in repaired]
    return {
        "files": len(outcomes),
        "repaired": len(repaired),
        "within_20_ms": sum(ms <= TOLERANCE_MS for ms in after_ms),
        "largest_after_ms": max(after_ms, default=None),
        "streams_kept": sum(outcome.streams_kept for outcome in repaired),
        "packets_kept": sum(outcome.packets_kept for outcome in repaired),
        "no_sound_lost": sum(ms == 0 for ms in lost_ms),
        "checked_for_loss": len(lost_ms),
        "latest_first_picture_ms": max(first_ms, default=None),
        "files_in_full": [outcome._asdict() for outcome in outcomes],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30, help="number of killed repairs")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="length of clips with drift or jumps"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        figures: dict[str, Any] = {"seed": SEED}
        figures["constant"] = summary(constant_faults(folder))
        figures["killed"] = kill(folder, arguments.kills, SEED)
        figures["changing"] = summary(changing_faults(folder, arguments.seconds))
    for part in ("constant", "changing"):
        print(part, {k: v for k, v in figures[part].items() if k != "files_in_full"})
    print(machine())
    write_record("media/repair", figures)


if __name__ == "__main__":
    main()
