"""Run the commands on crafted files, and measure memory and CPU time.

    python benchmarks/media/crafted_files.py [--only TEXT] [--commands check fix ...]

The files (`crafted_mp4.py`, `crafted_containers.py`) are small and claim, or expand to, far more
than they hold: compressed indices, sample tables, edit lists, tags, cover art, thousands of streams
or parameters. Each must be answered or refused in words, within 1.5 GiB of resident memory and 30 s
of CPU time per command. Every command runs in a process of its own, forked from one that has
imported everything.
"""

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import torch

from avsync.faces.detector import find_detector
from avsync.media.container import UnreadableMedia
from avsync.media.open_limits import own_process
from avsync.pipelines.check.check_file import check, load_model
from avsync.pipelines.fix.fix_file import FixRefused, fix
from avsync.pipelines.prepare.prepare_store import prepare
from avsync.pipelines.separate.separate_file import separate
from avsync.synthetic import render_clip
from benchmarks.media.crafted_containers import OTHER_FILES
from benchmarks.media.crafted_mp4 import MP4_FILES
from benchmarks.media.transcode import Variant, load, write
from benchmarks.record import machine, write_record

MAX_MIB, MAX_CPU_S = 1536.0, 30.0
# A command is stopped here: far beyond the limits, so that the table shows by how much.
STOP_MIB, STOP_CPU_S, STOP_S = 5000.0, 60.0, 300.0
VARIANTS = {
    ".mkv": Variant("mkv", ".mkv", audio="pcm_s16le"),
    ".avi": Variant("avi", ".avi", "mpeg4", "pcm_s16le"),
    ".ts": Variant("ts", ".ts"),
    ".mxf": Variant("mxf", ".mxf", "mpeg2video", "pcm_s16le"),
    ".nut": Variant("nut", ".nut"),
    ".ogv": Variant("ogv", ".ogv", "libvpx", "libopus"),
}


class IntactClips:
    """An MP4 and, made when first asked for, the same clip in other containers.

    Args:
        mp4: the bytes of an MP4 with its index at the end (H.264 and AAC).
    """

    def __init__(self, mp4: bytes, folder: Path) -> None:
        self.folder = folder
        (folder / "intact.mp4").write_bytes(mp4)
        self.bytes = cache(self._bytes)

    def _bytes(self, suffix: str) -> bytes:
        path = self.folder / f"intact{suffix}"
        if not path.exists():
            write(load(self.folder / "intact.mp4"), path, VARIANTS[suffix])
        return path.read_bytes()


