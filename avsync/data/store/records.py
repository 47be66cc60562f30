"""The rows of a store's tables and the record of one source file, with their JSON."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from avsync.timing import FPS

# Keys that a row of `clips.jsonl` must have, with their types; others are ignored.
CLIP_INFO_TYPES = {"id": str, "source": str, "speaker": str, "track": int, "frames": int}
CLIP_INFO_TYPES |= {"start_s": float, "face_px": float, "score": float, "sample_rate": int}
MAX_NUMBER = 2**53
REJECTED_COLUMNS = ("source", "track", "start_s", "duration_s", "reason", "detail")


class ClipInfo(NamedTuple):
    """A row of `clips.jsonl`: what is known of a clip without opening its arrays.

    Args:
        id: name of the clip in the store, `SOURCE.TRACK`.
        source: name of the video file, with the speaker's folder before the last part.
        speaker: name of the folder of the video file.
        track: number of the face in the video.
        start_s: time of the first frame, in seconds from the first frame of the video.
        frames: length at 25 frames a second.
        face_px: median width of the face, in pixels of the video.
        score: mean detection score of the face, in [0, 1].
        sample_rate: audio samples a second of the video.
    """

    id: str
    source: str
    speaker: str
    track: int
    start_s: float
    frames: int
    face_px: float
    score: float
    sample_rate: int

    @property
    def duration_s(self) -> float:
        return self.frames / FPS

    def to_json(self) -> dict[str, Any]:
        """Return the row as a line of `clips.jsonl` has it."""
        return {
            "id": self.id,
            "source": self.source,
            "speaker": self.speaker,
            "track": self.track,
            "start_s": self.start_s,
            "duration_s": self.duration_s,
            "frames": self.frames,
            "fps": FPS,
            "face_px": self.face_px,
            "score": self.score,
            "sample_rate": self.sample_rate,
        }

    @classmethod
    def from_json(cls, document: Any) -> "ClipInfo":
        """Return the row of a parsed line; ValueError if a key is missing or of another type."""
        return cls(**_checked(document, CLIP_INFO_TYPES))


class Rejection(NamedTuple):
    """A row of `rejected.csv`: a video, a segment of it or one of its faces that gave no clip.

    Args:
        source: name of the video file.
        reason: a short fixed name, such as `no_face`.
        detail: the reason in words.
        track: number of the face, if one was found.
        start_s: where the face or the segment starts, in seconds from the first frame.
        duration_s: its length.
    """

    source: str
    reason: str
    detail: str
    track: int | None = None
    start_s: float | None = None
    duration_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row by column, without the columns that are not known."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class SourceRecord(NamedTuple):
    """What one video file gave: clips and rejections. It is stored in `source.json`.

    Args:
        source: name of the video file.
        clips: rows of `clips.jsonl`.
        rejected: rows of `rejected.csv`.
        made_of: digest of the file's content and the rules; files that share it give equal clips.
        bytes: size of the file.
    """

    source: str
    clips: tuple[ClipInfo, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    made_of: str = ""
    bytes: int = 0

    def renamed(self, source: str, speaker: str, ids: Mapping[str, str]) -> "SourceRecord":
        """Return the record of another file of equal content.

        Args:
            source: its name.
            speaker: the speaker of its clips.
            ids: names of its clips, by those of this record's.
        """
        clips = (
            clip._replace(id=ids[clip.id], source=source, speaker=speaker) for clip in self.clips
        )
        rejected = (row._replace(source=source) for row in self.rejected)
        return self._replace(source=source, clips=tuple(clips), rejected=tuple(rejected))

    def to_json(self) -> dict[str, Any]:
        """Return the document that `source.json` holds."""
        made_of = {"made_of": self.made_of, "bytes": self.bytes} if self.made_of else {}
        return {
            "source": self.source,
            "clips": [row.to_json() for row in self.clips],
            "rejected": [row.to_json() for row in self.rejected],
            **made_of,
        }

    @classmethod
    def from_json(cls, document: Any) -> "SourceRecord":
        """Return the record of a parsed `source.json`; ValueError if it is damaged."""
        whole = _checked(document, {"source": str, "clips": list, "rejected": list})
        try:
            rejected = tuple(Rejection(**row) for row in whole["rejected"])
        except TypeError as error:
            raise ValueError(f"rejected must be rows of {', '.join(REJECTED_COLUMNS)}") from error
        clips = tuple(map(ClipInfo.from_json, whole["clips"]))
        # Stores of earlier releases have no digest.
        made_of = {"made_of": str, "bytes": int} if "made_of" in document else {}
        return cls(whole["source"], clips, rejected, **_checked(document, made_of))


def _checked(document: Any, types: dict[str, type]) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ValueError(f"expected {', '.join(types)}, got {type(document).__name__}")
    for name, kind in types.items():
        value = document.get(name)
        # True is an int for Python, and NaN and 1e999 are numbers of its JSON.
        finite = not isinstance(value, int | float) or abs(value) < MAX_NUMBER
        if not isinstance(value, kind) or isinstance(value, bool) or not finite:
            raise ValueError(f"{name} must be {kind.__name__}, got {value!r}")
    return {name: document[name] for name in types}
