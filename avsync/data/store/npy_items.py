"""Items of .npy files: from a memory map, or read where there are too many files to map.

A map holds a file handle for as long as it is open, and a store of LRS2 has more arrays than a
process may hold handles. What is mapped once stays so: nothing is opened twice, in whatever order
clips are drawn.
"""

import io
import math
from functools import lru_cache
from io import FileIO
from typing import NamedTuple

import numpy as np

# Headers that are cached; one takes a third of a kilobyte.
CACHED_HEADERS = 1 << 18
# File handles assumed if the system does not report a limit.
DEFAULT_OPEN_FILES = 1024


class ArrayFiles:
    """Random access to items of .npy files, which must not change while this is in use.

    Args:
        max_maps: maps that may be open; by default a quarter of the process's file handles.
    """

    def __init__(self, max_maps: int | None = None) -> None:
        self.max_maps = max_open_files() // 4 if max_maps is None else max_maps
        self.maps: dict[str, np.ndarray] = {}

    def items(self, path: str, start: int, stop: int) -> np.ndarray:
        """Return items `start` to `stop` of the first axis of a file, read-only.

        Raises:
            ValueError: the items reach outside the file.
            RuntimeError: the file is missing or damaged.
        """
        mapped = self.maps.get(path)
        if mapped is None:
            if len(self.maps) >= self.max_maps:
                return read_items(path, start, stop)
            mapped = self.maps[path] = map_items(path)
        if not 0 <= start <= stop <= len(mapped):
            raise _out_of_range(path, start, stop, len(mapped))
        return mapped[start:stop]


class NpyHeader(NamedTuple):
    """Header of a .npy file, the byte where its items begin, and the bytes of an item."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    item_bytes: int


def map_items(path: str) -> np.ndarray:
    """Map all items of a .npy file, read-only; RuntimeError if it is missing or damaged."""
    read_header(path)
    try:
        # A plain array: slices of `memmap` take ten times as long.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise RuntimeError(f"{path} is cut short or damaged: {error}") from error


def read_items(path: str, start: int, stop: int) -> np.ndarray:
    """Read items `start` to `stop` of the first axis of a .npy file, and nothing else of it.

    Raises:
        ValueError: the items reach outside the file.
        RuntimeError: the file is missing or damaged.
    """
    header = read_header(path)
    if not 0 <= start <= stop <= header.shape[0]:
        raise _out_of_range(path, start, stop, header.shape[0])
    wanted = (stop - start) * header.item_bytes
    with _open(path) as file:
        file.seek(header.offset + start * header.item_bytes)
        data = file.read(wanted)
    if len(data) != wanted:
        raise RuntimeError(f"{path} is cut short")
    return np.frombuffer(data, header.dtype).reshape(stop - start, *header.shape[1:])


@lru_cache(CACHED_HEADERS)
def read_header(path: str) -> NpyHeader:
    """Read the header of a .npy file of plain items; RuntimeError if it has none."""
    with _open(path) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, in_columns, dtype = read(file)
        except (ValueError, KeyError) as error:
            raise RuntimeError(f"{path} is damaged: {error}") from error
        if in_columns or dtype.hasobject or not shape:
            raise RuntimeError(f"{path} is damaged: no plain array of items")
        item_bytes, offset = dtype.itemsize * math.prod(shape[1:]), file.tell()
        if offset + shape[0] * item_bytes > file.seek(0, io.SEEK_END):
            raise RuntimeError(f"{path} is cut short: its header claims {shape} items")
        return NpyHeader(shape, dtype, offset, item_bytes)


def max_open_files() -> int:
    """Return how many files the process may hold open."""
    try:
        import resource
    except ImportError:  # Windows
        return DEFAULT_OPEN_FILES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DEFAULT_OPEN_FILES if soft == resource.RLIM_INFINITY else soft


def _out_of_range(path: str, start: int, stop: int, count: int) -> ValueError:
    return ValueError(f"items must lie in 0 to {count} of {path}, got {start}:{stop}")


def _open(path: str) -> FileIO:
    try:
        return FileIO(path)
    except FileNotFoundError as error:
        raise RuntimeError(f"{path} is missing or damaged: {error}") from error
    except OSError as error:
        raise RuntimeError(f"{path} cannot be opened: {error}") from error
