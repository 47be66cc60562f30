"""Fuzz `avsync.check` with files whose elements are mutated: boxes, chunks, packets, fields.

    python benchmarks/media/structure_fuzzing.py [--files 2000] [--seed 1] [--work FOLDER]

A rendered clip with a known offset is written in every container, parsed into its elements, and
written again with some of them deleted, moved, resized or changed (`structure/`, seeded). Each file
is checked in a worker process. Counts crashes, hangs, memory over 1.5 GiB, exceptions, results
without a valid status or exit code, and wrong answers: an offset that differs from the true one by
more than 45 ms. The truth is the clip's, plus what FFprobe's packet times say that the mutation
moved: where they change within the file, the answer must lie in between, and where too few packets
are left, it is not judged. All counts of failures must be 0. Outcomes are appended to a log in
FOLDER: run the command again to continue.
"""

import argparse
import json
import shutil
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch

from avsync.faces.detector import find_detector
from avsync.pipelines.check.check_file import load_model
from avsync.scoring.result import Status
from avsync.synthetic import render_clip
from benchmarks.markdown_tables import row as table_row
from benchmarks.media.fuzzing import run_worker
from benchmarks.media.structure.element_mutations import mutate
from benchmarks.media.structure.packet_times import (
    PacketTimes,
    audio_delay,
    read_packet_times,
)
from benchmarks.media.transcode import Variant, load, write
from benchmarks.record import machine, write_record

MAX_S, MAX_MIB = 30.0, 1536.0
# Beyond what viewers detect when audio leads (ITU-R BT.1359). Where frames are lost, estimates are
# less accurate: errors over `LARGE_ERROR_MS` are counted, not failures.
MAX_ERROR_MS, LARGE_ERROR_MS, MOVED_S = 45.0, 20.0, 0.01
EXIT_CODES = (0, 10, 11, 12)
FAILURES = ("crash", "hang", "memory", "exception", "unlabelled", "wrong answer")
# Offsets of the sources, positive = the audio leads: in tolerance, and on either side of it.
LEADS_MS = (0, 120, -200)
CLIP_S, SIZE = 4.0, (320, 240)
BIT_EXACT = {"fflags": "+bitexact"}


class Kind(NamedTuple):
    """A kind of source: how it is encoded, and options of its muxer."""

    variant: Variant
    options: dict[str, str]


KINDS = (
    Kind(Variant("mp4", ".mp4"), {}),
    Kind(Variant("mp4 fragmented", ".mp4"), {"movflags": "frag_keyframe+empty_moov"}),
    Kind(Variant("mp4 faststart opus", ".mp4", audio="libopus"), {"movflags": "faststart"}),
    Kind(Variant("mp4 edit list flac", ".mp4", audio="flac", hidden_s=0.4), {}),
    Kind(Variant("mov pcm", ".mov", audio="pcm_s16le"), {}),
    Kind(Variant("mov aac", ".mov", fps=Fraction(30000, 1001)), {}),
    Kind(Variant("mkv", ".mkv"), {}),
    Kind(Variant("mkv flac", ".mkv", "mpeg4", "flac"), {"live": "1"}),
    Kind(Variant("mkv mp3 vfr", ".mkv", audio="libmp3lame", variable="dropped"), {}),
    Kind(Variant("webm", ".webm", "libvpx", "libopus"), {}),
    Kind(Variant("avi", ".avi", "mpeg4", "pcm_s16le"), {}),
    Kind(Variant("avi ac3", ".avi", "mpeg4", "ac3"), {}),
    Kind(Variant("ts", ".ts"), {}),
    Kind(Variant("ts mpeg2", ".ts", "mpeg2video", "mp2"), {}),
    Kind(Variant("ogg", ".ogv", "libvpx", "libopus"), {}),
    Kind(Variant("flv", ".flv", sample_rate=44100), {}),
    Kind(Variant("mxf", ".mxf", "mpeg2video", "pcm_s16le"), {}),
)


class Source(NamedTuple):
    """An intact file with its true offset and the times of its packets."""

    name: str
    path: Path
    lead_ms: float
    times: PacketTimes


def make_sources(folder: Path) -> list[Source]:
    """Render a clip for each offset, and write each kind of source with one of these in turn."""
    clips = {}
    for lead_ms in LEADS_MS:
        path = folder / f"rendered_{lead_ms}.mp4"
        if not path.exists():
            shift_ms = -float(lead_ms)
            render_clip(path, 7, CLIP_S, size=SIZE, audio_codec="flac", audio_shift_ms=shift_ms)
        clips[lead_ms] = load(path)
    sources = []
    for number, kind in enumerate(KINDS):
        lead_ms = LEADS_MS[number % len(LEADS_MS)]
        path = folder / f"{kind.variant.name.replace(' ', '_')}{kind.variant.suffix}"
        if not path.exists():
            write(clips[lead_ms], path, kind.variant, {**BIT_EXACT, **kind.options})
        times = read_packet_times(path)
        assert times is not None, f"FFprobe cannot read {path}"
        sources.append(Source(kind.variant.name, path, lead_ms, times))
    return sources


