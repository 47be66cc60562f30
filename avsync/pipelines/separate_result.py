"""What separating a file gave: the answer in words, as an exit code and as JSON (schema 1,
docs/how_to/separate.md)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from avsync.atomic import write_text
from avsync.pipelines.words import CANNOT_TELL, UNREADABLE, printable
from avsync.scoring.result import Interval, Reason, Status

SCHEMA = 1
RECORD = "separation.json"
SeparationReason = Reason | Literal["no_such_face"]


@dataclass(frozen=True)
class Voice:
    """One voice that was written.

    Args:
        number: of its face, counted from the left; None where no face was asked for.
        file: name of the sound in the output folder.
        video: name of the video with that sound, None where none was asked for.
        level_db: how loud it is against the mixture, in dB by their energies; None for silence.
        box: the face's median x0, y0, x1, y1 in pixels of the upright picture.
        seen: when the face is in view, in seconds from the first picture.
    """

    number: int | None
    file: str
    video: str | None
    level_db: float | None
    box: tuple[float, float, float, float] | None
    seen: tuple[Interval, ...]


@dataclass(frozen=True)
class SeparationResult:
    """The answer for one file. Where `status` is not `ok`, nothing was written and `reason` says
    why, `detail` in words for a person.

    Args:
        voices: from left to right.
        rest: name of what is left of the mixture without the voices.
        faces: how many there are to choose from.
        sample_rate: of the files written, and of the source.
        channels: likewise.
        start_s: when their first sample is heard, in seconds from the first picture, 0 or less.
        duration_s: their length.
        metrics: how near they are to the references, where those were given: the JSON of `avsync
            evaluate separation`.
    """

    file: str
    output: str
    status: Status
    reason: SeparationReason | None
    detail: str
    who: str
    model: str
    voices: tuple[Voice, ...] = ()
    rest: str | None = None
    faces: int = 0
    sample_rate: int | None = None
    channels: int | None = None
    start_s: float | None = None
    duration_s: float | None = None
    metrics: dict[str, Any] | None = None

    def written(self) -> list[str]:
        """The names of all files in the output folder, the record among them."""
        names = [name for voice in self.voices for name in (voice.file, voice.video)]
        return [name for name in (*names, self.rest, RECORD) if name is not None]


def separation_json(result: SeparationResult) -> dict[str, Any]:
    """The result as plain JSON, schema 1."""
    return {"schema": SCHEMA, **asdict(result)}


def write_separation(result: SeparationResult) -> None:
    """Writes the JSON beside the sounds, whole or not at all."""
    text = json.dumps(separation_json(result), indent=2, allow_nan=False) + "\n"
    write_text(Path(result.output) / RECORD, text)


def sentence(result: SeparationResult) -> str:
    """The answer on one line: `duet.mp4: 2 voices in out: voice_0.wav (0:00 to 0:10) ...`."""
    if result.status != "ok":
        status = "unreadable" if result.status == "unreadable" else "cannot tell"
        return printable(f"{result.file}: {status}: {result.detail}")
    names = ", ".join(voice.file for voice in result.voices)
    many = "1 voice" if len(result.voices) == 1 else f"{len(result.voices)} voices"
    return printable(f"{result.file}: {many} in {result.output}: {names}; the rest: {result.rest}")


def metric_lines(result: SeparationResult) -> list[str]:
    """The metrics of each sound on a line: `voice_0: SDR 10.2 dB (+7.3), SI-SDR 9.8 dB (+7.1)`."""
    lines = []
    for source in (result.metrics or {}).get("sources", []):
        if source["status"] != "ok":
            lines.append(printable(f"{source['source']}: {source['status']}: {source['detail']}"))
            continue
        figures = source["figures"]
        parts = [
            f"{name} {_decibels(figures[key])} dB ({_decibels(figures[f'{key}_gain'], '+')})"
            for key, name in (("sdr", "SDR"), ("si_sdr", "SI-SDR"))
        ]
        lines.append(printable(f"{source['source']}: {', '.join(parts)}"))
    return lines


def _decibels(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.1f}"


def exit_code(result: SeparationResult) -> int:
    """0 separated, 11 cannot tell, 12 unreadable."""
    return {"ok": 0, "cannot_tell": CANNOT_TELL, "unreadable": UNREADABLE}[result.status]
