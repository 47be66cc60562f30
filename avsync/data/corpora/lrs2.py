"""LRS2-BBC as it is distributed: mvlrs_v1/{main,pretrain}/ID/NUMBER.mp4, and a list per split."""

import re
from collections.abc import Sequence
from pathlib import Path

from avsync.data.corpora.listing import ListedVideo, find_lists

LISTS = ("pretrain.txt", "train.txt", "val.txt", "test.txt")
SUBSETS = ("main", "pretrain")
NAME = re.compile(r"[A-Za-z0-9_-]+")


def list_lrs2(folder: Path, lists: Sequence[str | Path] = ()) -> list[ListedVideo]:
    """List the videos of LRS2 that the given lists name; the name of a list is its split.

    A line holds `ID/NUMBER`; what follows after a space is ignored. Lists whose name begins with
    `pretrain` are looked up in `pretrain`, others in `main`; a line may say `main/ID/NUMBER`.

    Args:
        folder: mvlrs_v1, or the folder that holds it.
        lists: files, or names of files in that folder; without any, those of `LISTS` found there.

    Raises:
        ValueError: the folder is not laid out as LRS2, or a list does not exist or is damaged.
    """
    root = next(
        (
            candidate
            for candidate in (folder, folder / "mvlrs_v1")
            if any((candidate / subset).is_dir() for subset in SUBSETS)
        ),
        None,
    )
    if root is None:
        raise ValueError(
            f"folder must hold mvlrs_v1/main or mvlrs_v1/pretrain as LRS2 has them, got {folder}"
        )
    return [
        video
        for path in find_lists((folder, root, root.parent), lists, LISTS)
        for video in _read(path, root)
    ]


def _read(path: Path, root: Path) -> list[ListedVideo]:
    default = "pretrain" if path.stem.startswith("pretrain") else "main"
    videos = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        names = line.split()[0].removesuffix(".mp4").split("/")
        subset = names.pop(0) if len(names) == 3 else default
        if subset not in SUBSETS or len(names) != 2 or not all(map(NAME.fullmatch, names)):
            raise ValueError(
                f"{path} must have ID/NUMBER in each line, as 5535415699068794046/00001, "
                f"got {line!r} in line {number}"
            )
        name = f"{subset}/{names[0]}/{names[1]}.mp4"
        videos.append(ListedVideo(root / name, f"lrs2/{name}", path.stem))
    if not videos:
        raise ValueError(f"list {path} names no video")
    return videos
