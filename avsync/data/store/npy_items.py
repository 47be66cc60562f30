"""Items of arrays on disk: out of a map of the file, or read where there are too many to map.

A map holds a file handle for as long as it is open, and a store of LRS2 has more arrays than a
process may hold handles. What is mapped once stays so: nothing is opened twice, however clips are
drawn.
"""

import math
from functools import lru_cache
from io import FileIO
from typing import NamedTuple

import numpy as np

# Headers that are kept; one takes a third of a kilobyte.
HEADERS = 1 << 18
# Handles where the system does not say how many there may be.
FEW_HANDLES = 1024


class ArrayFiles:
    """Gives items of .npy files; files are taken to stay as they are.

    Args:
        most: maps that may be open; by default a quarter of the handles that the process may have.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = handles_allowed() // 4 if most is None else most
        self.maps: dict[str, np.ndarray] = {}

    def items(self, path: str, start: int, stop: int) -> np.ndarray:
        """Items `start` to `stop` of the first axis of a file, read-only.

        ValueError where they reach outside it; RuntimeError where it is missing or damaged.
        """
        mapped = self.maps.get(path)
        if mapped is None:
            if len(self.maps) >= self.most:
                return read_items(path, start, stop)
            mapped = self.maps[path] = map_items(path)
        if not 0 <= start <= stop <= len(mapped):
            raise outside(path, start, stop, len(mapped))
        return mapped[start:stop]


class Header(NamedTuple):
    """What a .npy file says of itself, and where its items begin."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    item_bytes: int


def map_items(path: str) -> np.ndarray:
    """All items of a .npy file, mapped, read-only; RuntimeError where it is missing or damaged."""
    read_header(path)
    try:
        # A plain array: slices of `memmap` take ten times as long.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise RuntimeError(f"{path} is cut short or damaged: {error}") from error


def read_items(path: str, start: int, stop: int) -> np.ndarray:
    """Items `start` to `stop` of the first axis of a .npy file, without opening the rest of it.

    ValueError where they reach outside it; RuntimeError where the file is missing or damaged.
    """
    header = read_header(path)
    if not 0 <= start <= stop <= header.shape[0]:
        raise outside(path, start, stop, header.shape[0])
    wanted = (stop - start) * header.item_bytes
    with _open(path) as file:
        file.seek(header.offset + start * header.item_bytes)
        data = file.read(wanted)
    if len(data) != wanted:
        raise RuntimeError(f"{path} is cut short")
    return np.frombuffer(data, header.dtype).reshape(stop - start, *header.shape[1:])


@lru_cache(HEADERS)
def read_header(path: str) -> Header:
    """Return the header of a .npy file of plain items; RuntimeError where it has none."""
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
        return Header(shape, dtype, file.tell(), dtype.itemsize * math.prod(shape[1:]))


def handles_allowed() -> int:
    """Return how many files the process may hold open."""
    try:
        import resource
    except ImportError:  # Windows
        return FEW_HANDLES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FEW_HANDLES if soft == resource.RLIM_INFINITY else soft


def outside(path: str, start: int, stop: int, count: int) -> ValueError:
    return ValueError(f"items must lie in 0 to {count} of {path}, got {start}:{stop}")


def _open(path: str) -> FileIO:
    try:
        return FileIO(path)
    except OSError as error:
        raise RuntimeError(f"{path} is missing or damaged: {error}") from error
