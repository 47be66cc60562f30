"""Read a store of prepared clips: one face in one shot, as crops and audio mapped from disk.

STORE/clips.jsonl                 one row for each clip
STORE/rejected.csv                what was left out of which file, and why
STORE/clips/SOURCE/source.json    record of one source file; its folder is written atomically
STORE/clips/SOURCE/TRACK/*.npy    the arrays of a clip
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from avsync.data.store.records import ClipInfo
from avsync.json_files import parse_json, read_text
from avsync.timing import FPS, SAMPLES_PER_FRAME

CROP_SIZE = 96
HEAD_SIZE = 224
MESH_SIZE = 256
CLIPS_TABLE = "clips.jsonl"
REJECTED_TABLE = "rejected.csv"
CLIPS_FOLDER = "clips"
SOURCE_FILE = "source.json"

# Shape of one item and dtype of each array of a clip; the first axis is time.
ARRAYS: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
    "face": ((CROP_SIZE, CROP_SIZE, 3), np.uint8),
    "mouth": ((CROP_SIZE, CROP_SIZE, 3), np.uint8),
    "boxes": ((4,), np.float32),
    "points": ((5, 2), np.float32),
    "wav_16k": ((), np.float32),
    "wav": ((), np.float32),
    "head": ((HEAD_SIZE, HEAD_SIZE, 3), np.uint8),
    "mesh": ((MESH_SIZE, MESH_SIZE, 3), np.uint8),
}
OptionalCrop = Literal["head", "mesh"]
# Arrays that a store holds only if they were requested when it was made.
OPTIONAL: tuple[OptionalCrop, ...] = ("head", "mesh")
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class PreparedClip(NamedTuple):
    """One face for as long as it was tracked, at a constant 25 frames a second.

    `face` and `mouth` are crops `(T, 96, 96, 3)` uint8 RGB; `boxes` `(T, 4)` and `points` `(T, 5,
    2)` are in pixels of the upright source. `wav_16k` `(T * 640,)` and `wav`, at `sample_rate`, are
    mono float32 and start with the first frame, which is `start_s` seconds after the source's first
    frame. `source` is the file, `speaker` its folder. `head`, crops `(T, 224, 224, 3)` as SyncNet
    takes them, and `mesh`, crops `(T, 256, 256, 3)` as the face mesh network takes them, are None
    in stores made without them.
    """

    id: str
    source: str
    speaker: str
    track: int
    start_s: float
    sample_rate: int
    face: np.ndarray
    mouth: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    wav_16k: np.ndarray
    wav: np.ndarray
    head: np.ndarray | None = None
    mesh: np.ndarray | None = None

    @property
    def times_s(self) -> np.ndarray:
        """Time of each frame `(T,)`, in seconds from the source's first frame."""
        return self.start_s + np.arange(len(self.face)) / FPS

    @property
    def duration_s(self) -> float:
        return len(self.face) / FPS


class Store:
    """Sequence of the clips in a folder made by `avsync prepare`; nothing in it is executed.

    `rows` has what is known of each clip without opening its arrays.

    Args:
        path: the folder.

    Raises:
        RuntimeError: the folder has no table of clips, or the table is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        table = self.path / CLIPS_TABLE
        if not table.is_file():
            raise RuntimeError(
                f"{self.path} is no store of prepared clips: it has no {CLIPS_TABLE}"
            )
        self.rows = _read_rows(table)
        self._indices = {row.id: index for index, row in enumerate(self.rows)}

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PreparedClip]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, clip: int | str) -> PreparedClip:
        """Return a clip by its index or its id; its arrays are memory-mapped and read-only.

        Raises:
            KeyError, IndexError: there is no such clip.
            RuntimeError: its files are missing or damaged.
        """
        row = self.rows[self._indices[clip] if isinstance(clip, str) else clip]
        folder = clip_folder(self.path, row.id)
        arrays = {
            name: _map(path, name)
            for name in ARRAYS
            if (path := folder / f"{name}.npy").exists() or name not in OPTIONAL
        }
        expected = dict.fromkeys(arrays, row.frames) | {
            "wav_16k": row.frames * SAMPLES_PER_FRAME,
            "wav": samples_in(row.frames, row.sample_rate),
        }
        for name, length in expected.items():
            if len(arrays[name]) != length:
                raise RuntimeError(
                    f"clip {row.id} is damaged: {name} must have {length} items, "
                    f"got {len(arrays[name])}"
                )
        return PreparedClip(
            row.id, row.source, row.speaker, row.track, row.start_s, row.sample_rate, **arrays
        )


class StoreClips:
    """Iterate over chosen clips of a store, as often as wanted, with one of them open at a time.

    An open clip holds a file handle for each of its arrays: a list of clips would run out of them.

    Args:
        store: prepared clips.
        indices: of the clips in the store.
    """

    def __init__(self, store: Store, indices: Sequence[int]) -> None:
        self.store, self.indices = store, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[PreparedClip]:
        return (self.store[index] for index in self.indices)


def clip_id(source_key: str, track: int) -> str:
    return f"{source_key}.{track}"


def clip_folder(store: Path, clip: str) -> Path:
    """Return the folder of the clip with that id."""
    source_key, _, track = clip.rpartition(".")
    return store / CLIPS_FOLDER / source_key / track


def samples_in(frames: int, sample_rate: int) -> int:
    """Return the samples of N frames at 25 fps, rounded down if 25 does not divide the rate."""
    return frames * sample_rate // FPS


def _read_rows(table: Path) -> list[ClipInfo]:
    rows = []
    try:
        lines = read_text(table).splitlines()
    except (OSError, ValueError) as error:
        raise RuntimeError(f"{table} is damaged: {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = ClipInfo.from_json(parse_json(line))
        except ValueError as error:
            raise RuntimeError(f"{table} is damaged in line {number}") from error
        safe = SAFE_NAME.fullmatch(row.id) and row.id.rpartition(".")[2].isdigit()
        if not safe or row.frames < 1 or row.sample_rate < 1:
            raise RuntimeError(f"{table} is damaged in line {number}")
        rows.append(row)
    return rows


def _map(path: Path, name: str) -> np.ndarray:
    item_shape, dtype = ARRAYS[name]
    try:
        # Of a zip archive np.load returns the members, whatever the name of the file.
        array = np.lib.format.open_memmap(path, mode="r")
    except (FileNotFoundError, EOFError, ValueError) as error:
        raise RuntimeError(f"{path} is missing or damaged: {error}") from error
    except OSError as error:
        raise RuntimeError(f"{path} cannot be opened: {error}") from error
    if array.shape[1:] != item_shape or array.dtype != dtype or array.ndim != len(item_shape) + 1:
        wanted = f"(T, {', '.join(map(str, item_shape))}) {np.dtype(dtype)}"
        raise RuntimeError(f"{path} must be {wanted}, got {array.shape} {array.dtype}")
    return array
