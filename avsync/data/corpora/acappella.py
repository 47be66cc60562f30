"""Acappella as it is distributed: lists of YouTube videos and of the segments that are sung.

A sample is a segment of a video, from minute.second `Init` to `Fin`, and is called
`ID_INIT_to_FIN`, `dQw4w9WgXcQ_0_07_to_1_3` for 0:07 to 1:30. The lists are those of the package
acappella_info: `train.csv` and the other splits, `splits.json`, `acapella_timestamps.json`.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from avsync.data.corpora.listing import ListedVideo, TimeRange, find_lists
from avsync.json_files import read_json
from avsync.timing import FPS

SPLITS = ("train", "val_seen", "test_seen", "test_unseen")
LISTS = (*(f"{split}.csv" for split in SPLITS), "splits.json", "acapella_timestamps.json")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi")
SAMPLE = re.compile(r"(?P<video>[^/\\]+)_(?P<init>\d+_\d+)_to_(?P<fin>\d+_\d+)")
COLUMNS = ("ID", "Init", "Fin")
EXPECTED = (
    "a CSV with columns ID, Init and Fin, a JSON of sample names by split, or a JSON of "
    "[first, last] frames by sample name"
)


class _Lists(NamedTuple):
    """Names of samples by split, and their singers and valid frames by name, as far as known."""

    splits: dict[str, list[str]]
    singers: dict[str, str]
    frames: dict[str, list[tuple[int, int]]] | None


def list_acappella(folder: Path, lists: Sequence[str | Path] = ()) -> list[ListedVideo]:
    """List the samples that the given lists name.

    A sample is a file with the sample's name, anywhere in or below the folder, or else a segment
    of a whole video whose name is its YouTube id. If the lists say which frames of a sample are
    valid, the segments are limited to these.

    Args:
        folder: searched for the videos.
        lists: files, or names of files in that folder: CSVs, each named after its split, or the
            JSON of the splits; and the JSON of timestamps. Without any, all existing files of
            `LISTS`.

    Raises:
        ValueError: a list does not exist or is damaged, or the name of a sample has another form.
    """
    known = _read(find_lists((folder,), lists, LISTS))
    videos = [path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES]
    on_disk = {path.stem: path for path in sorted(videos, reverse=True)}
    return [
        _listed(sample, split, known, folder, on_disk)
        for split, samples in known.splits.items()
        for sample in samples
    ]


def seconds_of(minutes: float) -> int:
    """Convert minutes.seconds, such as 1.05 for 1:05, to seconds as the public code does.

    It rounds down: 0.29 is not quite 29 hundredths as a float, and its sample begins at 28 s.
    """
    return int((minutes // 1) * 60 + (minutes % 1) * 100)


def _listed(
    sample: str, split: str, known: _Lists, folder: Path, on_disk: dict[str, Path]
) -> ListedVideo:
    match = SAMPLE.fullmatch(sample)
    if match is None:
        raise ValueError(f"a sample must be named ID_M_SS_to_M_SS, got {sample!r}")
    segments: tuple[TimeRange, ...] | None = None
    if known.frames is not None:
        segments = tuple((first / FPS, last / FPS) for first, last in known.frames.get(sample, ()))
    path = on_disk.get(sample)
    if path is None and (path := on_disk.get(match["video"])) is not None:
        start_s, end_s = (seconds_of(float(match[k].replace("_", "."))) for k in ("init", "fin"))
        if segments is None:
            segments = ((0.0, float(end_s - start_s)),)
        segments = tuple((start_s + first, start_s + last) for first, last in segments)
    speaker = re.sub(r"[/\\\s]+", "_", known.singers.get(sample) or match["video"])
    source = f"acappella/{split}/{speaker}/{sample}.mp4"
    return ListedVideo(path or folder / f"{sample}.mp4", source, split, segments)


def _read(paths: Sequence[Path]) -> _Lists:
    by_file: dict[str, list[str]] = {}
    by_json: dict[str, list[str]] = {}
    singers: dict[str, str] = {}
    frames: dict[str, list[tuple[int, int]]] | None = None
    for path in paths:
        if path.suffix.lower() == ".csv":
            rows = dict(_rows(path))
            by_file[path.stem] = list(rows)
            singers |= rows
            continue
        table = _json(path)
        if all(_is_names(value) for value in table.values()):
            by_json |= {split: list(names) for split, names in table.items()}
        elif all(_is_frames(value) for value in table.values()):
            frames = (frames or {}) | {name: [*map(tuple, v)] for name, v in table.items()}
        else:
            raise ValueError(f"{path} must be {EXPECTED}")
    # A CSV beside the JSON of splits only gives the singers, as full_dataset.csv does.
    splits = by_json or by_file
    if not any(splits.values()):
        raise ValueError(f"the lists name no sample: say {EXPECTED}")
    return _Lists(splits, singers, frames)


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of the sample and the singer of each row."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise ValueError(f"{path} must have columns ID, Init and Fin, lacks {missing[0]}")
        for row in table:
            try:
                ends = [str(float(row[name])).replace(".", "_") for name in ("Init", "Fin")]
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{path} must have times as minutes.seconds, got {row['Init']!r} and "
                    f"{row['Fin']!r} in line {table.line_num}"
                ) from error
            yield f"{row['ID']}_{ends[0]}_to_{ends[1]}", row.get("Singer") or ""


def _json(path: Path) -> dict[str, Any]:
    try:
        table = read_json(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} must be {EXPECTED}: {error}") from error
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{path} must be {EXPECTED}")
    return table


def _is_names(value: object) -> bool:
    return isinstance(value, list | dict) and all(isinstance(name, str) for name in value)


def _is_frames(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(n, int) for n in pair)
        for pair in value
    )
