"""Records of benchmark results: JSON files with the command, commit, machine and date."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Describe the machine in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{model}, {os.cpu_count()} cores, {gpu}, torch {torch.__version__}"


def commit() -> str:
    """Return the measured commit, marked `-dirty` if files other than results or docs changed."""
    described = _git("describe", "--always", "--abbrev=12").stdout.strip()
    code = ("--", ":(top)", ":(top,exclude)benchmarks/results", ":(top,exclude)docs")
    changed = _git("diff", "--quiet", "HEAD", *code).returncode
    return f"{described}{'-dirty' if changed else ''}" if described else "unknown"


def record_path(name: str) -> Path:
    """Return the path of a record; `name` is `GROUP/NAME`, such as `sync/check_speed`."""
    return RESULTS / f"{name}.json"


def read_records(folder: str, pattern: str = "*") -> list[dict[str, Any]]:
    """Read the records of a folder of results whose names match a glob pattern, sorted by name."""
    files = sorted((RESULTS / folder).glob(f"{pattern}.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def write_record(name: str, figures: dict[str, Any], script: str | None = None) -> Path:
    """Write `results/NAME.json` with the figures, command, commit, machine and date.

    Args:
        name: name of the record, `GROUP/NAME`.
        figures: the results; they must be serialisable as JSON.
        script: `GROUP/SCRIPT` without its suffix; None if the record has the script's name.

    Returns:
        The path of the file.
    """
    record = {
        "command": " ".join(
            ["python", f"benchmarks/{script or name}.py", *map(_without_folders, sys.argv[1:])]
        ),
        "commit": commit(),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        **figures,
    }
    path = record_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    folder = Path(__file__).parent
    return subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=folder)


def _without_folders(argument: str) -> str:
    """Strip the folders of an absolute path: they are those of one machine."""
    return Path(argument).name if Path(argument).is_absolute() else argument
