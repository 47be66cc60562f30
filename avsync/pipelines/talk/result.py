"""What making a face talk gave: the answer in words, as an exit code and as JSON (schema 1,
docs/how_to/talk.md)."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from avsync.pipelines.check.messages import CANNOT_TELL, UNREADABLE, printable
from avsync.scoring.result import Interval, Reason, Status

SCHEMA = 1
TalkReason = Reason | Literal["no_such_face", "several_faces"]


@dataclass(frozen=True)
class Speaker:
    """One face that was made to talk.

    Args:
        number: counted from the left.
        box: its median x0, y0, x1, y1 in pixels of the upright frame.
        seen: when it is in view, in seconds from the first frame.
        pictures: frames drawn with a new mouth.
    """

    number: int
    box: tuple[float, float, float, float]
    seen: tuple[Interval, ...]
    pictures: int


@dataclass(frozen=True)
class TalkResult:
    """The answer for one video. Where `status` is not `ok`, nothing was written and `reason` says
    why, `detail` in words for a person.

    Args:
        who: which faces were asked for; None for the only one.
        speakers: from left to right.
        faces: how many there are to choose from.
        pictures: frames of the video.
        duration_s: of the video.
        voice_s: how long the voice is.
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
    """Return the answer on one line: `a.mp4: out.mp4 written, 75 of 75 pictures drawn, ...`."""
    if result.status != "ok":
        status = "unreadable" if result.status == "unreadable" else "cannot tell"
        return printable(f"{result.file}: {status}: {result.detail}")
    counts = " and ".join(str(each.pictures) for each in result.speakers)
    many = "" if len(result.speakers) == 1 else f" for {len(result.speakers)} faces"
    words = f"{result.output} written, {counts} of {result.pictures} frames drawn{many}"
    return printable(
        f"{result.file}: {words}{_lengths(result)}. "
        "This video is generated: say so wherever you show it"
    )


def exit_code(result: TalkResult) -> int:
    """0 written, 11 cannot tell, 12 unreadable."""
    return {"ok": 0, "cannot_tell": CANNOT_TELL, "unreadable": UNREADABLE}[result.status]


def _lengths(result: TalkResult) -> str:
    """Return what became of a voice that is not as long as the video."""
    if result.voice_s is None or result.duration_s is None:
        return ""
    longer_s = result.voice_s - result.duration_s
    # Encoded audio ends with a whole packet.
    if longer_s > 0.1:
        return f"; the last {longer_s:.1f} s of the voice, after the video's end, are left out"
    if longer_s < -0.1:
        return f"; the voice ends {-longer_s:.1f} s before the video, whose mouth is silent then"
    return ""
