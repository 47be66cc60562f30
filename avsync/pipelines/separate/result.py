"""The result of separating a file: one-line summary, exit code and JSON.

The JSON is schema 1, see docs/how_to/separate.md.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from avsync.atomic import write_text
from avsync.pipelines.check.messages import CANNOT_TELL, UNREADABLE, printable
from avsync.scoring.result import Interval, Reason, Status

SCHEMA = 1
# Names of files in the output folder: the JSON, and the audio without the voices.
RECORD = "separation.json"
REST = "rest.wav"
SeparationReason = Reason | Literal["no_such_face"]


@dataclass(frozen=True)
class SeparatedVoice:
    """A voice that was written to a file.

    Args:
        number: index of its face, from the left; None for an audio-only model.
        file: name of the audio file in the output folder.
        video: name of the video with that audio; None if no videos were requested.
        level_db: energy relative to the mixture in dB; None for silence.
        box: the face's median x0, y0, x1, y1 in pixels of the upright frame.
        seen: intervals in which the face is visible, in seconds from the first frame.
    """

    number: int | None
    file: str
    video: str | None
    level_db: float | None
    box: tuple[float, float, float, float] | None
    seen: tuple[Interval, ...]


@dataclass(frozen=True)
class SeparationResult:
    """The result for one file; unless `status` is `ok`, nothing was written.

    Args:
        file: the video.
        output: the output folder.
        status: `ok`, `cannot_tell` or `unreadable`.
        reason: why nothing was written.
        detail: the reason as a sentence.
        who: the faces that were requested.
        model: name of the separation model.
        voices: from left to right.
        rest: name of the file with the mixture minus the voices.
        faces: number of faces to choose from.
        sample_rate: of the files written and of the source.
        channels: likewise.
        start_s: time of their first sample in seconds from the first frame, 0 or less.
        duration_s: duration of the files written.
        metrics: comparison with the references, if there were any: the JSON of `avsync evaluate
            separation`.
    """

    file: str
    output: str
    status: Status
    reason: SeparationReason | None
    detail: str
    who: str
    model: str
    voices: tuple[SeparatedVoice, ...] = ()
    rest: str | None = None
    faces: int = 0
    sample_rate: int | None = None
    channels: int | None = None
    start_s: float | None = None
    duration_s: float | None = None
    metrics: dict[str, Any] | None = None

    def written(self) -> list[str]:
        """Return the names of all files in the output folder, including the JSON."""
        names = [name for voice in self.voices for name in (voice.file, voice.video)]
        return [name for name in (*names, self.rest, RECORD) if name is not None]


def separation_json(result: SeparationResult) -> dict[str, Any]:
    """Return the result as plain JSON, schema 1."""
    return {"schema": SCHEMA, **asdict(result)}


def write_separation(result: SeparationResult) -> None:
    """Write the JSON to the output folder, atomically."""
    text = json.dumps(separation_json(result), indent=2, allow_nan=False) + "\n"
    write_text(Path(result.output) / RECORD, text)


def sentence(result: SeparationResult) -> str:
    """Return a one-line summary: `duet.mp4: 2 voices in out: voice_0.wav, voice_1.wav; ...`."""
    if result.status != "ok":
        status = "unreadable" if result.status == "unreadable" else "cannot tell"
        return printable(f"{result.file}: {status}: {result.detail}")
    names = ", ".join(voice.file for voice in result.voices)
    count = "1 voice" if len(result.voices) == 1 else f"{len(result.voices)} voices"
    return printable(f"{result.file}: {count} in {result.output}: {names}; the rest: {result.rest}")


def metric_lines(result: SeparationResult) -> list[str]:
    """Return one line of metrics per audio file: `voice_0: SDR 10.2 dB (+7.3), SI-SDR ...`."""
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


def exit_code(result: SeparationResult) -> int:
    """Return 0 if separated, 11 for cannot tell, 12 for unreadable."""
    return {"ok": 0, "cannot_tell": CANNOT_TELL, "unreadable": UNREADABLE}[result.status]


def _decibels(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.1f}"
