"""Which files are prepared, under which names, and how it is known that one was done before."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from avsync.data.corpora.acappella import list_acappella
from avsync.data.corpora.listing import ListedVideo, Span
from avsync.data.corpora.lrs2 import list_lrs2
from avsync.data.store.splits import source_name
from avsync.pipelines.check.batch import find_videos
from avsync.pipelines.prepare.prepare_file import Rules

# Part of every source's key: change it when clips must be made anew.
GEOMETRY = "1"

Layout = Literal["folder", "lrs2", "acappella"]
LISTED: dict[str, Callable[[Path, Sequence[str | Path]], list[ListedVideo]]] = {
    "lrs2": list_lrs2,
    "acappella": list_acappella,
}


class Source(NamedTuple):
    """A file, its name in the store, and a key that changes with the file and the rules.

    `spans` are the parts of it that are prepared, None for all of it.
    """

    path: Path
    name: str
    key: str
    spans: tuple[Span, ...] | None = None


class Plan(NamedTuple):
    """What is to be prepared, and the names of the sources in each split that the lists tell."""

    sources: list[Source]
    splits: dict[str, list[str]]


def plan(folder: Path, layout: Layout, lists: Sequence[str | Path], rules: Rules) -> Plan:
    """Return the sources in a folder, or those that the lists of a corpus name."""
    if layout == "folder":
        if lists:
            raise ValueError("a list belongs to a layout: say which one with --layout")
        return Plan([_found(path, folder, rules) for path in find_videos([folder])], {})
    if layout not in LISTED:
        raise ValueError(f"layout must be one of folder, {', '.join(LISTED)}, got {layout!r}")
    videos = LISTED[layout](folder, lists)
    splits: dict[str, list[str]] = {}
    for video in videos:
        splits.setdefault(video.split, []).append(source_name(video.source))
    # What two lists name is prepared once.
    once = {video.source: video for video in videos}
    sources = [
        Source(video.path, name, _key(video.path, name, rules, video.spans), video.spans)
        for name, video in once.items()
    ]
    return Plan(sources, splits)


def _found(path: Path, folder: Path, rules: Rules) -> Source:
    # Names that are no UTF-8 must still go into the tables.
    name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
    name = name.encode("utf-8", "backslashreplace").decode()
    return Source(path, name, _key(path, name, rules))


def _key(path: Path, name: str, rules: Rules, spans: tuple[Span, ...] | None = None) -> str:
    facts = [name, *_state(path), repr(rules), GEOMETRY]
    facts += [] if spans is None else [repr(spans)]
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(name).stem)[:40]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:10]
    key = f"{readable.lstrip('-')}-{digest}"
    return key if key[0] != "-" else f"_{key}"


def _state(path: Path) -> list[str]:
    """Return what tells a changed file from the one that was prepared."""
    if not path.is_file():
        return ["missing"]
    stat = path.stat()
    return [str(stat.st_size), str(stat.st_mtime_ns)]
