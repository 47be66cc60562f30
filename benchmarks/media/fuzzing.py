"""Fuzz `avsync.check` with corrupted files of every container.

    python benchmarks/media/fuzzing.py --shared ../shared [--files 1000]

Real clips in every container are mutated (`mutations.py`, seeded), and each file is checked in a
worker process. Workers are forked from a process that has imported everything. Counts crashes,
hangs over 20 s, memory over 2 GiB more than before, exceptions and results without a valid status;
all counts must be 0. Time in which a worker waits for a busy core is not counted. Results are
appended to a log: run the command again to continue.
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
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import torch

from avsync.faces.detector import find_detector
from avsync.pipelines.check.check_file import check, load_model
from avsync.pipelines.check.messages import exit_code
from avsync.scoring.result import CheckResult, Reason, Status
from avsync.scoring.result_json import to_json
from benchmarks.media.mutations import mutate
from benchmarks.media.transcode import Variant, load, write
from benchmarks.record import machine, write_record

SEED = 4
MAX_S = 20.0
MAX_MIB = 2048.0
FAILURES = ("crash", "hang", "memory", "exception", "unlabelled")
VARIANTS = (
    Variant("mp4", ".mp4"),
    Variant("mp4 opus", ".mp4", audio="libopus"),
    Variant("mov", ".mov", audio="pcm_s16le"),
    Variant("mkv", ".mkv", audio="flac"),
    Variant("mkv mp3", ".mkv", "mpeg4", "libmp3lame"),
    Variant("webm", ".webm", "libvpx", "libopus"),
    Variant("avi", ".avi", "mpeg4", "pcm_s16le"),
    Variant("avi mp3", ".avi", "libx264", "libmp3lame"),
    Variant("ts", ".ts", "libx264", "aac"),
    Variant("ts mpeg2", ".ts", "mpeg2video", "mp2"),
    Variant("mpg", ".mpg", "mpeg2video", "mp2"),
    Variant("flv", ".flv", "libx264", "aac"),
    Variant("mp4 60 fps", ".mp4", fps=Fraction(60)),
)


def make_sources(data: Path, folder: Path) -> list[Path]:
    """Return real clips as they came, and transcoded to every container."""
    originals = [
        sorted((data / source).iterdir())[0]
        for source in ("grid_other_speakers", "wild_lrs3", "grid_s1")
    ]
    sources = []
    for number, variant in enumerate(VARIANTS):
        sources.append(folder / f"{variant.name.replace(' ', '_')}{variant.suffix}")
        write(load(originals[number % len(originals)]), sources[-1], variant)
    return [*originals, *sources]


def invalidity(result: CheckResult) -> str | None:
    """Return why a result is not one of the documented ones; None if it is."""
    if result.status not in get_args(Status):
        return f"status {result.status!r}"
    numbers = (result.offset_ms, result.interval_ms, result.verdict)
    if result.status == "ok":
        if result.reason is not None or None in numbers:
            return "ok without its numbers"
    elif result.reason not in get_args(Reason) or not result.detail:
        return f"reason {result.reason!r} with detail {result.detail!r}"
    elif numbers != (None, None, None):
        return "numbers without an answer"
    try:
        json.dumps(to_json([result]), allow_nan=False)
    except ValueError as error:
        return f"JSON: {error}"
    return None


def check_to_pipe(path: Path, pipe: int) -> None:
    """Check a file in the worker and write the outcome to a pipe as JSON."""
    try:
        result = check(path)
        invalid = invalidity(result)
        kind = "unlabelled" if invalid else result.status
        found: dict[str, Any] = {
            "outcome": kind,
            "detail": invalid or result.reason or "",
            "words": result.detail,
        }
        found |= {"offset_ms": result.offset_ms, "confidence": round(result.confidence, 3)}
        found |= {"interval_ms": result.interval_ms, "exit_code": exit_code(result)}
    except Exception:
        found = {"outcome": "exception", "detail": traceback.format_exc(limit=-6)}
    os.write(pipe, json.dumps(found).encode()[:60_000])


def run_worker(path: Path, max_s: float, max_mib: float) -> dict[str, Any]:
    """Check one file in a forked worker, within limits of time and additional memory."""
    reading, writing = os.pipe()
    started = time.monotonic()
    worker = os.fork()
    if worker == 0:
        os.close(reading)
        # Whatever happens, the worker must end here.
        try:
            _silence()
            check_to_pipe(path, writing)
        finally:
            os._exit(0)
    os.close(writing)
    # The resident memory of a new fork, which is less than that of its parent.
    before_mib = _resident_mib(worker)
    clock = _ActiveClock(worker)
    outcome = None
    while True:
        done, status, usage = os.wait4(worker, os.WNOHANG)
        if done:
            break
        if clock.update_s() > max_s:
            outcome = "hang"
        elif _resident_mib(worker) - before_mib > max_mib:
            outcome = "memory"
        if outcome:
            os.kill(worker, signal.SIGKILL)
            _, status, usage = os.wait4(worker, 0)
            break
        time.sleep(0.01)
    with os.fdopen(reading, "rb") as pipe:
        output = pipe.read()
    found: dict[str, Any] = json.loads(output) if output else {"outcome": "crash", "detail": ""}
    if outcome:
        found = {"outcome": outcome, "detail": ""}
    elif os.WIFSIGNALED(status):
        found = {"outcome": "crash", "detail": signal.Signals(os.WTERMSIG(status)).name}
    found["spent_s"] = round(clock.active_s, 3)
    found["wall_s"] = round(time.monotonic() - started, 3)
    found["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 3)
    found["more_mib"] = round(usage.ru_maxrss / 1024 - before_mib, 1)
    found["peak_mib"] = round(usage.ru_maxrss / 1024, 1)
    if not outcome and found["more_mib"] > max_mib:
        found |= {"outcome": "memory", "detail": found["outcome"]}
    return found


class _ActiveClock:
    """Measure the wall time of a process without the time in which it waits for a core.

    On a busy machine a file that needs half a second may take twenty seconds of wall time.
    """

    def __init__(self, process: int) -> None:
        self.process = process
        self.updated_s, self.used_s = time.monotonic(), 0.0
        self.active_s = 0.0

    def update_s(self) -> float:
        """Return the seconds so far; call it often, as it samples the states of the threads."""
        process = Path(f"/proc/{self.process}")
        states = []
        for thread in process.glob("task/*/stat"):
            with suppress(OSError):  # The thread has ended.
                states.append(_fields(thread)[0])
        ticks = sum(int(field) for field in _fields(process / "stat")[11:13])
        now, used_s = time.monotonic(), ticks / os.sysconf("SC_CLK_TCK")
        passed_s, worked_s = now - self.updated_s, max(0.0, used_s - self.used_s)
        runnable = any(state in "RD" for state in states)
        self.active_s += min(passed_s, worked_s) if runnable else passed_s
        self.updated_s, self.used_s = now, used_s
        return self.active_s


def _fields(stat: Path) -> list[str]:
    """Read the fields of a /proc stat file from the state on; the name before may have spaces."""
    return stat.read_text().rpartition(")")[2].split()


def _silence() -> None:
    """Disable core files and the output of codecs."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)


