"""Index of the lines of a results file, in a temporary SQLite database: memory stays flat.

A line is found by the name of its file, and by the content of its file, so that a file that was
renamed, copied or touched is not checked again.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Inputs of a result, as JSON: size, time and hash of the file, and the options of the check.
Fingerprint = dict[str, Any]
# Facts of the file among them. Its name and its time say nothing about its content.
SIZE, MTIME, CONTENT = "size", "mtime_ns", "sha256"

TABLE = """
    CREATE TABLE lines (
        name BLOB PRIMARY KEY, start INTEGER, length INTEGER,
        state BLOB, size INTEGER, options BLOB, suffix TEXT, content TEXT
    );
    CREATE INDEX by_kind ON lines (size, options, suffix, start);
    CREATE INDEX by_content ON lines (content);
"""
# A million files of one size must not cost the square of their number.
MAX_CONTENTS = 256
SAME_KIND = "size = ? AND options = ? AND suffix = ?"


class Line(NamedTuple):
    """Position of a line in the file: its first byte, and their number."""

    start: int
    length: int


class LineIndex:
    """Index of lines by the name and the content of the file that each is about."""

    def __init__(self) -> None:
        # Without a name it is on the disk, in a file that the system removes. The generator that
        # uses it may be continued by another thread.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(TABLE)

    def add(self, name: str, line: Line, made_of: Fingerprint) -> None:
        """Add the line of a file; it replaces an earlier one."""
        kind, content = _kind(name, made_of), made_of.get(CONTENT)
        row = (_bytes(name), *line, _state(made_of), *kind, content)
        self._database.execute("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def find(self, name: str) -> Line | None:
        """Return the line of a file."""
        return self._line("name = ?", (_bytes(name),))

    def has(self, name: str, made_of: Fingerprint) -> bool:
        """Return whether a file has a line from equal options, and kept its size and time."""
        return self._line("name = ? AND state = ?", (_bytes(name), _state(made_of))) is not None

    def contents(self, name: str, made_of: Fingerprint) -> frozenset[str]:
        """Return the hashes of the files of this size, suffix and options that have a line.

        A suffix is a hint to FFmpeg, so files that differ in it are different. Where many files
        have one size, the latest are returned.
        """
        sql = (
            f"SELECT content FROM lines WHERE {SAME_KIND} ORDER BY start DESC LIMIT {MAX_CONTENTS}"
        )
        found = self._database.execute(sql, _kind(name, made_of))
        return frozenset(content for (content,) in found if content)

    def with_content(self, name: str, made_of: Fingerprint) -> Line | None:
        """Return a line from equal options whose file had this content and suffix."""
        values = (*_kind(name, made_of), made_of[CONTENT])
        return self._line(f"{SAME_KIND} AND content = ?", values)

    def in_order(self, names: Iterable[str]) -> Iterator[Line]:
        """Return the lines of these files in this order, then all others as they were added."""
        self._database.execute("CREATE TABLE seen (name BLOB PRIMARY KEY)")
        for name in names:
            line = self.find(name)
            new = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (_bytes(name),))
            if line is not None and new.rowcount:
                yield line
        others = "SELECT start, length FROM lines WHERE name NOT IN seen ORDER BY start"
        for row in self._database.execute(others):
            yield Line(*row)

    def names(self) -> list[str]:
        """Return the names of all files, in the order of their lines."""
        found = self._database.execute("SELECT name FROM lines ORDER BY start")
        return [name.decode("utf-8", "surrogatepass") for (name,) in found]

    def close(self) -> None:
        self._database.close()

    def _line(self, where: str, values: tuple[Any, ...]) -> Line | None:
        found = self._database.execute(f"SELECT start, length FROM lines WHERE {where}", values)
        row = found.fetchone()
        return None if row is None else Line(*row)


def _bytes(name: str) -> bytes:
    # Names may hold bytes that are no UTF-8, as lone surrogates.
    return name.encode("utf-8", "surrogatepass")


def _state(made_of: Fingerprint) -> bytes:
    """Return a digest of all inputs but the content, which is hashed only if it must be."""
    return _digest({key: value for key, value in made_of.items() if key != CONTENT})


def _kind(name: str, made_of: Fingerprint) -> tuple[int | None, bytes, str]:
    """Return what files of one content share: size, a digest of the options, and suffix."""
    options = {k: v for k, v in made_of.items() if k not in (SIZE, MTIME, CONTENT)}
    return made_of.get(SIZE), _digest(options), Path(name).suffix


def _digest(document: Fingerprint) -> bytes:
    text = json.dumps(document, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
