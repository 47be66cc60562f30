"""Kill every command that writes at random moments, and check what it leaves behind.

    python benchmarks/media/kill_writers.py [--kills 100] [--seed 1]

Each command runs once undisturbed. Then it is started again and killed by SIGKILL: at a random
time, or before a random one of the events in which it creates, renames or removes a file. After
each kill the inputs must be unchanged, and files of an earlier run must be whole: the earlier ones
or the new ones, of one run where they belong together. Where a JSON file says what belongs together
and it is gone, a replacement has openly begun: this is counted, not a violation. Started again, the
command must finish with the same exit code and results as the undisturbed run, and leave no further
files. All counts of violations must be 0.
"""

import argparse
import hashlib
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.media.killed_process import (
    Finished,
    finish,
    session_ends,
    start,
    temporary_of,
)
from benchmarks.media.written_files import Contents, read_folder
from benchmarks.record import machine, write_record

VIOLATIONS = (
    "input changed",
    "earlier file torn",
    "files of two runs",
    "second run fails",
    # Of the second run: these three in this order, with the names of the files.
    "result differs",
    "files left",
    "temporary files left",
    "processes left",
)
EARLIER = b"a file of an earlier run"


class Command(NamedTuple):
    """A command that writes.

    Args:
        name: its name in tables.
        run: runs it and returns its exit code; takes the folder of the inputs, which it must not
            change, and that of the outputs.
        earlier: whether it replaces the outputs of an earlier run; otherwise it starts without or
            resumes.
        together: suffixes of outputs that are of use only if they are of the same run.
        slow: whether it takes long and is killed in every third round only.
    """

    name: str
    run: Callable[[Path, Path], int]
    earlier: bool = False
    together: tuple[str, ...] = ()
    slow: bool = False


class Kill(NamedTuple):
    """What a kill and a second run did.

    Args:
        moment: when the process was killed.
        violations: their names, of `VIOLATIONS`.
        files: outputs that differ from the undisturbed run's, and further files.
        begun: the kill came while files that belong together were being replaced.
    """

    moment: str
    violations: list[str]
    files: list[str]
    begun: bool = False


class Reference(NamedTuple):
    """What an undisturbed run did and wrote."""

    finished: Finished
    contents: Contents


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_undisturbed(command: Command, inputs: Path, output: Path) -> Reference:
    """Run a command in an empty output folder."""
    _empty(output)
    _empty(temporary_of(output))
    finished = finish(*start(command.run, inputs, output))
    if finished.code is None or not read_folder(output):
        raise RuntimeError(f"{command.name} does not finish, or writes nothing: {finished}")
    return Reference(finished, read_folder(output))


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def kill_once(
    command: Command, inputs: Path, output: Path, reference: Reference, rng: random.Random
) -> Kill:
    """Kill a command once, start it again, and return what was found."""
    _empty(output)
    _empty(temporary_of(output))
    if command.earlier:
        for name in reference.contents:
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            (output / name).write_bytes(EARLIER)
    before, found = hashes(inputs), []
    events = reference.finished.events
    if events and rng.random() < 0.5:
        number = rng.randrange(events)
        moment = f"event {number} of {events}"
        process, pipe = start(command.run, inputs, output, kill_at=number)
        killed = finish(process, pipe)
    else:
        after_s = rng.uniform(0, reference.finished.seconds)
        moment = f"{after_s:.2f} of {reference.finished.seconds:.2f} s"
        process, pipe = start(command.run, inputs, output)
        killed = finish(process, pipe, kill_after_s=after_s)
    if not session_ends(process):
        found.append("processes left")
    if killed.code is not None:
        moment += ", had ended"
    if hashes(inputs) != before:
        found.append("input changed")
    damage, begun = _damage(command, output, reference.contents)
    found += damage
    again = finish(*start(command.run, inputs, output))
    if hashes(inputs) != before and "input changed" not in found:
        found.append("input changed")
    if again.code != reference.finished.code:
        found.append("second run fails")
    after = read_folder(output)
    differing = [name for name, new in reference.contents.items() if after.get(name) != new]
    left = sorted(set(after) - set(reference.contents))
    scratch = sorted(
        name for name in read_folder(temporary_of(output)) if not _is_probe(output, name)
    )
    for name, files in zip(VIOLATIONS[4:7], (differing, left, scratch), strict=True):
        found += [name] if files else []
    return Kill(moment, found, [*differing, *left, *scratch], begun)