def _resident_mib(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 2**20


def run(sources: list[Path], numbers: range, log: Path, keep: Path | None) -> list[dict[str, Any]]:
    """Check the mutations of the given numbers and return their outcomes.

    Args:
        sources: intact files, used in turn.
        numbers: numbers of the mutations.
        log: JSON Lines of the outcomes; numbers that it holds are not run again.
        keep: folder for the files that fail; None to delete them.
    """
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = {row["number"] for row in rows}
    intact = [path.read_bytes() for path in sources]
    with tempfile.TemporaryDirectory() as folder, log.open("a") as lines:
        for number in numbers:
            if number in known:
                continue
            source = sources[number % len(sources)]
            mutation = mutate(intact[number % len(sources)], intact, SEED, number)
            path = Path(folder) / f"{number}{source.suffix}"
            path.write_bytes(mutation.data)
            row = {"number": number, "source": source.name, "kind": mutation.kind}
            row |= run_worker(path, MAX_S, MAX_MIB)
            if row["outcome"] in FAILURES:
                print(row, flush=True)
                if keep is not None:
                    (keep / path.name).write_bytes(mutation.data)
            path.unlink()
            rows.append(row)
            lines.write(json.dumps(row) + "\n")
            lines.flush()
    return sorted((row for row in rows if row["number"] in numbers), key=lambda r: r["number"])


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count the outcomes, and take the maxima of time and memory."""
    outcomes = Counter(row["outcome"] for row in rows)
    reasons = Counter(row["detail"] for row in rows if row["outcome"] not in ("ok", *FAILURES))
    kinds = Counter(kind for row in rows for kind in row["kind"].split("+"))
    return {
        "seed": SEED,
        "files": len(rows),
        "failures": {kind: outcomes[kind] for kind in FAILURES},
        "answers": {kind: outcomes[kind] for kind in get_args(Status)},
        "reasons": dict(reasons.most_common()),
        "mutations": dict(kinds.most_common()),
        "containers": dict(Counter(Path(row["source"]).suffix for row in rows).most_common()),
        "longest_s": max(row["spent_s"] for row in rows),
        "longest_wall_s": max(row["wall_s"] for row in rows),
        "longest_cpu_s": max(row["cpu_s"] for row in rows),
        "most_memory_mib": max(row["more_mib"] for row in rows),
        "limits": {"seconds": MAX_S, "memory_mib": MAX_MIB},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--log", type=Path, default=Path("fuzzing.jsonl"))
    parser.add_argument("--keep", type=Path, help="folder for the files that fail")
    arguments = parser.parse_args()
    # Thread pools do not survive a fork.
    torch.set_num_threads(1)
    load_model("dense_sync")
    find_detector()
    with tempfile.TemporaryDirectory() as folder:
        sources = make_sources(arguments.shared / "data", Path(folder))
        intact = [run_worker(path, MAX_S, MAX_MIB) for path in sources]
        if any(row["outcome"] in FAILURES for row in intact):
            sys.exit(f"intact files fail: {intact}")
        rows = run(sources, range(arguments.files), arguments.log, arguments.keep)
    found = figures(rows)
    print(json.dumps(found, indent=2))
    print(machine())
    if arguments.files >= 1000:
        write_record("media/fuzzing", found)


if __name__ == "__main__":
    main()
