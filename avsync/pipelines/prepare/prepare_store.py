"""Prepare a folder of videos as a store of clips: resumable, and no bad file stops it."""

import multiprocessing
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2

from avsync.data.store.reader import CLIPS_TABLE, OPTIONAL, OptionalCrop
from avsync.data.store.records import Rejection, SourceRecord
from avsync.data.store.splits import update_splits
from avsync.data.store.writer import (
    SourceWriter,
    StoreWriteError,
    check_store_folder,
    finished_sources,
    forget_source,
    remove_unfinished,
    write_tables,
)
from avsync.faces.detector import FaceDetector, find_detector
from avsync.locks import locked
from avsync.media.container import UnreadableMedia
from avsync.pipelines.prepare.prepare_file import PrepareRules, prepare_file
from avsync.pipelines.prepare.sources import Layout, VideoSource, plan_sources
from avsync.pipelines.progress import progress_bar
from avsync.pipelines.worker_limits import limit_file_cpu, limit_worker_memory

# The tables are written this often while files are prepared, and at most for this share of the
# time: each time, they are written whole.
TABLE_EVERY_S, TABLE_SHARE = 10.0, 0.02
# Files per worker that are handed out at once.
QUEUED_PER_WORKER = 2


class PrepareSummary(NamedTuple):
    """Counts of `prepare`: files of this run and of earlier ones, and what all of them gave.

    Args:
        files: files prepared now.
        skipped: files that had been prepared before.
        clips: clips of all these files.
        rejected: rejections of all these files.
        duration_s: duration of all clips.
    """

    files: int
    skipped: int
    clips: int
    rejected: int
    duration_s: float

    def describe(self) -> str:
        """Return one line in plain words."""
        return (
            f"{self.files} files prepared, {self.skipped} were done before: {self.clips} clips, "
            f"{self.duration_s / 60:.1f} minutes; {self.rejected} rejected (see rejected.csv)"
        )


def prepare(
    folder: str | Path,
    store: str | Path,
    *,
    layout: Layout = "folder",
    lists: Sequence[str | Path] = (),
    crops: Sequence[OptionalCrop] = (),
    detector: str | FaceDetector | None = None,
    workers: int = 1,
    min_face_px: float = 32,
    min_duration_s: float = 1.0,
) -> PrepareSummary:
    """Turn the videos in and below a folder into prepared clips; run again, it resumes.

    A file is prepared again if it has changed, or if it was prepared with other rules. A file that
    cannot be used, or that a list names and that does not exist, becomes a row of `rejected.csv`
    and stops nothing.

    Args:
        folder: searched for videos; its name and theirs become the clips' `source`.
        store: the folder to write, made if missing; `avsync.data.Store` reads it.
        layout: how the folder is laid out: as a `folder` of videos, or as `lrs2` or `acappella` are
            distributed, whose lists define which videos are used; the store then gets a
            `splits.json`.
        lists: lists of that corpus, files or names in the folder; without any, all that exist.
        crops: further crops: `head`, 224 x 224 pixels as SyncNet takes them, 226 MB a minute;
            `mesh`, 256 x 256 pixels as the face mesh network takes them, 295 MB a minute.
        detector: the face detector, by name, or None for YuNet; an object needs one
            worker.
        workers: processes.
        min_face_px: narrower faces are rejected, in pixels of the source.
        min_duration_s: shorter tracks are rejected.

    Raises:
        ValueError: an argument is wrong.
        InUseError: another `prepare` writes to the store.
        OSError: the store cannot be written, or has files that avsync did not write.
    """
    folder, store = Path(folder).resolve(), Path(store)
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if workers > 1 and not (detector is None or isinstance(detector, str)):
        raise ValueError("detector must be a name, not an object, where there are several workers")
    if not folder.is_dir():
        raise ValueError(f"folder must be a folder with videos, got {folder}")
    if unknown := set(crops) - set(OPTIONAL):
        raise ValueError(f"crops must be {', '.join(OPTIONAL)}, got {', '.join(sorted(unknown))}")
    check_store_folder(store)
    found = find_detector(detector) if detector is None or isinstance(detector, str) else detector
    further = tuple(kind for kind in OPTIONAL if kind in crops)
    rules = PrepareRules(found.name, float(min_face_px), float(min_duration_s), further)
    sources, splits = plan_sources(folder, layout, lists, rules)
    with locked(store / CLIPS_TABLE):
        remove_unfinished(store)
        records = finished_sources(store)
        todo = _todo(sources, records)
        if splits:
            update_splits(store, splits)
        work: Iterator[tuple[VideoSource, SourceRecord]]
        if workers == 1:
            work = ((source, _prepare_source(source, store, found, rules)) for source in todo)
        else:
            work = _in_processes(todo, store, rules, workers)
        with progress_bar(f"preparing {folder.name}") as report:
            _collect(work, records, store, lambda done: report(done / len(todo)))
    return _summary(sources, todo, records)


