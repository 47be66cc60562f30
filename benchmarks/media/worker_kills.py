"""Check and prepare many files while workers, machines and the command itself are killed.

    python benchmarks/media/worker_kills.py [--rows 20000] [--clips 300] [--kills 20] [--ray]
        [--shared FOLDER] [--commands check prepare]

The rows are hard links to real clips, among them files that hang, crash or eat memory in their
worker. A first run on processes of this machine is left alone. Further runs, on processes and with
`--ray` on a cluster of two nodes (Ray processes of this machine), are killed at random moments by
SIGKILL: a worker, all processes of a node, which is started again, or the command, which is run
again as its user would. All tables must be equal to the first, and name each poison file.

Rows of one content are measured once, so most rows cost a hash and a line: what is tested is that
nothing is lost, and what is timed is that, too.
"""

import argparse
import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from avsync.media.video_files import SUFFIXES
from benchmarks.media.poisoned_batch import CRASHES, EXHAUSTS, HANGS
from benchmarks.record import machine, write_record

POISON_FILES = 2
TIMEOUT_S = 20
# Names the processes of a run in their environment.
MARK = "AVSYNC_BENCHMARK_RUN"
PORT = 6399
# The cluster answers on this machine only.
NO_TOKEN = {"RAY_AUTH_MODE": "disabled"}


class Run(NamedTuple):
    """A finished run: its rows, kills by kind, wall seconds, CPU seconds of all its processes."""

    rows: dict[str, str]
    kills: dict[str, int]
    seconds: float
    cpu_s: float


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--commands", nargs="+", default=["check", "prepare"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chosen = random.Random(arguments.seed)
    figures: dict[str, Any] = {"rows": arguments.rows, "clips": arguments.clips}
    with tempfile.TemporaryDirectory(dir=Path.cwd().parent) as folder:
        videos = Path(folder) / "videos"
        link_rows(arguments.shared, videos, arguments.rows, arguments.clips)
        for command in arguments.commands:
            first = run(command, videos, Path(folder) / f"{command}-first", [], 0, chosen)
            figures[command] = {"undisturbed": _figures(first, first)}
            kinds = [("processes", [])] + [("ray", ["--ray", f"127.0.0.1:{PORT}"])] * arguments.ray
            for kind, options in kinds:
                output = Path(folder) / f"{command}-{kind}"
                disturbed = run(command, videos, output, options, arguments.kills, chosen)
                figures[command][kind] = _figures(disturbed, first)
            print(json.dumps(figures[command], indent=1))
            write_record("media/worker_kills", {"machine": machine(), **figures})


def link_rows(shared: Path, videos: Path, rows: int, clips: int) -> None:
    """Fill a folder with links to clips, and poison files."""
    found = (path for path in (shared / "data").rglob("*") if path.suffix.lower() in SUFFIXES)
    real = sorted(found, key=lambda path: (path.stat().st_size, path.name))[:clips]
    kept = videos.parent / "clips"
    kept.mkdir()
    copies = [Path(shutil.copy(path, kept / f"{n}{path.suffix}")) for n, path in enumerate(real)]
    poison = [f"{kind}-{n}" for kind in (HANGS, CRASHES, EXHAUSTS) for n in range(POISON_FILES)]
    for row in range(rows - len(poison)):
        clip = copies[row % len(copies)]
        path = videos / f"{row % 100:02}" / f"{row:06}{clip.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(clip, path)
    for number, name in enumerate(poison):
        shutil.copy(copies[number], videos / f"{17 * number % 100:02}" / f"{name}.mp4")


