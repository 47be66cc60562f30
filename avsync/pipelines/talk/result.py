"""The result of generating a talking face: one-line summary, exit code and JSON.

The JSON is schema 1, see docs/how_to/talk.md.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from avsync.pipelines.check.messages import CANNOT_TELL, UNREADABLE, printable
from avsync.scoring.result import Interval, Reason, Status

SCHEMA = 1
TalkReason = Reason | Literal["no_such_face", "several_faces"]


@dataclass(frozen=True)
class Speaker:
    """A person whose mouth was generated, in `pictures` frames.

    Args:
        number: index of the face, from the left.
        box: its median x0, y0, x1, y1 in pixels of the upright frame.
        seen: intervals in which it is visible, in seconds from the first frame.
    """

    number: int
    box: tuple[float, float, float, float]
    seen: tuple[Interval, ...]
    pictures: int


@dataclass(frozen=True)
class TalkResult:
    """The result for one video; unless `status` is `ok`, nothing was written.

    `pictures` is the number of frames of the video.

    Args:
        file: the video of the face.
        audio: the file with the speech.
        output: the new video.
        status: `ok`, `cannot_tell` or `unreadable`.
        reason: why nothing was written.
        detail: the reason as a sentence.
        who: the faces that were requested; None for the only one.
        model: name of the talking model.
        speakers: from left to right.
        faces: number of faces to choose from.
        duration_s: duration of the video.
        voice_s: duration of the speech.
    """

    file: str
    audio: str
    output: str
    status: Status
    reason: TalkReason | None
    detail: str
    who: str | None
    model: str
    speakers: tuple[Speaker, ...] = ()
    faces: int = 0
    pictures: int = 0
    duration_s: float | None = None
    voice_s: float | None = None


def talk_json(result: TalkResult) -> dict[str, Any]:
    """Return the result as plain JSON, schema 1."""
    return {"schema": SCHEMA, "generated": result.status == "ok", **asdict(result)}


def sentence(result: TalkResult) -> str:
    """Return a one-line summary: `a.mp4: out.mp4 written, 75 of 75 frames drawn. ...`."""
    if result.status != "ok":
        status = "unreadable" if result.status == "unreadable" else "cannot tell"
        return printable(f"{result.file}: {status}: {result.detail}")
    counts = " and ".join(str(speaker.pictures) for speaker in result.speakers)
    faces = "" if len(result.speakers) == 1 else f" for {len(result.speakers)} faces"
    words = f"{result.output} written, {counts} of {result.pictures} frames drawn{faces}"
    return printable(
        f"{result.file}: {words}{_length_note(result)}. "
        "This video is generated: say so wherever you show it"
    )


def exit_code(result: TalkResult) -> int:
    """Return 0 if written, 11 for cannot tell, 12 for unreadable."""
    return {"ok": 0, "cannot_tell": CANNOT_TELL, "unreadable": UNREADABLE}[result.status]


def _length_note(result: TalkResult) -> str:
    """Return how speech longer or shorter than the video was handled."""
    if result.voice_s is None or result.duration_s is None:
        return ""
    longer_s = result.voice_s - result.duration_s
    # Encoded audio ends with a whole packet.
    if longer_s > 0.1:
        return f"; the last {longer_s:.1f} s of the speech, after the video's end, are left out"
    if longer_s < -0.1:
        return f"; the speech ends {-longer_s:.1f} s before the video, whose mouth is silent then"
    return ""
