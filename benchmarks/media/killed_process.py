"""Run functions in forked processes and kill them, at a time or before a file event."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

EVENTS = ("os.rename", "os.remove", "os.mkdir", "open")
MAX_S = 300.0
# Workers whose parent was killed may finish what they are doing.
MAX_ORPHANED_S = 60.0


class Finished(NamedTuple):
    """A run that ended: its exit code, None if it was killed, its file events, and its time."""

    code: int | None
    events: int
    seconds: float


def start(
    run: Callable[[Path, Path], int], inputs: Path, output: Path, kill_at: int | None = None
) -> tuple[int, int]:
    """Run a command in a forked process; return its id and a pipe for its count of file events.

    Args:
        run: runs a command and returns its exit code; takes the two folders.
        inputs: folder of the inputs.
        output: folder of the outputs.
        kill_at: number of the file event, in the output folder or that for temporary files, before
            which it kills itself.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    os.close(reading)
    events = 0

    def observe(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal events
        if event not in EVENTS or not _below(arguments[0], output.parent):
            return
        if event == "open" and not (
            len(arguments) > 2 and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            return
        if events == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        events += 1

    code = 70  # An exception that the command does not catch.
    # Whatever happens, the process must end here.
    try:
        os.setsid()
        tempfile.tempdir = None
        os.environ["TMPDIR"] = str(temporary_of(output))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        sys.addaudithook(observe)
        code = run(inputs, output)
    finally:
        os.write(writing, str(events).encode())
        os._exit(code)


def temporary_of(output: Path) -> Path:
    """Return the folder for temporary files of a command by that of its outputs."""
    return output.with_name("temporary")


def session_ends(process: int) -> bool:
    """Wait for the processes that a command has started; kill those that stay."""
    until = time.monotonic() + MAX_ORPHANED_S
    while members := [pid for pid in _processes() if _session(pid) == process]:
        if time.monotonic() > until:
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.05)
    return True


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _below(path: object, folder: Path) -> bool:
    return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(f"{folder}{os.sep}")


def finish(process: int, pipe: int, kill_after_s: float | None = None) -> Finished:
    """Wait for a run, and kill it after a time if it has not ended before."""
    started, killed = time.monotonic(), False
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        passed_s = time.monotonic() - started
        if done:
            break
        late = passed_s > (MAX_S if kill_after_s is None else kill_after_s)
        if late and not killed:
            os.kill(process, signal.SIGKILL)
            killed = True
        time.sleep(0.002)
    with os.fdopen(pipe, "rb") as reading:
        events = reading.read()
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    return Finished(code, int(events or 0), passed_s)