def run(
    command: str, videos: Path, output: Path, options: list[str], kills: int, chosen: random.Random
) -> Run:
    """Run a command to its end, with kills at random moments, and return what it wrote."""
    made: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    mark = f"{command}-{output.name}-{os.getpid()}"
    with _cluster(mark) if options else _nothing() as nodes:
        while True:
            process = _start(command, videos, output, options, mark)
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(chosen.uniform(2, 12) if made.total() < kills else None)
                if process.poll() is None and made.total() < kills:
                    kind = chosen.choice(["worker", "worker", "command"] + ["node"] * bool(nodes))
                    made[kind] += _kill(kind, process, mark, nodes)
            if process.returncode != -signal.SIGKILL:
                break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, 10, 11, 12):
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return Run(
        rows=_rows(command, videos, output),
        kills=dict(made),
        seconds=time.monotonic() - began,
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def _start(
    command: str, videos: Path, output: Path, options: list[str], mark: str
) -> "subprocess.Popen[bytes]":
    line = [sys.executable, "-W", "ignore", "-m", "benchmarks.media.poisoned_batch", command]
    limits = ["--timeout", str(TIMEOUT_S), "--workers", "2", *options]
    if command == "check":
        line += [str(videos), "--jsonl", f"{output}.jsonl", "--resume", *limits]
    else:
        line += [str(videos), "--output", str(output), *limits]
    environment = {**os.environ, **NO_TOKEN, MARK: mark, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL)


def _kill(kind: str, process: "subprocess.Popen[bytes]", mark: str, nodes: list[str]) -> int:
    """Kill a worker, a node or the command; return how many of these were killed."""
    if kind == "command":
        process.kill()
        process.wait()
        return 1
    if kind == "node":
        for number in _processes(nodes[1]):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        _start_node(nodes[1], [f"--address=127.0.0.1:{PORT}"])
        return 1
    marks = (mark, *nodes)
    workers = [n for m in marks for n in _processes(m) if b"spawn_main" in _command_line(n)]
    if not workers:
        return 0
    with suppress(ProcessLookupError):
        os.kill(workers[time.monotonic_ns() % len(workers)], signal.SIGKILL)
    return 1


def _processes(mark: str) -> list[int]:
    """Return the processes whose environment has the mark."""
    wanted = f"{MARK}={mark}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in path.read_bytes() + b"\0":
                found.append(int(path.parent.name))
    return found


def _command_line(number: int) -> bytes:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def _nothing() -> Iterator[list[str]]:
    yield []


@contextmanager
def _cluster(mark: str) -> Iterator[list[str]]:
    """Start a cluster of two nodes on this machine, each with one CPU; yield their marks."""
    nodes = [f"{mark}-head", f"{mark}-node"]
    try:
        _start_node(nodes[0], ["--head", f"--port={PORT}", "--include-dashboard=false"])
        _start_node(nodes[1], [f"--address=127.0.0.1:{PORT}"])
        yield nodes
    finally:
        for node in nodes:
            for number in _processes(node):
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)


def _start_node(mark: str, options: list[str]) -> None:
    paths = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **NO_TOKEN, MARK: mark, "PYTHONPATH": paths}
    environment["OMP_NUM_THREADS"] = "1"
    ray = str(Path(sys.executable).with_name("ray"))
    line = [ray, "start", *options, "--num-cpus=1", "--disable-usage-stats"]
    subprocess.run(line, env=environment, stdout=subprocess.DEVNULL, check=True)


def _rows(command: str, videos: Path, output: Path) -> dict[str, str]:
    """Return the rows of a run by the name of the file, without times and paths of the run."""
    rows: dict[str, list[str]] = {}
    if command == "check":
        with open(f"{output}.jsonl", encoding="ascii") as file:
            for line in map(json.loads, file):
                line["file"] = name = str(Path(line["file"]).relative_to(videos))
                line["made_of"].pop("mtime_ns")
                if "poison" in name:
                    # Where our kill came before the poison, the cause in words names that.
                    line.pop("detail")
                rows.setdefault(name, []).append(json.dumps(line, sort_keys=True))
    else:
        for line in map(json.loads, (output / "clips.jsonl").read_text().splitlines()):
            # The name of a clip has a digest of the file's time, which is that of its links.
            rows.setdefault(line["source"], []).append(json.dumps(line, sort_keys=True))
        with open(output / "rejected.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["source"], []).append(json.dumps(row))
    return {name: "\n".join(sorted(lines)) for name, lines in rows.items()}


def _figures(found: Run, first: Run) -> dict[str, Any]:
    named = [name for name in found.rows if "poison" in name]
    wrong = [name for name in first.rows if found.rows.get(name) != first.rows[name]]
    return {
        "rows": len(found.rows),
        "rows_that_differ": len(wrong),
        "differ": {name: found.rows.get(name, "")[:300] for name in wrong[:5]},
        "rows_too_many": len(set(found.rows) - set(first.rows)),
        "poison_named": sum("damaged" in found.rows[name] for name in named),
        "kills": found.kills,
        "wall_s": found.seconds,
        "cpu_s": found.cpu_s,
    }


if __name__ == "__main__":
    main()
