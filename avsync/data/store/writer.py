"""Write a store of prepared clips so that it is complete whenever the writer is killed.

Each source file gets a folder, which is written under a temporary name and then renamed; the tables
are rebuilt from the records in those folders.
"""

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from avsync.atomic import is_abandoned, partial_path, write_text
from avsync.data.store.reader import (
    ARRAYS,
    CLIPS_FOLDER,
    CLIPS_TABLE,
    REJECTED_TABLE,
    SAFE_NAME,
    SOURCE_FILE,
)
from avsync.data.store.records import REJECTED_COLUMNS, SourceRecord
from avsync.escaping import csv_cell
from avsync.json_files import read_json
from avsync.outputs import check_output, csv_kind, json_kind

NPY_HEADER_BYTES = 128
# By their beginnings the tables of an earlier run are recognised, which may be replaced.
CLIPS_KIND = json_kind("the table of a store", "id", "source", "track", "frames")
REJECTED_KIND = csv_kind("the table of a store", "source", "track", "reason", "detail")
NO_SPACE = {
    errno.ENOSPC: "there is no space left",
    errno.EDQUOT: "the quota of disk space is used up",
    errno.EFBIG: "a file would exceed the limit on its size",
}


class StoreWriteError(OSError):
    """Raised where a store cannot be written, which is not the fault of a video."""


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
        self.store, self.folder = store, store / CLIPS_FOLDER / source_key
        # With the process in its name: one that outlives its parent mixes no files with its heir.
        self.temporary = partial_path(self.folder)
        self._open: list[GrowingArray] = []

    def __enter__(self) -> "SourceWriter":
        with writing(self.store):
            self.temporary.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for array in self._open:
            array.discard()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def array(self, track: int, name: str) -> "GrowingArray":
        """Return a new array of a clip; `name` is one of `ARRAYS`."""
        folder = self.temporary / str(track)
        with writing(self.store):
            folder.mkdir(exist_ok=True)
            array = GrowingArray(folder / f"{name}.npy", *ARRAYS[name])
        self._open.append(array)
        return array

    def link(self, source_key: str) -> None:
        """Take the arrays of another source of the store, as links where the disk has them.

        Raises:
            OSError: they are not there.
        """
        for path in sorted((self.store / CLIPS_FOLDER / source_key).glob("*/*.npy")):
            folder = self.temporary / path.parent.name
            folder.mkdir(exist_ok=True)
            try:
                os.link(path, folder / path.name)
            except OSError:  # Not every file system has links.
                shutil.copyfile(path, folder / path.name)

    def drop(self, track: int) -> None:
        """Remove a track whose arrays are closed."""
        shutil.rmtree(self.temporary / str(track))

    def clear(self) -> None:
        """Remove everything written until now."""
        for array in self._open:
            array.discard()
        with writing(self.store):
            shutil.rmtree(self.temporary)
            self.temporary.mkdir()

    def finish(self, record: SourceRecord) -> None:
        """Write the record and move the folder into the store, replacing an older one."""
        self._close_arrays()
        text = json.dumps(record.to_json(), indent=1, allow_nan=False)
        with writing(self.store):
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
        self.length, self.path = 0, path
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by `close`
        self._write_header()

    def append(self, items: np.ndarray) -> None:
        """Append items `(n, *item_shape)`."""
        if items.shape[1:] != self.item_shape:
            raise ValueError(f"items must be (n, *{self.item_shape}), got {items.shape}")
        with writing(self.path):
            self._file.write(np.ascontiguousarray(items, self.dtype).data)
        self.length += len(items)

    def cut(self, length: int) -> None:
        """Drop the items from `length` on."""
        if length < self.length:
            item_bytes = self.dtype.itemsize * int(np.prod(self.item_shape, dtype=int))
            with writing(self.path):
                self._file.truncate(NPY_HEADER_BYTES + length * item_bytes)
            self.length = length

    def close(self) -> None:
        if not self._file.closed:
            with writing(self.path):
                self._file.seek(0)
                self._write_header()
                self._file.close()

    def discard(self) -> None:
        """Close the file without completing it, whatever the disk says."""
        with suppress(OSError):
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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the system inside into `StoreWriteError`, in words."""
    try:
        yield
    except StoreWriteError:
        raise
    except OSError as error:
        cause = NO_SPACE.get(error.errno or 0) or error.strerror or str(error)
        raise StoreWriteError(f"{path} cannot be written: {cause}") from error


def check_store_folder(store: Path) -> None:
    """Check that a folder is a store or may become one.

    Raises:
        OSError: it is a file, cannot be written to, or has files of a store's names that avsync did
            not write.
    """
    if store.exists() and not store.is_dir():
        raise NotADirectoryError(f"the store must be a folder, but {store} is a file")
    check_output(store / CLIPS_TABLE, CLIPS_KIND, overwrite=None)
    check_output(store / REJECTED_TABLE, REJECTED_KIND, overwrite=None)


def remove_unfinished(store: Path) -> None:
    """Remove what killed processes of this host left of sources that they did not finish."""
    for path in (store / CLIPS_FOLDER).glob(".*.part*"):
        if is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


def finished_sources(store: Path) -> dict[str, SourceRecord]:
    """Return the record of each source in the store by its key; damaged ones are left out."""
    return dict(_records(store))


def read_record(store: Path, source_key: str) -> SourceRecord:
    """Return the record of a source of the store.

    Raises:
        OSError, ValueError: it is not there, or damaged.
    """
    return SourceRecord.from_json(read_json(store / CLIPS_FOLDER / source_key / SOURCE_FILE))


def write_tables(store: Path, records: dict[str, SourceRecord]) -> None:
    """Write `clips.jsonl` and `rejected.csv` from the records, each atomically."""
    ordered = sorted(records.values(), key=lambda record: record.source)
    rejected = io.StringIO()
    table = csv.DictWriter(rejected, REJECTED_COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in (row for record in ordered for row in record.rejected):
        table.writerow({name: csv_cell(value) for name, value in row.to_json().items()})
    clips = (json.dumps(r.to_json(), allow_nan=False) for record in ordered for r in record.clips)
    with writing(store):
        write_text(store / REJECTED_TABLE, rejected.getvalue())
        write_text(store / CLIPS_TABLE, "".join(f"{line}\n" for line in clips))


def forget_source(store: Path, source_key: str) -> None:
    """Remove the clips of a source, for a file that has changed since."""
    shutil.rmtree(store / CLIPS_FOLDER / source_key, ignore_errors=True)


def _records(store: Path) -> Iterator[tuple[str, SourceRecord]]:
    for path in sorted((store / CLIPS_FOLDER).glob(f"*/{SOURCE_FILE}")):
        if path.parent.name.startswith("."):
            continue
        try:
            yield path.parent.name, SourceRecord.from_json(read_json(path))
        except (OSError, ValueError):
            continue
