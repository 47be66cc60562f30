"""Broken files get an answer: `python benchmarks/robustness.py --shared ../shared`.

Real clips in every container are broken in seeded ways (mutations.py) and each is checked by a
process of its own, forked from one that has imported everything. Counts crashes, hangs over
20 s, memory over 2 GiB more than before, exceptions, and answers that are none of the statuses;
each is to be 0. The time that a process only waits for a core of a busy machine does not count.
Results are appended to a log as they come: run again, it goes on where it was.
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
from mutations import mutate
from record import machine, write_record
from retimed import Variant, load, write

from avsync.faces.detector import find_detector
from avsync.pipelines.check.check_file import check, load_model
from avsync.scoring.result import CheckResult, Reason, Status, to_json

SEED = 4
MOST_S = 20.0
MOST_MIB = 2048.0
FAILURES = ("crash", "hang", "memory", "exception", "unlabelled")
WRITTEN = (
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
    """Real clips as they came, and written again in every container."""
    originals = [
        sorted((data / source).iterdir())[0]
        for source in ("grid_other_speakers", "wild_lrs3", "grid_s1")
    ]
    sources = []
    for number, how in enumerate(WRITTEN):
        sources.append(folder / f"{how.name.replace(' ', '_')}{how.suffix}")
        write(load(originals[number % len(originals)]), sources[-1], how)
    return [*originals, *sources]


def flaw(result: CheckResult) -> str | None:
    """What is wrong with an answer, None where it is one of those the JSON page lists."""
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


def answer(path: Path, pipe: int) -> None:
    """In the worker: checks the file and writes what came to the pipe."""
    try:
        result = check(path)
        wrong = flaw(result)
        kind = "unlabelled" if wrong else result.status
        found = {"outcome": kind, "detail": wrong or result.reason or "", "words": result.detail}
    except Exception:
        found = {"outcome": "exception", "detail": traceback.format_exc(limit=-6)}
    os.write(pipe, json.dumps(found).encode()[:60_000])


def watch(path: Path, most_s: float, most_mib: float) -> dict[str, Any]:
    """Checks one file in a forked worker, within limits of time and memory."""
    reading, writing = os.pipe()
    started = time.monotonic()
    worker = os.fork()
    if worker == 0:
        os.close(reading)
        # Whatever happens, this copy of the program ends here.
        try:
            _quiet()
            answer(path, writing)
        finally:
            os._exit(0)
    os.close(writing)
    # What a fork has before it does anything, which is less than its parent has.
    before_mib = _resident_mib(worker)
    clock = _Clock(worker)
    outcome = None
    while True:
        done, status, usage = os.wait4(worker, os.WNOHANG)
        if done:
            break
        if clock.spent_s() > most_s:
            outcome = "hang"
        elif _resident_mib(worker) - before_mib > most_mib:
            outcome = "memory"
        if outcome:
            os.kill(worker, signal.SIGKILL)
            _, status, usage = os.wait4(worker, 0)
            break
        time.sleep(0.01)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    found: dict[str, Any] = json.loads(said) if said else {"outcome": "crash", "detail": ""}
    if outcome:
        found = {"outcome": outcome, "detail": ""}
    elif os.WIFSIGNALED(status):
        found = {"outcome": "crash", "detail": signal.Signals(os.WTERMSIG(status)).name}
    found["spent_s"] = round(clock.last_s, 3)
    found["wall_s"] = round(time.monotonic() - started, 3)
    found["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 3)
    found["more_mib"] = round(usage.ru_maxrss / 1024 - before_mib, 1)
    if not outcome and found["more_mib"] > most_mib:
        found |= {"outcome": "memory", "detail": found["outcome"]}
    return found


class _Clock:
    """Seconds since a process began, less those in which it only waited for its turn on a core.

    On a busy machine a file that takes half a second may take twenty by the clock on the wall.
    """

    def __init__(self, process: int) -> None:
        self.process = process
        self.at, self.used_s = time.monotonic(), 0.0
        self.last_s = 0.0

    def spent_s(self) -> float:
        """The seconds so far; to be asked often."""
        process = Path(f"/proc/{self.process}")
        states = []
        for thread in process.glob("task/*/stat"):
            with suppress(OSError):  # It has ended.
                states.append(_fields(thread)[0])
        ticks = sum(int(field) for field in _fields(process / "stat")[11:13])
        now, used_s = time.monotonic(), ticks / os.sysconf("SC_CLK_TCK")
        passed_s, worked_s = now - self.at, max(0.0, used_s - self.used_s)
        waits = any(state in "RD" for state in states)
        self.last_s += min(passed_s, worked_s) if waits else passed_s
        self.at, self.used_s = now, used_s
        return self.last_s


def _fields(stat: Path) -> list[str]:
    """What /proc says of a process or thread from its state on: its name may hold anything."""
    return stat.read_text().rpartition(")")[2].split()


def _quiet() -> None:
    """No core files, and nothing of what codecs print."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)


def _resident_mib(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 2**20


def run(sources: list[Path], numbers: range, log: Path, keep: Path | None) -> list[dict[str, Any]]:
    """The outcome of each number, from the log where it was there before."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = {row["number"] for row in rows}
    whole = [path.read_bytes() for path in sources]
    with tempfile.TemporaryDirectory() as folder, log.open("a") as lines:
        for number in numbers:
            if number in known:
                continue
            source = sources[number % len(sources)]
            broken = mutate(whole[number % len(sources)], whole, SEED, number)
            path = Path(folder) / f"{number}{source.suffix}"
            path.write_bytes(broken.data)
            row = {"number": number, "source": source.name, "kind": broken.kind}
            row |= watch(path, MOST_S, MOST_MIB)
            if row["outcome"] in FAILURES:
                print(row, flush=True)
                if keep is not None:
                    (keep / path.name).write_bytes(broken.data)
            path.unlink()
            rows.append(row)
            lines.write(json.dumps(row) + "\n")
            lines.flush()
    return sorted((row for row in rows if row["number"] in numbers), key=lambda r: r["number"])


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of outcomes, and the worst of time and memory."""
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
        "limits": {"seconds": MOST_S, "memory_mib": MOST_MIB},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--log", type=Path, default=Path("robustness.jsonl"))
    parser.add_argument("--keep", type=Path, help="a folder for the files that fail")
    arguments = parser.parse_args()
    # Forked workers must find no threads waiting to be woken.
    torch.set_num_threads(1)
    load_model("dense_sync")
    find_detector()
    with tempfile.TemporaryDirectory() as folder:
        sources = make_sources(arguments.shared / "data", Path(folder))
        intact = [watch(path, MOST_S, MOST_MIB) for path in sources]
        if any(row["outcome"] in FAILURES for row in intact):
            sys.exit(f"whole files fail: {intact}")
        rows = run(sources, range(arguments.files), arguments.log, arguments.keep)
    found = figures(rows)
    print(json.dumps(found, indent=2))
    print(machine())
    if arguments.files >= 1000:
        write_record("robustness", found)


if __name__ == "__main__":
    main()
