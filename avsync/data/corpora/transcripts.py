"""Transcripts of clips as corpora distribute them: words, and where known their times."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from avsync.data.store.splits import source_name
from avsync.json_files import read_text

# GRID counts time in 25000ths of a second, and marks silence and short pauses like words.
GRID_UNITS = 25000
GRID_SILENCE = ("sil", "sp")
LRS_TEXT, LRS_WORDS = "text:", "word"


class Transcript(NamedTuple):
    """Words in lower case and, if known, start and end of each in seconds of the source."""

    words: tuple[str, ...]
    times_s: tuple[tuple[float, float], ...] | None = None

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def between(self, start_s: float, end_s: float) -> "Transcript":
        """Return the words that lie between two times; all of them if their times are unknown."""
        if self.times_s is None:
            return self
        kept = [k for k, (low, high) in enumerate(self.times_s) if start_s <= low and high <= end_s]
        return Transcript(tuple(self.words[k] for k in kept), tuple(self.times_s[k] for k in kept))


def read_transcript(folder: Path, source: str) -> Transcript:
    """Read the transcript of a source: a file in `folder` with the source's name without suffix.

    NAME.align is GRID's format: lines of `start end word`. NAME.txt is that of LRS2 and LRS3: a
    line `Text: ...` and, if times are known, lines of `word start end ...`; or it is plain text.
    The name may be preceded by the source's folders.

    Args:
        folder: of the transcripts.
        source: name of the video file in its store.

    Raises:
        ValueError: there is no such file, or it cannot be read.
    """
    name = source_name(source)
    for stem in (name, Path(name).name):
        for suffix, parse in PARSERS.items():
            path = folder / (stem + suffix)
            if path.is_file():
                return _read(path, parse)
    raise ValueError(
        f"transcripts must hold {Path(name).name}.align or {Path(name).name}.txt for {source}: "
        f"{folder} has neither"
    )


def _read(path: Path, parse: Callable[[list[str]], Transcript]) -> Transcript:
    try:
        transcript = parse(read_text(path).splitlines())
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is no transcript: {error}") from error
    if not transcript.words:
        raise ValueError(f"{path} is no transcript: it has no words")
    return transcript


def _parse_grid(lines: list[str]) -> Transcript:
    rows = [line.split() for line in lines if line.strip()]
    words = [row for row in rows if row[2] not in GRID_SILENCE]
    times_s = tuple((int(row[0]) / GRID_UNITS, int(row[1]) / GRID_UNITS) for row in words)
    return Transcript(tuple(row[2].lower() for row in words), times_s)


def _parse_text(lines: list[str]) -> Transcript:
    if not lines or not lines[0].lower().startswith(LRS_TEXT):
        return Transcript(tuple(" ".join(lines).lower().split()))
    words = tuple(lines[0][len(LRS_TEXT) :].lower().split())
    headers = [number for number, line in enumerate(lines) if line.lower().startswith(LRS_WORDS)]
    if not headers:
        return Transcript(words)
    rows = [line.split() for line in lines[headers[0] + 1 :] if line.strip()]
    if tuple(row[0].lower() for row in rows) != words:
        raise ValueError("the words with times are not those of its text")
    return Transcript(words, tuple((float(row[1]), float(row[2])) for row in rows))


PARSERS: dict[str, Callable[[list[str]], Transcript]] = {".align": _parse_grid, ".txt": _parse_text}
