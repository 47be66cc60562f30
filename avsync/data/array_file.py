"""Items of an array on disk, read without opening the rest of it.

A map would do as well and costs a file handle for as long as it is open: a store of LRS2 has more
arrays than a process may hold maps.
"""

import math
from functools import lru_cache
from io import FileIO
from typing import NamedTuple

import numpy as np

# Headers that are kept; one takes a third of a kilobyte.
HEADERS = 1 << 18


class Header(NamedTuple):
    """What a .npy file says of itself, and where its items begin."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    item_bytes: int


def read_items(path: str, start: int, stop: int) -> np.ndarray:
    """Items `start` to `stop` of the first axis of a .npy file, read-only.

    ValueError where they reach outside it; RuntimeError where the file is missing or damaged.
    """
    header = read_header(path)
    if not 0 <= start <= stop <= header.shape[0]:
        raise ValueError(f"items must lie in 0 to {header.shape[0]} of {path}, got {start}:{stop}")
    wanted = (stop - start) * header.item_bytes
    with _open(path) as file:
        file.seek(header.offset + start * header.item_bytes)
        data = file.read(wanted)
    if len(data) != wanted:
        raise RuntimeError(f"{path} is cut short")
    return np.frombuffer(data, header.dtype).reshape(stop - start, *header.shape[1:])


@lru_cache(HEADERS)
def read_header(path: str) -> Header:
    """The header of a .npy file; a file that is read once is taken to stay as it is."""
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


def _open(path: str) -> FileIO:
    try:
        return FileIO(path)
    except OSError as error:
        raise RuntimeError(f"{path} is missing or damaged: {error}") from error
