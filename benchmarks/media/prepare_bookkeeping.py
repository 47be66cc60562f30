"""Measure what `avsync prepare` costs per file besides the files: its records and tables.

    python benchmarks/media/prepare_bookkeeping.py [--files 1000 10000 100000 1000000]

The files are not there: their records come from memory, at once, as if any number of workers had
made them. What is left is what one process does for all workers. A cost that grows with the square
of the number of files shows as a ratio of the figures per file.
"""

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from avsync.data.store.records import ClipInfo, SourceRecord
from avsync.pipelines.prepare import prepare_store
from avsync.pipelines.prepare.sources import VideoSource
from benchmarks.record import machine, write_record


def sources(count: int) -> Iterator[tuple[VideoSource, SourceRecord]]:
    """Yield files of one clip each with their records, named as those of a store are."""
    for number in range(count):
        name, key = f"videos/{number % 1000}/{number}.mp4", f"{number}-0123456789"
        clip = ClipInfo(f"{key}.0", name, str(number % 1000), 0, 0.0, 50, 120.0, 0.9, 48000)
        yield VideoSource(Path(name), name, key), SourceRecord(name, (clip,))


def measure(files: int) -> dict[str, float]:
    """Collect the records of files, and return the CPU time and the time writing tables."""
    writing_s = 0.0
    write_tables = prepare_store.write_tables

    def timed(store: Path, records: dict[str, SourceRecord]) -> None:
        nonlocal writing_s
        started = time.process_time()
        write_tables(store, records)
        writing_s += time.process_time() - started

    prepare_store.write_tables = timed
    try:
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            prepare_store._collect(sources(files), {}, Path(folder))
            cpu_s = time.process_time() - started
    finally:
        prepare_store.write_tables = write_tables
    return {
        "files": files,
        "cpu_ms_per_file": 1000 * cpu_s / files,
        "of_which_tables": 1000 * writing_s / files,
    }


def memory_per_file(files: int) -> float:
    """Return the bytes that a record takes while a store is prepared."""
    tracemalloc.start()
    records = {source.key: record for source, record in sources(files)}
    size = tracemalloc.get_traced_memory()[0] / len(records)
    tracemalloc.stop()
    return size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    rows = [measure(files) for files in parser.parse_args().files]
    for row in rows:
        print(
            f"{row['files']:.0f} files: {row['cpu_ms_per_file']:.3f} ms of CPU time each, "
            f"{row['of_which_tables']:.3f} of them for the tables"
        )
    ratio = rows[-1]["cpu_ms_per_file"] / rows[0]["cpu_ms_per_file"]
    print(f"per file, {rows[-1]['files']:.0f} files against {rows[0]['files']:.0f}: {ratio:.2f}")
    size = memory_per_file(10_000)
    print(f"memory of a record: {size:.0f} bytes")
    print(machine())
    write_record(
        "media/prepare_bookkeeping", {"rows": rows, "ratio": ratio, "bytes_per_record": size}
    )


if __name__ == "__main__":
    main()
