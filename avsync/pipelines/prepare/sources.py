"""List the videos to prepare, with their names in the store and a key that detects changes."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from avsync.data.corpora.acappella import list_acappella
from avsync.data.corpora.listing import ListedVideo, TimeRange
from avsync.data.corpora.lrs2 import list_lrs2
from avsync.data.store.splits import source_name
from avsync.media.video_files import content_hash, find_videos
from avsync.pipelines.prepare.prepare_file import PrepareRules

# Part of every source's key: a new value makes every store prepare its clips again.
GEOMETRY = "1"

Layout = Literal["folder", "lrs2", "acappella"]
CORPORA: dict[str, Callable[[Path, Sequence[str | Path]], list[ListedVideo]]] = {
    "lrs2": list_lrs2,
    "acappella": list_acappella,
}


class VideoSource(NamedTuple):
    """A video, its name in the store, and a key that changes with the file and the rules.

    `segments` are the parts of it that are prepared, None for all of it.
    """

    path: Path
    name: str
    key: str
    segments: tuple[TimeRange, ...] | None = None


class SourcePlan(NamedTuple):
    """The videos to prepare, and the names of the sources in each split that the lists define."""

    sources: list[VideoSource]
    splits: dict[str, list[str]]


def plan_sources(
    folder: Path, layout: Layout, lists: Sequence[str | Path], rules: PrepareRules
) -> SourcePlan:
    """List the videos in a folder, or those that the lists of a corpus name."""
    if layout == "folder":
        if lists:
            raise ValueError("a list belongs to a layout: say which one with --layout")
        return SourcePlan([_found(path, folder, rules) for path in find_videos([folder])], {})
    if layout not in CORPORA:
        raise ValueError(f"layout must be one of folder, {', '.join(CORPORA)}, got {layout!r}")
    videos = CORPORA[layout](folder, lists)
    splits: dict[str, list[str]] = {}
    for video in videos:
        splits.setdefault(video.split, []).append(source_name(video.source))
    # A video that two lists name is prepared once.
    once = {video.source: video for video in videos}
    sources = [
        VideoSource(video.path, name, _key(video.path, name, rules, video.segments), video.segments)
        for name, video in once.items()
    ]
    return SourcePlan(sources, splits)


def _found(path: Path, folder: Path, rules: PrepareRules) -> VideoSource:
    # Names that are not valid UTF-8 must still go into the tables.
    name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
    name = name.encode("utf-8", "backslashreplace").decode()
    return VideoSource(path, name, _key(path, name, rules))


def _key(
    path: Path, name: str, rules: PrepareRules, segments: tuple[TimeRange, ...] | None = None
) -> str:
    # This text must not change: stores on disk would be prepared again.
    facts = [name, *_state(path), *_options(rules, segments)]
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(name).stem)[:40]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:10]
    key = f"{readable.lstrip('-')}-{digest}"
    return key if key[0] != "-" else f"_{key}"


def content_digest(source: VideoSource, rules: PrepareRules) -> str:
    """Return a digest of the content and the rules: sources that share it give equal clips.

    It is empty for a file that cannot be read.
    """
    content = content_hash(source.path)
    if content is None:
        return ""
    # The suffix is a hint to FFmpeg.
    facts = [content, source.path.suffix, *_options(rules, source.segments)]
    return hashlib.sha256("\n".join(facts).encode("utf-8", "backslashreplace")).hexdigest()


def _options(rules: PrepareRules, segments: tuple[TimeRange, ...] | None) -> list[str]:
    # Head crops are named always, the kinds that came after them only where they are stored.
    named = rules._asdict()
    crops = named.pop("crops")
    named |= {"head": "head" in crops} | dict.fromkeys(crops, True)
    options = ", ".join(f"{option}={value!r}" for option, value in named.items())
    return [f"Rules({options})", GEOMETRY, *([] if segments is None else [repr(segments)])]


def _state(path: Path) -> list[str]:
    """Return size and time of change, which differ if the file is no longer the prepared one."""
    if not path.is_file():
        return ["missing"]
    stat = path.stat()
    return [str(stat.st_size), str(stat.st_mtime_ns)]