def crafted(intact: IntactClips, only: str = "") -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Yield names, suffixes and builders of the crafted files whose names contain a text."""
    for name, build in MP4_FILES.items():
        if only in name:
            yield name, ".mp4", lambda build=build: build(intact.bytes(".mp4"))
    for name, (suffix, build_other) in OTHER_FILES.items():
        if only in name:
            yield name, suffix, lambda build=build_other: build(intact.bytes)


def run_check(path: Path, folder: Path) -> str:
    result = check(path)
    return f"{result.status}: {result.detail or result.verdict}"


def run_fix(path: Path, folder: Path) -> str:
    try:
        return f"would shift by {fix(path, folder / 'fixed.mkv', dry_run=True).shift_ms:.0f} ms"
    except FixRefused as refused:
        return f"refused: {refused}"


def run_separate(path: Path, folder: Path) -> str:
    result = separate(path, folder / "voices")
    return f"{len(result.voices)} voices"


def run_prepare(path: Path, folder: Path) -> str:
    summary = prepare(path.parent, folder / "store")
    rows = (folder / "store" / "rejected.csv").read_text().splitlines()[1:]
    return f"{summary.clips} clips; {'; '.join(rows)[:200]}"


COMMANDS = {"check": run_check, "fix": run_fix, "separate": run_separate, "prepare": run_prepare}
# What a command raises for a file that it refuses; the command line prints its text.
REFUSALS = (UnreadableMedia, FixRefused, ValueError, RuntimeError)


def run_in_child(command: Callable[[Path, Path], str], path: Path, folder: Path) -> dict[str, Any]:
    """Run a command on a file in a forked process; return its answer and what it used."""
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.close(reading)
            for output in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), output)
            os.write(writing, _answer(command, path, folder).encode()[:4000])
        finally:
            os._exit(0)
    os.close(writing)
    stopped = ""
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - started > STOP_S:
            stopped = f"stopped after {STOP_S:.0f} s"
        elif _cpu_s(child) > STOP_CPU_S:
            stopped = f"stopped after {STOP_CPU_S:.0f} s of CPU time"
        elif _resident_mib(child) > STOP_MIB:
            stopped = f"stopped at {STOP_MIB:.0f} MiB"
        if stopped:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            break
        time.sleep(0.02)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    if os.WIFSIGNALED(status) and not stopped:
        stopped = signal.Signals(os.WTERMSIG(status)).name
    return {
        "answer": stopped or answer,
        "peak_mib": round(usage.ru_maxrss / 1024),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "wall_s": round(time.monotonic() - started, 2),
    }


def is_failure(row: dict[str, Any]) -> bool:
    """Return whether a command went over a limit, crashed, or failed without an answer."""
    lost = row["answer"].startswith(("stopped", "SIG", "exception")) or not row["answer"]
    return lost or row["peak_mib"] > MAX_MIB or row["cpu_s"] > MAX_CPU_S


def _answer(command: Callable[[Path, Path], str], path: Path, folder: Path) -> str:
    try:
        return command(path, folder)
    except REFUSALS as error:
        return f"refused: {error}"
    except Exception:
        return f"exception: {traceback.format_exc(limit=-4)}"


def _resident_mib(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 2**20


def _cpu_s(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="files whose names contain this text")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--log", type=Path, help="JSON lines, to which each row is appended")
    arguments = parser.parse_args()
    # Thread pools do not survive a fork.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    load_model("dense_sync")
    find_detector()
    own_process()  # As the command does.
    rows: list[dict[str, Any]] = []
    print(f"limits: {MAX_MIB:.0f} MiB, {MAX_CPU_S:.0f} s of CPU time", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        render_clip(folder / "clip.mp4", seed=1, duration_s=3.0, size=(320, 240))
        intact = IntactClips((folder / "clip.mp4").read_bytes(), folder)
        for number, (title, suffix, build) in enumerate(crafted(intact, arguments.only)):
            inputs = folder / f"in{number}"
            inputs.mkdir()
            path = inputs / f"file{suffix}"
            path.write_bytes(build())
            size_mb = path.stat().st_size / 1e6
            for command in arguments.commands:
                work = folder / f"out{number}{command}"
                work.mkdir()
                row = {"file": title, "size_mb": round(size_mb, 3), "command": command}
                row |= run_in_child(COMMANDS[command], path, work)
                row["answer"] = row["answer"].replace(str(folder), "FOLDER")
                rows.append(row)
                mark = "FAIL" if is_failure(row) else "ok"
                print(
                    f"{mark:4} {title} ({size_mb:.2f} MB), {command}: {row['peak_mib']} MiB, "
                    f"{row['cpu_s']} s: {row['answer'].strip().splitlines()[-1:]}",
                    flush=True,
                )
                if arguments.log:
                    with arguments.log.open("a") as log:
                        log.write(json.dumps(row) + "\n")
            path.unlink()
    failures = [row for row in rows if is_failure(row)]
    print(f"{len(rows)} runs, {len(failures)} over a limit or without an answer")
    print(machine())
    if not arguments.only and len(arguments.commands) == len(COMMANDS):
        write_record(
            "media/crafted_files",
            {
                "limits": {"memory_mib": MAX_MIB, "cpu_s": MAX_CPU_S},
                "failures": len(failures),
                "rows": rows,
            },
        )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
