"""Files with known faults repaired and measured again: `python benchmarks/repair.py`.

Rendered talking clips are written in every container and codec there is, with two sounds, and a
subtitle, a chapter and a language where the container has them; their sound is moved, stretched
or cut by a known amount; each is repaired by `avsync.fix` and looked into: what it measures,
which streams it kept, whether sound with a place on the timeline is missing. Then the command is
killed at random moments.
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
from kept import RATE, described, kinds, lost, payloads, same, samples
from record import machine, write_record

from avsync.media.audio_reader import read_audio
from avsync.media.probe import probe_media
from avsync.media.writers.retime import retime_audio
from avsync.media.writers.time_map import AudioSegment
from avsync.pipelines.fix.fix_file import FixRefused, fix
from avsync.synthetic import render_clip

# Pictures by container, and the codecs of sound that are written in it.
CASES = {
    ".mp4": ("h264", ("aac", "libopus", "libmp3lame", "flac", "pcm_s16le", "ac3")),
    ".mov": ("h264", ("aac", "pcm_s16le", "pcm_s24le")),
    ".mkv": ("h264", ("aac", "libopus", "libmp3lame", "flac", "pcm_s16le", "ac3")),
    ".webm": ("vp8", ("libopus",)),
    ".avi": ("mpeg4", ("pcm_s16le", "libmp3lame")),
    ".mpg": ("mpeg2", ("mp2", "ac3")),
    ".ts": ("h264", ("aac", "mp2", "ac3")),
}
PICTURES = {"h264": ".mp4", "vp8": ".webm", "mpeg4": ".avi", "mpeg2": ".mpg"}
SUBTITLES = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
LEADS_MS = (240, -160)
SEED = 5
NEAR_MS = 20.0


class Outcome(NamedTuple):
    """One repaired file. `lost_ms`: sound with a place on the timeline that is not there."""

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


def write_case(pictures: Path, wav: np.ndarray, target: Path, codec: str, lead_ms: float) -> None:
    """Copies pictures beside two newly encoded sounds, the second quieter, early by `lead_ms`."""
    lead = round(lead_ms * RATE / 1000)
    moved = wav[:, lead:] if lead > 0 else np.pad(wav, ((0, 0), (-lead, 0)))[:, : wav.shape[1]]
    with av.open(pictures) as source, av.open(target, "w") as container:
        picture = container.add_stream_from_template(source.streams.video[0], opaque=True)
        packets = []
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.size:
                # A program stream begins at some half a second.
                packet.pts -= source.streams.video[0].start_time
                packet.dts -= source.streams.video[0].start_time
                packet.stream = picture
                packets.append((float(packet.dts * packet.time_base), packet))
        for number, language in enumerate(("eng", "fra")):
            sound = container.add_stream(codec, rate=RATE, layout="stereo")
            sound.metadata["language"] = language
            if not codec.startswith(("pcm", "flac")):
                sound.bit_rate = 160_000
            packets += encode(sound, moved * (1 - 0.5 * number))
        if target.suffix in SUBTITLES:
            packets += subtitle(container, SUBTITLES[target.suffix])
        container.metadata["title"] = "A known fault"
        if target.suffix in (".mp4", ".mov", ".mkv"):
            chapter = {"id": 1, "start": 0, "end": 2000, "time_base": Fraction(1, 1000)}
            container.set_chapters([{**chapter, "metadata": {"title": "One"}}])
        for _, packet in sorted(packets, key=lambda timed: timed[0]):
            container.mux(packet)


def encode(sound: av.AudioStream, wav: np.ndarray) -> list[tuple[float, av.Packet]]:
    packets = []
    for at in range(0, wav.shape[1], 4800):
        block = np.ascontiguousarray(wav[:, at : at + 4800].astype(np.float32))
        frame = av.AudioFrame.from_ndarray(block, "fltp", "stereo")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), at
        packets += [(at / RATE, packet) for packet in sound.encode(frame)]
    return packets + [(wav.shape[1] / RATE, packet) for packet in sound.encode(None)]


def subtitle(container: av.container.OutputContainer, codec: str) -> list[tuple[float, av.Packet]]:
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
    """Repairs one file and looks into the result."""
    try:
        done = fix(broken, target, overwrite=True, search_s=search_s)
    except (FixRefused, RuntimeError) as refusal:
        before = getattr(getattr(refusal, "before", None), "offset_ms", None)
        cause = str(refusal)
        return Outcome(name, lead_ms, before, None, None, False, False, None, None, cause)
    assert done.after is not None
    copied = done.repair.kind == "constant"
    was, now = payloads(broken), payloads(target)
    lost_ms = None
    if copied:
        lost_ms = max(lost(broken, target, done.shift_ms, track) for track in (0, 1))
    return Outcome(
        case=name,
        lead_ms=lead_ms,
        before_ms=done.before.offset_ms,
        after_ms=done.after.offset_ms,
        kind=done.repair.kind,
        streams_kept=described(broken) == described(target),
        packets_kept=all(same(was[i], now[i], kind, copied) for i, kind in kinds(broken)),
        lost_ms=lost_ms,
        first_picture_ms=1000 * (probe_media(target).video_start_s - probe_media(target).start_s),
    )


def constant_faults(folder: Path) -> list[Outcome]:
    wav, outcomes = None, []
    pictures = {}
    for name, suffix in PICTURES.items():
        pictures[name] = folder / f"pictures_{name}{suffix}"
        sound = "flac" if suffix == ".mp4" else None
        render_clip(pictures[name], seed=SEED, duration_s=6.0, size=(320, 240), audio_codec=sound)
    origin_s = probe_media(pictures["h264"]).video_start_s
    wav = np.concatenate(list(read_audio(pictures["h264"], origin_s, RATE)))
    for suffix, (picture, codecs) in CASES.items():
        for codec in codecs:
            for lead_ms in LEADS_MS:
                broken, target = folder / f"broken{suffix}", folder / f"fixed{suffix}"
                write_case(pictures[picture], np.stack([wav, wav]), broken, codec, lead_ms)
                outcome = try_repair(f"{suffix[1:]} {codec}", broken, target, lead_ms, 1.0)
                print(outcome, flush=True)
                outcomes.append(outcome)
    return outcomes


def changing_faults(folder: Path, duration_s: float) -> list[Outcome]:
    """Drift and jumps, made by laying out the sound of a clip in sync."""
    half = duration_s / 2
    faults = (
        (".mp4", "aac", "drift of +1000 ppm", [AudioSegment(0, inf, 0, -1000)]),
        (".mp4", "aac", "jump to +200 ms", [AudioSegment(0, half, 0, 0), AudioSegment(half, inf, -200, 0)]),
        (".mkv", "libopus", "drift of -1000 ppm", [AudioSegment(0, inf, 0, 1000)]),
        (
            ".mkv",
            "libopus",
            "jump to -200 ms",
            [AudioSegment(0, half, 0, 0), AudioSegment(half, inf, 200, 0)],
        ),
    )
    outcomes = []
    for suffix, codec, name, stretches in faults:
        clip = folder / f"long{suffix}"
        if not clip.exists():
            render_clip(
                clip, seed=SEED + 1, duration_s=duration_s, size=(320, 240), audio_codec=codec
            )
        broken, target = folder / f"broken{suffix}", folder / f"fixed{suffix}"
        retime_audio(clip, broken, stretches, overwrite=True)
        outcome = try_repair(f"{suffix[1:]} {codec}, {name}", broken, target, 0.0, 1.0)
        print(outcome, flush=True)
        outcomes.append(outcome)
    return outcomes


def kill(folder: Path, times: int, seed: int) -> dict[str, int]:
    """Kills copies of a file at random moments; counts what was found whole afterwards."""
    chosen = random.Random(seed)
    clip, target = folder / "to_kill.mp4", folder / "earlier.mp4"
    render_clip(clip, seed=SEED + 2, duration_s=20.0, size=(320, 240))
    target.write_bytes(b"an earlier output")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from avsync.media.writers.retime import retime_audio\n"
        "from avsync.media.writers.remux import shift_audio\n"
        "from avsync.media.writers.time_map import AudioSegment\n"
        "print('begun', flush=True)\n"
        "while True:\n"
        "    shift_audio(sys.argv[1], sys.argv[2], 120.0, overwrite=True)\n"
        "    retime_audio(sys.argv[1], sys.argv[2], [AudioSegment(0, 99, 0, 500)], overwrite=True)\n"
    )
    original = clip.read_bytes()
    counts = {"kills": 0, "input_whole": 0, "output_whole": 0, "partial_files_left": 0}
    for _ in range(times):
        worker = subprocess.Popen(
            [sys.executable, "-c", code, str(clip), str(target)], stdout=subprocess.PIPE
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(chosen.uniform(0, 3))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        counts["kills"] += 1
        counts["input_whole"] += clip.read_bytes() == original
        counts["output_whole"] += target.read_bytes() == b"an earlier output" or whole(target, clip)
        # The next one removes what this one left; those of the last are counted below.
    left = [path for path in folder.iterdir() if ".part" in path.name]
    counts["partial_files_left"] = len(left)
    print(counts, flush=True)
    return counts


def whole(target: Path, clip: Path) -> bool:
    """Whether a file can be read to its end: all pictures, and as much sound as its source."""
    try:
        pictures = len(payloads(target)[0]) == len(payloads(clip)[0])
        seconds = len(samples(target, 0)) / RATE
    except (av.error.FFmpegError, RuntimeError):
        return False
    return pictures and abs(seconds - len(samples(clip, 0)) / RATE) < 0.3


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    done = [each for each in outcomes if each.after_ms is not None]
    losses = [each.lost_ms for each in done if each.lost_ms is not None]
    return {
        "files": len(outcomes),
        "repaired": len(done),
        "within_20_ms": sum(abs(each.after_ms or 0) <= NEAR_MS for each in done),
        "largest_after_ms": max((abs(each.after_ms or 0) for each in done), default=None),
        "streams_kept": sum(each.streams_kept for each in done),
        "packets_kept": sum(each.packets_kept for each in done),
        "no_sound_lost": sum(each == 0 for each in losses),
        "checked_for_loss": len(losses),
        "latest_first_picture_ms": max((each.first_picture_ms or 0 for each in done), default=None),
        "files_in_full": [each._asdict() for each in outcomes],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=120.0, help="of clips that drift or jump")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {"seed": SEED}
        figures["constant"] = summary(constant_faults(folder))
        figures["killed"] = kill(folder, arguments.kills, SEED)
        figures["changing"] = summary(changing_faults(folder, arguments.seconds))
    for part in ("constant", "changing"):
        print(part, {k: v for k, v in figures[part].items() if k != "files_in_full"})
    print(machine())
    write_record("repair", figures)


if __name__ == "__main__":
    main()
