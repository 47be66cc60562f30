"""Load files written by `torch.save`, zip or legacy, after checking them for consistency.

torch's `weights_only` reader runs no code, but it allocates whatever a file declares. So the file
is first compared with itself: every declared size must be the size of the data that is there.
"""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from avsync.convert.pickle_scan import (
    MAX_PICKLE_BYTES,
    PickleContents,
    printable_name,
    scan_pickle,
    unsafe_globals,
)

ZIP_START, PICKLE_START = b"PK\x03\x04", b"\x80"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of a file written by torch before 1.6
LEGACY_PROTOCOL = 1001
# The records that end a zip archive: its end, the 64-bit end, and the locator of the latter.
END, END_64, LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, END_64_BYTES, LOCATOR_64_BYTES = 22, 56, 20


def load_torch_file(path: Path) -> Any:
    """Load the object that `torch.save` was given, on the CPU, without running code.

    Raises:
        RuntimeError: the file is damaged, or holds more than tensors and plain values.
    """
    with open(path, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        is_zip = file.read(len(ZIP_START)) == ZIP_START
        try:
            check = _check_zip if is_zip else _check_legacy
            check(file, size)
            file.seek(0)
            # From memory: given a file on disk, torch first tries to read it as a tar archive.
            source = file if is_zip else io.BytesIO(file.read())
            return torch.load(source, map_location="cpu", weights_only=True, mmap=False)
        except (zipfile.BadZipFile, UnicodeDecodeError) as error:
            raise RuntimeError(f"{path} is damaged or cut short: {error}") from error
        # Any other exception of torch, zipfile or pickletools on a maliciously crafted file.
        except Exception as error:
            cause = (str(error) or type(error).__name__).splitlines()[0]
            raise RuntimeError(f"{path} was not read: {cause}") from error


def _check_zip(file: BinaryIO, size: int) -> None:
    _check_directory(file, size)
    with zipfile.ZipFile(file) as archive:
        records = {member.filename.casefold(): member for member in archive.infolist()}
        if len(records) != len(archive.infolist()):
            raise zipfile.BadZipFile("it holds two records of one name")
        if sum(member.file_size for member in records.values()) > size or any(
            member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size
            for member in records.values()
        ):
            raise ValueError("it would unpack to more than it is, which torch.save never writes")
        folder = next(iter(records), "").partition("/")[0]
        if f"{folder}/constants.pkl" in records:
            raise ValueError("it is a TorchScript archive, which is a program")
        if f"{folder}/data.pkl" not in records:
            raise ValueError("it is a zip archive, but not one that torch.save wrote")
        if broken := archive.testzip():
            raise zipfile.BadZipFile(f"the checksum of {printable_name(broken)} does not match")
        pickle = records[f"{folder}/data.pkl"]
        if pickle.file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"its pickle has {pickle.file_size} bytes: it holds more than tensors")
        contents = _scan(io.BytesIO(archive.read(pickle)))
        for storage in contents.storages.values():
            record = records.get(f"{folder}/data/{storage.key}")
            if record is None or record.file_size != storage.size:
                found = "are missing" if record is None else f"are {record.file_size}"
                raise zipfile.BadZipFile(f"{storage.size} bytes of a tensor {found}")


def _check_directory(file: BinaryIO, size: int) -> None:
    # torch and zipfile must see the same archive, and neither a directory that fills the memory:
    # the directory must end where the closing record starts, and nothing may follow that record.
    tail_bytes = min(size, END_64_BYTES + LOCATOR_64_BYTES + END_BYTES)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    end = tail[-END_BYTES:]
    if not end.startswith(END) or end[-2:] != b"\0\0":
        raise zipfile.BadZipFile("its end is missing")
    length, start = struct.unpack("<II", end[12:20])
    close = size - END_BYTES
    if tail[-END_BYTES - LOCATOR_64_BYTES :].startswith(LOCATOR_64):
        close -= LOCATOR_64_BYTES + END_64_BYTES
        (declared,) = struct.unpack("<Q", tail[-END_BYTES - LOCATOR_64_BYTES + 8 :][:8])
        if declared != close or not tail.startswith(END_64):
            raise zipfile.BadZipFile("its end is malformed")
        length, start = struct.unpack("<QQ", tail[40:56])
    if start + length != close:
        raise zipfile.BadZipFile("its list of records is not where it should be")
    if length > MAX_PICKLE_BYTES:
        raise ValueError(f"it lists {length} bytes of records: it holds more than tensors")


def _check_legacy(file: BinaryIO, size: int) -> None:
    file.seek(0)
    head = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    if _scan(head).content != LEGACY_MAGIC or _scan(head).content != LEGACY_PROTOCOL:
        raise ValueError("it is a Python pickle that torch.save did not write; it could run code")
    _scan(head)  # byte order and word sizes of the machine that wrote it
    storages = _scan(head).storages
    keys = _scan(head).content
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise ValueError("it is damaged: its list of storages differs from those of its tensors")
    end = head.tell() + sum(8 + storage.size for storage in storages.values())
    if end != size:
        raise ValueError(f"it is damaged or cut short: {size} bytes where {end} should be")


def _scan(stream: BinaryIO) -> PickleContents:
    start = stream.tell()
    if names := unsafe_globals(stream):
        listed = ", ".join(names[:3])
        if any(name.startswith("torch.nn.modules.") for name in names):
            raise ValueError(
                f"it is a whole pickled model, whose code ({listed}) would have to run"
            )
        raise ValueError(f"it is a pickle that would run {listed} when read")
    stream.seek(start)
    return scan_pickle(stream)