def _is_probe(output: Path, name: str) -> bool:
    """Return whether a temporary file is that by which Python tries whether it can write there."""
    return (temporary_of(output) / name).read_bytes() in (b"", b"blat")


def _damage(command: Command, output: Path, new: Contents) -> tuple[list[str], bool]:
    """Return what is wrong with the files of an earlier run after a kill.

    Also whether the JSON file that binds them is gone, so that nothing claims to be complete.
    """
    if not command.earlier:
        return [], False
    found, states = [], set()
    present = read_folder(output)
    bound = [name for name in new if Path(name).suffix in command.together]
    begun = any(name.endswith(".json") and not (output / name).exists() for name in bound)
    for name, content in new.items():
        path = output / name
        earlier = path.is_file() and path.read_bytes() == EARLIER
        gone = begun and name in bound and not path.exists()
        if not earlier and not gone and present.get(name) != content:
            found.append("earlier file torn")
        if name in bound:
            states.add(earlier)
    mixed = len(states) > 1 and not begun
    return sorted({*found, *(["files of two runs"] if mixed else [])}), begun


def run(
    commands: list[Command], inputs: Path, work: Path, kills: int, seed: int
) -> list[dict[str, Any]]:
    """Kill the commands in turn and return one row for each kill.

    Args:
        commands: the commands.
        inputs: folder of the inputs.
        work: folder for the outputs.
        kills: number of kills over all commands.
        seed: seed of the moments.
    """
    rng = random.Random(seed)
    references: dict[str, Reference] = {}
    rows = []
    for command in islice(_in_turn(commands), kills):
        output = work / command.name.replace(" ", "_") / "out"
        if command.name not in references:
            references[command.name] = run_undisturbed(command, inputs, output)
            print(f"{command.name}: {references[command.name].finished}", flush=True)
        done = kill_once(command, inputs, output, references[command.name], rng)
        rows.append({"command": command.name, **done._asdict()})
        if done.violations:
            print(rows[-1], flush=True)
    return rows


def _in_turn(commands: list[Command]) -> Iterator[Command]:
    for turn in count():
        yield from (command for command in commands if not command.slow or turn % 3 == 0)


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count the violations, over all and for each command."""
    total = Counter(name for row in rows for name in row["violations"])
    commands: dict[str, Counter[str]] = {}
    for row in rows:
        commands.setdefault(row["command"], Counter()).update(["kills", *row["violations"]])
    return {
        "kills": len(rows),
        "before_the_end": sum("ended" not in row["moment"] for row in rows),
        "at_file_events": sum("event" in row["moment"] for row in rows),
        "replacement_begun": sum(row["begun"] for row in rows),
        "violations": {name: total[name] for name in VIOLATIONS},
        "commands": {name: dict(counts) for name, counts in commands.items()},
        "rows": [row for row in rows if row["violations"]],
    }


def main() -> None:
    # Builds inputs with models, stores and clips, which tests of the rest do not need.
    from benchmarks.media.writing_commands import make_commands

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of commands")
    arguments = parser.parse_args()
    # Thread pools do not survive a fork.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "in"
        commands = make_commands(inputs)
        if arguments.only:
            commands = [command for command in commands if command.name in arguments.only]
        rows = run(commands, inputs, Path(folder), arguments.kills, arguments.seed)
    found = {"seed": arguments.seed, **figures(rows)}
    print(json.dumps({key: value for key, value in found.items() if key != "rows"}, indent=2))
    print(machine())
    if arguments.kills >= 100:
        write_record("media/kill_writers", found)


if __name__ == "__main__":
    main()