def _todo(sources: Sequence[VideoSource], records: Mapping[str, SourceRecord]) -> list[VideoSource]:
    """Return the sources without a record; a prepared file that no longer exists is finished."""
    done = {record.source for record in records.values() if record.clips}
    return [
        source
        for source in sources
        if source.key not in records and (source.path.is_file() or source.name not in done)
    ]


def _collect(
    work: Iterator[tuple[VideoSource, SourceRecord]],
    records: dict[str, SourceRecord],
    store: Path,
    report: Callable[[int], None],
) -> None:
    """Add finished records, and keep the tables up to date."""
    keys = _keys_by_source(records)
    next_s = time.monotonic() + TABLE_EVERY_S
    try:
        for number, (source, record) in enumerate(work, start=1):
            # Clips of an older version of the file, or of other rules.
            for key in keys.get(source.name, ()):
                del records[key]
                forget_source(store, key)
            records[source.key], keys[source.name] = record, [source.key]
            report(number)
            if (started_s := time.monotonic()) > next_s:
                write_tables(store, records)
                took_s = time.monotonic() - started_s
                next_s = started_s + max(TABLE_EVERY_S, took_s / TABLE_SHARE)
    except BaseException as error:
        with suppress(OSError):  # On a full disk there may be space for these.
            write_tables(store, records)
        if isinstance(error, StoreWriteError):
            advice = "what is prepared stays, and the same command continues when there is space"
            raise StoreWriteError(f"{error}; {advice}") from error
        raise
    write_tables(store, records)


def _prepare_source(
    source: VideoSource, store: Path, detector: FaceDetector, rules: PrepareRules
) -> SourceRecord:
    """Prepare one file completely; whatever is wrong with it becomes a rejection."""
    with SourceWriter(store, source.key) as writer:
        try:
            if source.path.is_file():
                record = prepare_file(
                    source.path, source.name, writer, detector, rules, source.segments
                )
            else:
                record = _rejected(source, "missing", f"{source.path} is not there")
        except UnreadableMedia as error:
            writer.clear()
            record = _rejected(source, error.reason, str(error))
        except StoreWriteError:
            raise  # Not the fault of the file, which is prepared by a later run.
        except Exception as error:  # a damaged file may fail anywhere in a decoder
            writer.clear()
            record = _rejected(source, "damaged", f"{type(error).__name__}: {error}")
        writer.finish(record)
    return record


def _rejected(source: VideoSource, reason: str, detail: str) -> SourceRecord:
    return SourceRecord(source.name, rejected=(Rejection(source.name, reason, detail),))


def _in_processes(
    todo: list[VideoSource], store: Path, rules: PrepareRules, workers: int
) -> Iterator[tuple[VideoSource, SourceRecord]]:
    """Prepare files in several processes; a file that kills its process is rejected."""
    waiting = iter(todo)
    while suspects := (yield from _until_one_dies(waiting, store, rules, workers)):
        # A process has died, in one of these: each is now prepared in a process that reads no
        # other file.
        for source in suspects:
            if (yield from _until_one_dies(iter([source]), store, rules, workers=1)):
                record = _rejected(source, "damaged", "reading it killed the process")
                with SourceWriter(store, source.key) as writer:
                    writer.finish(record)
                yield source, record


def _until_one_dies(
    waiting: Iterator[VideoSource], store: Path, rules: PrepareRules, workers: int
) -> Generator[tuple[VideoSource, SourceRecord], None, list[VideoSource]]:
    """Prepare files until none is waiting, or a process dies; return those that were handed out."""
    pool = ProcessPoolExecutor(
        workers,
        # A fork would copy the locks of OpenCV's and FFmpeg's threads, but not the threads.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    handed_out: dict[str, VideoSource] = {}
    futures: set[Future[tuple[str, SourceRecord]]] = set()
    try:
        while True:
            for source in islice(waiting, QUEUED_PER_WORKER * workers - len(handed_out)):
                handed_out[source.key] = source
                futures.add(pool.submit(_prepare_by_name, source, store, rules))
            if not futures:
                return []
            done, futures = wait(futures, return_when=FIRST_COMPLETED)
            for future in done:
                key, record = future.result()
                yield handed_out.pop(key), record
    except BrokenProcessPool:
        return list(handed_out.values())
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(1)
    limit_worker_memory()


def _prepare_by_name(
    source: VideoSource, store: Path, rules: PrepareRules
) -> tuple[str, SourceRecord]:
    limit_file_cpu(source.path)
    return source.key, _prepare_source(source, store, _detector(rules.detector), rules)


_detector = cache(find_detector)


def _keys_by_source(records: Mapping[str, SourceRecord]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for key, record in records.items():
        keys.setdefault(record.source, []).append(key)
    return keys


def _summary(
    sources: list[VideoSource], todo: list[VideoSource], records: Mapping[str, SourceRecord]
) -> PrepareSummary:
    by_name = {record.source: record for record in records.values()}
    ours = [by_name[source.name] for source in sources]
    clips = [clip for record in ours for clip in record.clips]
    return PrepareSummary(
        files=len(todo),
        skipped=len(sources) - len(todo),
        clips=len(clips),
        rejected=sum(len(record.rejected) for record in ours),
        duration_s=sum(clip.duration_s for clip in clips),
    )
