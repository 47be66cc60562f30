"""Measure the package's structure: sizes, importers, circles and climbing imports.

`make structure` prints the counts; `tests/test_structure.py` and `tests/test_imports.py` hold them
to their limits.
"""

import ast
import re
import statistics
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "avsync"
ARCHITECTURE = ROOT / "docs" / "house.md"
HEIGHTS = {"ground": 0, **{f"floor {n}": n for n in range(1, 9)}, "roof": 9}
LINE = re.compile(r"^  (\w+)(?:/|\.py) +(ground|floor \d|roof) ", re.MULTILINE)

MAX_FILES, MAX_LINES = 15, 350
SMALL_LINES, MAX_SMALL_FILES = 60, 29
MEDIAN_LINES = (110, 150)
# Modules that one other module imports, kept apart although no package exports them: contracts,
# parts of one paper's model, and catalogs that a table is made of.
ONE_IMPORTER = {
    "avsync.cli.dataset_commands": "sub-commands: their signatures are the flags",
    "avsync.cli.media_commands": "sub-commands: their signatures are the flags",
    "avsync.cli.model_commands": "sub-commands: their signatures are the flags",
    "avsync.media.tag_count": "layouts of containers that FFmpeg reads without a limit",
    "avsync.metrics.distortion_filters": "the least-squares filters of BSS Eval",
}

Edges = dict[str, set[str]]


class Structure(NamedTuple):
    """Counts of a package.

    Args:
        folders: Python files of each folder.
        lines: lines of each module but the `__init__.py` files.
        one_importer: private modules that only one other module imports, with that module.
        climbs: imports from a lower floor to a higher one.
        module_circle: modules of one import circle, empty if there is none.
        package_circle: likewise for top-level packages.
    """

    folders: dict[str, int]
    lines: dict[str, int]
    one_importer: dict[str, str]
    climbs: list[str]
    module_circle: list[str]
    package_circle: list[str]


def floors() -> dict[str, int]:
    """Return the height of each top-level package and module, as the architecture page has it."""
    return {name: HEIGHTS[floor] for name, floor in LINE.findall(ARCHITECTURE.read_text())}


def modules(package: Path) -> dict[str, Path]:
    """Return the file of every module below a package's folder, by dotted name."""
    names = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the package that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are written in full, line {node.lineno}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found |= {inner if inner in known else node.module} & set(known)
    return found - {name}


def graph(package: Path) -> Edges:
    """Return what each module of a package imports of it."""
    known = modules(package)
    return {name: imports(name, path, known) for name, path in known.items()}


def exported(package: Path) -> set[str]:
    """Return the modules that a package's stub (`__init__.pyi`) takes public names from."""
    homes = set()
    for stub in package.rglob("__init__.pyi"):
        parent = ".".join(stub.relative_to(package.parent).parts[:-1])
        for node in ast.walk(ast.parse(stub.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                homes.add(f"{parent}.{node.module}")
    return homes


def climbs(edges: Edges, heights: dict[str, int]) -> list[str]:
    """Return the imports that go from a lower floor to a higher one."""

    def height(module: str) -> int:
        return heights[module.split(".")[1] if "." in module else "__init__"]

    return [
        f"{name} imports {target}"
        for name, targets in sorted(edges.items())
        for target in sorted(targets)
        if height(target) > height(name)
    ]


def circle(edges: Edges) -> list[str]:
    """Return the names of one import circle, empty if there is none."""
    # The package's own names are imported when first used; the command reads only its version.
    below = {name: targets - {"avsync"} for name, targets in edges.items() if name != "avsync"}
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def between_packages(edges: Edges) -> Edges:
    """Return the same edges between top-level packages and modules."""
    packages: Edges = {}
    for name, targets in edges.items():
        top = name.split(".")[1] if "." in name else name
        tops = {target.split(".")[1] if "." in target else target for target in targets}
        packages.setdefault(top, set()).update(tops - {top})
    return packages


def measure(package: Path = PACKAGE) -> Structure:
    """Measure a package."""
    known, edges = modules(package), graph(package)
    files = {name: path for name, path in known.items() if path.name != "__init__.py"}
    importers = {name: [n for n, targets in edges.items() if name in targets] for name in files}
    public = exported(package)
    return Structure(
        folders=dict(Counter(str(p.parent.relative_to(package.parent)) for p in known.values())),
        lines={name: len(path.read_text().splitlines()) for name, path in files.items()},
        one_importer={
            name: found[0]
            for name, found in sorted(importers.items())
            if len(found) == 1 and name not in public
        },
        climbs=climbs(edges, floors()),
        module_circle=circle(edges),
        package_circle=circle(between_packages(edges)),
    )


def main() -> int:
    """Print the counts; the exit code is 1 if any of them is beyond its limit."""
    found = measure()
    small = sorted(name for name, lines in found.lines.items() if lines < SMALL_LINES)
    fullest = max(found.folders, key=found.folders.__getitem__)
    longest = max(found.lines, key=found.lines.__getitem__)
    median = statistics.median(found.lines.values())
    alone = {n: by for n, by in found.one_importer.items() if n not in ONE_IMPORTER}
    rows = [
        (len(found.lines), "modules", True),
        (f"{median:.0f}", f"lines, median (limits {MEDIAN_LINES})",
         MEDIAN_LINES[0] <= median <= MEDIAN_LINES[1]),
        (found.lines[longest], f"lines, {longest} (limit {MAX_LINES})",
         found.lines[longest] <= MAX_LINES),
        (found.folders[fullest], f"files in {fullest} (limit {MAX_FILES})",
         found.folders[fullest] <= MAX_FILES),
        (len(small), f"modules under {SMALL_LINES} lines (limit {MAX_SMALL_FILES})",
         len(small) <= MAX_SMALL_FILES),
        (len(alone), "private modules with one importer (limit 0)", not alone),
        (len(found.climbs), "imports that climb (limit 0)", not found.climbs),
        (len(found.module_circle), "modules in an import circle (limit 0)",
         not found.module_circle),
        (len(found.package_circle), "packages in an import circle (limit 0)",
         not found.package_circle),
    ]  # fmt: skip
    for count, what, fine in rows:
        print(f"{count:>5}  {what}{'' if fine else '   <- beyond its limit'}")
    for name, by in alone.items():
        print(f"       {name} is imported by {by} alone")
    return 0 if all(fine for _, _, fine in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
