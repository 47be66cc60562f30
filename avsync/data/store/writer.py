"""Write a store of prepared clips so that it is complete whenever the writer is killed.

Each source file gets a folder, which is written under a temporary name and then renamed; the tables
are rebuilt from the records in those folders.
"""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

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
from avsync.data.store.records import REJECTED_COLUMNS, SourceRecord

NPY_HEADER_BYTES = 128


class SourceWriter:
    """Writer of the clips of one source file: after `finish` the store has all, before it nothing.

    Args:
        store: the store's folder.
        source_key: name of the source's folder, letters, digits and `._-` only.
    """

    def __init__(self, store: Path, source_key: str) -> None:
        if not SAFE_NAME.fullmatch(source_key):
            raise ValueError(f"source_key must be a plain name, got {source_key!r}")
        self.key = source_key
        self.folder = store / CLIPS_FOLDER / source_key
        self.temporary = store / CLIPS_FOLDER / f".{source_key}.part"
        self._open: list[GrowingArray] = []

    def __enter__(self) -> "SourceWriter":
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_arrays()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def array(self, track: int, name: str) -> "GrowingArray":
        """Return a new array of a clip; `name` is one of `ARRAYS`."""
        folder = self.temporary / str(track)
        folder.mkdir(exist_ok=True)
        array = GrowingArray(folder / f"{name}.npy", *ARRAYS[name])
        self._open.append(array)
        return array

    def drop(self, track: int) -> None:
        """Remove a track whose arrays are closed."""
        shutil.rmtree(self.temporary / str(track))

    def clear(self) -> None:
        """Remove everything written until now."""
        self._close_arrays()
        shutil.rmtree(self.temporary)
        self.temporary.mkdir()

    def finish(self, record: SourceRecord) -> None:
        """Write the record and move the folder into the store, replacing an older one."""
        self._close_arrays()
        text = json.dumps(record.to_json(), indent=1, allow_nan=False)
        write_text(self.temporary / SOURCE_FILE, text + "\n")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.temporary.rename(self.folder)

    def _close_arrays(self) -> None:
        for array in self._open:
            array.close()


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
        # Format 1.0 of .npy, padded to the same number of bytes whatever the length, so that it can
        # be overwritten.
        described = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.length, *self.item_shape),
        }
        prefix = np.lib.format.magic(1, 0)
        room = NPY_HEADER_BYTES - len(prefix) - 2
        header = repr(described).encode("latin1").ljust(room - 1) + b"\n"
        self._file.write(prefix + room.to_bytes(2, "little") + header)


def finished_sources(store: Path) -> dict[str, SourceRecord]:
    """Return the record of each source in the store by its key; damaged ones are left out."""
    return dict(_records(store))


def write_tables(store: Path, records: dict[str, SourceRecord]) -> None:
    """Write `clips.jsonl` and `rejected.csv` from the records, each atomically."""
    ordered = sorted(records.values(), key=lambda record: record.source)
    rejected = io.StringIO()
    table = csv.DictWriter(rejected, REJECTED_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(row.to_json() for record in ordered for row in record.rejected)
    write_text(store / REJECTED_TABLE, rejected.getvalue())
    clips = (json.dumps(r.to_json(), allow_nan=False) for record in ordered for r in record.clips)
    write_text(store / CLIPS_TABLE, "".join(f"{line}\n" for line in clips))


def forget_source(store: Path, source_key: str) -> None:
    """Remove the clips of a source, for a file that has changed since."""
    shutil.rmtree(store / CLIPS_FOLDER / source_key, ignore_errors=True)


def _records(store: Path) -> Iterator[tuple[str, SourceRecord]]:
    for path in sorted((store / CLIPS_FOLDER).glob(f"*/{SOURCE_FILE}")):
        if path.parent.name.startswith("."):
            continue
        try:
            yield path.parent.name, SourceRecord.from_json(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError):
            continue