def judge(row: dict[str, Any], source: Source, times: PacketTimes | None) -> dict[str, Any]:
    """Return what is known of the answer of a file.

    Args:
        row: outcome of the file.
        source: the file that was mutated.
        times: times of the packets after the mutation; None if FFprobe cannot read it.
    """
    if row["outcome"] != "ok":
        return {}
    delay = None if times is None else audio_delay(source.times, times)
    if delay is None:
        return {"truth": "not judged"}
    low_ms, high_ms = (source.lead_ms - 1000 * end for end in (delay.high_s, delay.low_s))
    # 0 within the range of true offsets, if the offset changes within the file.
    error_ms = row["offset_ms"] - min(max(row["offset_ms"], low_ms), high_ms)
    if delay.is_constant:
        error_ms = row["offset_ms"] - (low_ms + high_ms) / 2
        truth = "moved" if max(-delay.low_s, delay.high_s) > MOVED_S else "kept"
    else:
        truth = "changes"
    judged = {"truth": truth, "true_ms": [round(low_ms, 1), round(high_ms, 1)]}
    judged |= {"error_ms": round(error_ms, 1)}
    return {**judged, "outcome": "wrong answer"} if abs(error_ms) > MAX_ERROR_MS else judged


def check_file(path: Path, source: Source) -> dict[str, Any]:
    """Check one file in a worker and judge its answer."""
    row = run_worker(path, MAX_S, MAX_MIB)
    if row["peak_mib"] > MAX_MIB and row["outcome"] not in FAILURES:
        row |= {"outcome": "memory", "detail": row["outcome"]}
    if row.get("exit_code", 0) not in EXIT_CODES:
        row |= {"outcome": "unlabelled", "detail": f"exit code {row['exit_code']}"}
    times = read_packet_times(path) if row["outcome"] == "ok" else None
    return row | judge(row, source, times)


def run(
    sources: list[Source], seed: int, numbers: range, log: Path, keep: Path
) -> list[dict[str, Any]]:
    """Check the mutations of the given numbers and return their outcomes.

    Args:
        sources: intact files, used in turn.
        seed: seed of the mutations.
        numbers: numbers of the mutations.
        log: JSON Lines of the outcomes; numbers that it holds are not run again.
        keep: folder for the files that fail.
    """
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = {row["number"] for row in rows}
    keep.mkdir(parents=True, exist_ok=True)
    with log.open("a") as lines:
        for number in numbers:
            if number in known:
                continue
            source = sources[number % len(sources)]
            suffix = source.path.suffix
            mutation = mutate(source.path.read_bytes(), suffix, seed, number)
            path = keep / f"{seed}_{number}{suffix}"
            path.write_bytes(mutation.data)
            row = {"number": number, "source": source.name, "kinds": mutation.kinds}
            row |= {"mutation": mutation.detail[:300], **check_file(path, source)}
            if row["outcome"] in FAILURES:
                print(row, flush=True)
            else:
                path.unlink()
            rows.append(row)
            lines.write(json.dumps(row) + "\n")
            lines.flush()
    return sorted((row for row in rows if row["number"] in numbers), key=lambda r: r["number"])


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count the outcomes, by source and by mutation, and take the maxima of time and memory."""
    outcomes = Counter(row["outcome"] for row in rows)
    truths = Counter(row["truth"] for row in rows if "truth" in row)
    errors_ms = [abs(row["error_ms"]) for row in rows if "error_ms" in row]
    return {
        "files": len(rows),
        "failures": {kind: outcomes[kind] for kind in FAILURES},
        "answers": {kind: outcomes[kind] for kind in get_args(Status)},
        "truth": {kind: truths[kind] for kind in ("kept", "moved", "changes", "not judged")},
        "largest_error_ms": max(errors_ms, default=None),
        "errors_over_20_ms": sum(error_ms > LARGE_ERROR_MS for error_ms in errors_ms),
        "sources": _by(rows, lambda row: [row["source"]]),
        "mutations": _by(rows, lambda row: sorted(set(row["kinds"]))),
        "longest_s": max(row["spent_s"] for row in rows),
        "longest_cpu_s": max(row["cpu_s"] for row in rows),
        "longest_wall_s": max(row["wall_s"] for row in rows),
        "peak_mib": max(row["peak_mib"] for row in rows),
        "limits": {"seconds": MAX_S, "memory_mib": MAX_MIB, "error_ms": MAX_ERROR_MS},
    }


def _by(rows: list[dict[str, Any]], keys: Any) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        for key in keys(row):
            counts.setdefault(key, Counter())[row["outcome"]] += 1
    return {key: dict(counts[key].most_common()) for key in sorted(counts)}


def tables(found: dict[str, Any]) -> str:
    """Return the counts by source and by mutation as Markdown tables."""
    columns = [*get_args(Status), *FAILURES]
    lines = []
    for name in ("sources", "mutations"):
        head = [name, "files", *columns]
        lines += ["", table_row(head), table_row(["---"] * len(head))]
        for key, counts in found[name].items():
            numbers = [sum(counts.values()), *(counts.get(column, 0) for column in columns)]
            lines.append(table_row([key, *map(str, numbers)]))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("structure_fuzzing"))
    arguments = parser.parse_args()
    if shutil.which("ffprobe") is None:
        sys.exit("ffprobe, which judges the answers, is not installed")
    # Thread pools do not survive a fork.
    torch.set_num_threads(1)
    load_model("dense_sync")
    find_detector()
    work = arguments.work
    (work / "sources").mkdir(parents=True, exist_ok=True)
    sources = make_sources(work / "sources")
    for source in sources:
        row = check_file(source.path, source)
        if row["outcome"] != "ok" or row["truth"] != "kept":
            sys.exit(f"the intact file fails: {source.name}: {row}")
    log = work / f"seed_{arguments.seed}.jsonl"
    rows = run(sources, arguments.seed, range(arguments.files), log, work / "failing")
    found = {"seed": arguments.seed, **figures(rows)}
    print(tables(found))
    print(json.dumps({k: v for k, v in found.items() if k not in ("sources", "mutations")}))
    print(machine())
    if arguments.files >= 1000:
        write_record("media/structure_fuzzing", found)


if __name__ == "__main__":
    main()
