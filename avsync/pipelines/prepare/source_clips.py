"""Prepare one source: its clips, those of a file of equal content, or a rejection."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from avsync.data.store.reader import clip_id
from avsync.data.store.records import Rejection, SourceRecord
from avsync.data.store.writer import SourceWriter, StoreWriteError, read_record
from avsync.faces.detector import FaceDetector
from avsync.media.container import UnreadableMedia
from avsync.pipelines.prepare.prepare_file import PrepareRules, prepare_file
from avsync.pipelines.prepare.sources import VideoSource, content_digest

# Of files of one size, this many are candidates for equal content.
MAX_TWINS = 256


class Twins:
    """Sources of the store that others may equal: those of their size, by their digests."""

    def __init__(self, records: dict[str, SourceRecord]) -> None:
        self.records = records
        self.keys_by_size: dict[int, deque[str]] = {}
        for key, record in records.items():
            self._add(key, record)

    def of(self, source: VideoSource) -> dict[str, str]:
        """Return the keys of the sources of equal size by their digests."""
        try:
            size = source.path.stat().st_size
        except (OSError, ValueError):
            return {}
        keys = (key for key in self.keys_by_size.get(size, ()) if key in self.records)
        return {self.records[key].made_of: key for key in keys}

    def kept(
        self, work: Iterator[tuple[VideoSource, SourceRecord]]
    ) -> Iterator[tuple[VideoSource, SourceRecord]]:
        """Remember each source that is finished."""
        for source, record in work:
            yield source, record
            self._add(source.key, record)

    def _add(self, key: str, record: SourceRecord) -> None:
        if record.made_of:
            # A million files of one size must not cost the square of their number.
            self.keys_by_size.setdefault(record.bytes, deque(maxlen=MAX_TWINS)).append(key)


def prepare_source(
    source: VideoSource,
    twins: Mapping[str, str],
    store: Path,
    detector: FaceDetector,
    rules: PrepareRules,
) -> SourceRecord:
    """Prepare one file completely; whatever is wrong with it becomes a rejection.

    Args:
        source: the file.
        twins: keys of sources that it may equal, by their digests.
        store: the store.
        detector: the face detector.
        rules: which faces become clips.
    """
    with SourceWriter(store, source.key) as writer:
        made_of = content_digest(source, rules)
        if made_of in twins:
            with suppress(StoreWriteError, OSError, ValueError):
                record = _copied(source, twins[made_of], store, writer)
                writer.finish(record)
                return record
            writer.clear()
        try:
            if source.path.is_file():
                record = prepare_file(
                    source.path, source.name, writer, detector, rules, source.segments
                )
                record = record._replace(made_of=made_of, bytes=source.path.stat().st_size)
            else:
                record = rejection_of(source, "missing", f"{source.path} is not there")
        except UnreadableMedia as error:
            writer.clear()
            record = rejection_of(source, error.reason, str(error))
        except StoreWriteError:
            raise  # Not the fault of the file, which is prepared by a later run.
        except Exception as error:  # a damaged file may fail anywhere in a decoder
            writer.clear()
            record = rejection_of(source, "damaged", f"{type(error).__name__}: {error}")
        writer.finish(record)
    return record


def _copied(source: VideoSource, twin: str, store: Path, writer: SourceWriter) -> SourceRecord:
    """Take the clips of a source of equal content, and return their record."""
    record = read_record(store, twin)
    writer.link(twin)
    ids = {clip.id: clip_id(source.key, clip.track) for clip in record.clips}
    return record.renamed(source.name, Path(source.name).parent.name, ids)


def rejection_of(source: VideoSource, reason: str, detail: str) -> SourceRecord:
    return SourceRecord(source.name, rejected=(Rejection(source.name, reason, detail),))
