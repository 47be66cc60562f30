"""Where a benchmark's figures go: JSON with what is needed to judge them and to get them again."""

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
    """The machine in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{model}, {os.cpu_count()} cores, {gpu}, torch {torch.__version__}"


def commit() -> str:
    """The commit measured, marked where the tree has changes other than results."""
    described = _git("describe", "--always", "--abbrev=12").stdout.strip()
    code = ("--", ":(top)", ":(top,exclude)benchmarks/results", ":(top,exclude)docs")
    changed = _git("diff", "--quiet", "HEAD", *code).returncode
    return f"{described}{'-dirty' if changed else ''}" if described else "unknown"


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    folder = Path(__file__).parent
    return subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=folder)


def _named(argument: str) -> str:
    """An argument without the folders of this machine."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def write_record(name: str, figures: dict[str, Any], script: str | None = None) -> Path:
    """Writes `results/NAME.json` with the figures, command, commit, machine and date; `script` is
    called like the record unless it makes several.
    """
    called = f"benchmarks/{script or name}.py"
    record = {
        "command": " ".join(["python", called, *map(_named, sys.argv[1:])]),
        "commit": commit(),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        **figures,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path
