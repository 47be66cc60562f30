"""Prepare a folder of videos as a store of clips: resumable, and no bad file stops it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from avsync.data.store.reader import CLIPS_TABLE, OPTIONAL, OptionalCrop
from avsync.data.store.records import SourceRecord
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
from avsync.pipelines.prepare.prepare_file import PrepareRules
from avsync.pipelines.prepare.source_clips import Twins, prepare_source, rejection_of
from avsync.pipelines.prepare.sources import Layout, VideoSource, plan_sources
from avsync.pipelines.progress import ProgressCallback, progress_bar
from avsync.pipelines.workers.jobs import JobOutcome, Pool, Shard
from avsync.pipelines.workers.limits import limit_file_cpu
from avsync.pipelines.workers.process_worker import Work

# The tables are written this often while files are prepared, and at most for this share of the
# time: each time, they are written whole.
TABLE_EVERY_S, TABLE_SHARE = 10.0, 0.02
# A shard that has finished waits for others to write the tables.
TABLE_WAIT_S = 600.0


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
    workers: int = 0,
    timeout_s: float | None = None,
    shard: str | None = None,
    ray: str | None = None,
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
        detector: the face detector, by name, or None for YuNet; an object only without workers.
        workers: worker processes; 0 prepares in this process, where a file that crashes a decoder
            ends the call. A file that kills its worker is rejected after two attempts.
        timeout_s: seconds that a worker may take for a file, by the clock on the wall; a file that
            takes longer is rejected after two attempts.
        shard: `i/n` prepares every n-th file from the i-th on, for n calls on n machines that
            write to one store; each that finishes adds what is there to the tables.
        ray: address of a Ray cluster whose machines run the workers, or `local`; with 0 workers,
            one for each CPU. All machines see folder and store under the same paths.
        min_face_px: narrower faces are rejected, in pixels of the source.
        min_duration_s: shorter tracks are rejected.

    Raises:
        ValueError: an argument is wrong.
        InUseError: another `prepare` writes to the store.
        OSError: the store cannot be written, or has files that avsync did not write.
    """
    folder, store = Path(folder).resolve(), Path(store)
    pool = Pool(workers, timeout_s, ray)
    if not pool.is_this_process and not (detector is None or isinstance(detector, str)):
        raise ValueError("detector must be a name, not an object, where there are workers")
    if not folder.is_dir():
        raise ValueError(f"folder must be a folder with videos, got {folder}")
    if unknown := set(crops) - set(OPTIONAL):
        raise ValueError(f"crops must be {', '.join(OPTIONAL)}, got {', '.join(sorted(unknown))}")
    part = Shard() if shard is None else Shard.parse(shard)
    check_store_folder(store)
    found = find_detector(detector) if detector is None or isinstance(detector, str) else detector
    further = tuple(kind for kind in OPTIONAL if kind in crops)
    rules = PrepareRules(found.name, float(min_face_px), float(min_duration_s), further)
    sources, splits = plan_sources(folder, layout, lists, rules)
    sources = part.of_list(sources)
    alone = part == Shard()
    table = store / CLIPS_TABLE
    with locked(table if alone else store / f"{CLIPS_TABLE}.{part.number}-of-{part.of}"):
        remove_unfinished(store)
        records = finished_sources(store)
        todo = _todo(sources, records)
        if splits:
            update_splits(store, splits)
        twins = Twins(records)
        start = partial(_start_here, found) if pool.is_this_process else _start_worker
        with progress_bar(f"preparing {folder.name}") as report:
            jobs = ((source, twins.of(source)) for source in todo)
            ready = partial(start, store.resolve(), rules)
            outcomes = pool.run(ready, jobs, total=len(todo), report=report)
            work = _with_rejections(outcomes, todo, store)
            _collect(twins.kept(work), records, store, tables=alone)
        if not alone:
            # Other shards have written since this one began.
            with locked(table, wait_s=TABLE_WAIT_S):
                write_tables(store, finished_sources(store))
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
    *,
    tables: bool = True,
) -> None:
    """Add finished records, and keep the tables up to date, or leave them to whoever ends last."""

    def write() -> None:
        if tables:
            write_tables(store, records)

    keys = _keys_by_source(records)
    next_s = time.monotonic() + TABLE_EVERY_S
    try:
        for source, record in work:
            # Clips of an older version of the file, or of other rules.
            for key in keys.get(source.name, ()):
                del records[key]
                forget_source(store, key)
            records[source.key], keys[source.name] = record, [source.key]
            if (started_s := time.monotonic()) > next_s:
                write()
                took_s = time.monotonic() - started_s
                next_s = started_s + max(TABLE_EVERY_S, took_s / TABLE_SHARE)
    except BaseException as error:
        with suppress(OSError):  # On a full disk there may be space for these.
            write()
        if isinstance(error, StoreWriteError):
            advice = "what is prepared stays, and the same command continues when there is space"
            raise StoreWriteError(f"{error}; {advice}") from error
        raise
    write()


def _with_rejections(
    outcomes: Iterator[JobOutcome], todo: Sequence[VideoSource], store: Path
) -> Iterator[tuple[VideoSource, SourceRecord]]:
    """Reject the files that killed their worker, or took too long."""
    for number, outcome, died, cause in outcomes:
        source = todo[number]
        if died:
            outcome = rejection_of(source, "damaged", cause)
            with SourceWriter(store, source.key) as writer:
                writer.finish(outcome)
        yield source, outcome


def _start_here(detector: FaceDetector, store: Path, rules: PrepareRules, index: int) -> Work:
    def work(job: tuple[VideoSource, dict[str, str]], report: ProgressCallback) -> SourceRecord:
        source, twins = job
        return prepare_source(source, twins, store, detector, rules)

    return work


def _start_worker(store: Path, rules: PrepareRules, index: int) -> Work:
    cv2.setNumThreads(1)
    work = _start_here(find_detector(rules.detector), store, rules, index)

    def limited(job: tuple[VideoSource, dict[str, str]], report: ProgressCallback) -> Any:
        source, _ = job
        limit_file_cpu(source.path)
        return work(job, report)

    return limited


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
