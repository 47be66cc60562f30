"""Writes a store of prepared clips so that it is whole whenever the writer is killed.

What one source file gives is a folder, written beside its place and renamed into it; the tables are
made anew from those folders.
"""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from avsync.atomic import write_text
from avsync.data.store.reader import (
    ARRAYS,
    CLIPS_FOLDER,
    CLIPS_TABLE,
    REJECTED_TABLE,
    SAFE_NAME,
    SOURCE_FILE,
)

REJECTED_COLUMNS = ("source", "track", "start_s", "duration_s", "reason", "detail")
NPY_HEADER_BYTES = 128


class GrowingArray:
    """A .npy file that grows by appending, so that hours of crops need no memory.

    Args:
        path: the file, replaced.
        item_shape: shape of one item; the array is `(N, *item_shape)`.
        dtype: its type.
    """

    def __init__(self, path: Path, item_shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self.item_shape, self.dtype = item_shape, np.dtype(dtype)
        self.length = 0
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by `close`
        self._write_header()

    def append(self, items: np.ndarray) -> None:
        """Append items `(n, *item_shape)`."""
        if items.shape[1:] != self.item_shape:
            raise ValueError(f"items must be (n, *{self.item_shape}), got {items.shape}")
        self._file.write(np.ascontiguousarray(items, self.dtype).data)
        self.length += len(items)

    def cut(self, length: int) -> None:
        """Drop the items from `length` on."""
        if length < self.length:
            item_bytes = self.dtype.itemsize * int(np.prod(self.item_shape, dtype=int))
            self._file.truncate(NPY_HEADER_BYTES + length * item_bytes)
            self.length = length

    def close(self) -> None:
        if not self._file.closed:
            self._file.seek(0)
            self._write_header()
            self._file.close()

    def _write_header(self) -> None:
        # Format 1.0 of .npy with the same number of bytes whatever the length, to be written over.
        described = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.length, *self.item_shape),
        }
        prefix = np.lib.format.magic(1, 0)
        room = NPY_HEADER_BYTES - len(prefix) - 2
        header = repr(described).encode("latin1").ljust(room - 1) + b"\n"
        self._file.write(prefix + room.to_bytes(2, "little") + header)


class SourceWriter:
    """Writes what one source file gives: after `finish` the store has it all, before nothing.

    Args:
        store: the store's folder.
        source_key: name of the source's folder, as safe as a file name can be.
    """

    def __init__(self, store: Path, source_key: str) -> None:
        if not SAFE_NAME.fullmatch(source_key):
            raise ValueError(f"source_key must be a plain name, got {source_key!r}")
        self.key = source_key
        self.place = store / CLIPS_FOLDER / source_key
        self.beside = store / CLIPS_FOLDER / f".{source_key}.part"
        self._open: list[GrowingArray] = []

    def __enter__(self) -> "SourceWriter":
        shutil.rmtree(self.beside, ignore_errors=True)
        self.beside.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for array in self._open:
            array.close()
        shutil.rmtree(self.beside, ignore_errors=True)

    def array(self, track: int, name: str) -> GrowingArray:
        """Return a new array of a clip, one of `ARRAYS`."""
        folder = self.beside / str(track)
        folder.mkdir(exist_ok=True)
        array = GrowingArray(folder / f"{name}.npy", *ARRAYS[name])
        self._open.append(array)
        return array

    def drop(self, track: int) -> None:
        """Forget a track whose arrays are closed."""
        shutil.rmtree(self.beside / str(track))

    def clear(self) -> None:
        """Forget everything written so far."""
        for array in self._open:
            array.close()
        shutil.rmtree(self.beside)
        self.beside.mkdir()

    def finish(self, record: dict[str, Any]) -> None:
        """Put the record beside the arrays and the whole in its place."""
        for array in self._open:
            array.close()
        write_text(self.beside / SOURCE_FILE, json.dumps(record, indent=1, allow_nan=False) + "\n")
        shutil.rmtree(self.place, ignore_errors=True)
        self.beside.rename(self.place)


def finished_sources(store: Path) -> dict[str, dict[str, Any]]:
    """Return the record of each source in the store by its key; a damaged one counts as not there."""
    return dict(_records(store))


def write_tables(store: Path, records: dict[str, dict[str, Any]]) -> None:
    """Write `clips.jsonl` and `rejected.csv` from the records, each whole or not at all."""
    ordered = sorted(records.values(), key=lambda record: record["source"])
    rejected = io.StringIO()
    table = csv.DictWriter(rejected, REJECTED_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(row for record in ordered for row in record["rejected"])
    write_text(store / REJECTED_TABLE, rejected.getvalue())
    clips = (json.dumps(row, allow_nan=False) for record in ordered for row in record["clips"])
    write_text(store / CLIPS_TABLE, "".join(f"{line}\n" for line in clips))


def forget_source(store: Path, source_key: str) -> None:
    """Remove what a source gave, for a file that has changed since."""
    shutil.rmtree(store / CLIPS_FOLDER / source_key, ignore_errors=True)


def _records(store: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((store / CLIPS_FOLDER).glob(f"*/{SOURCE_FILE}")):
        if path.parent.name.startswith("."):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        fields = {"source": str, "clips": list, "rejected": list}
        if isinstance(record, dict) and all(
            isinstance(record.get(name), kind) for name, kind in fields.items()
        ):
            yield path.parent.name, record
