"""What is said in a clip, and when: transcripts as corpora distribute them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from avsync.data.store.splits import source_name

# GRID counts time in 25000ths of a second, and marks what is no word.
GRID_UNITS = 25000
GRID_SILENCE = ("sil", "sp")
LRS_TEXT, LRS_WORDS = "text:", "word"


class Transcript(NamedTuple):
    """Words in lower case, and where their times are known, when each starts and ends in seconds of
    the source.
    """

    words: tuple[str, ...]
    spans_s: tuple[tuple[float, float], ...] | None = None

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def inside(self, start_s: float, end_s: float) -> "Transcript":
        """Return what is said between two times; all of it where the times of words are not known."""
        if self.spans_s is None:
            return self
        kept = [k for k, (low, high) in enumerate(self.spans_s) if start_s <= low and high <= end_s]
        return Transcript(tuple(self.words[k] for k in kept), tuple(self.spans_s[k] for k in kept))


def read_transcript(folder: Path, source: str) -> Transcript:
    """Return the transcript of a source: a file of its name, without its suffix, in `folder`.

    NAME.align is GRID's: `start end word` lines. NAME.txt is that of LRS2 and LRS3, `Text: ...` and
    where there are times `word start end ...` lines, or else plain text. The name may have the
    source's folders before it.

    ValueError where there is none, or where it cannot be read.
    """
    name = source_name(source)
    for stem in (name, Path(name).name):
        for suffix, parse in READERS.items():
            path = folder / (stem + suffix)
            if path.is_file():
                return _parsed(path, parse)
    raise ValueError(
        f"transcripts must hold {Path(name).name}.align or {Path(name).name}.txt for {source}: "
        f"{folder} has neither"
    )


def _parsed(path: Path, parse: Callable[[list[str]], Transcript]) -> Transcript:
    try:
        transcript = parse(path.read_text(encoding="utf-8").splitlines())
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is no transcript: {error}") from error
    if not transcript.words:
        raise ValueError(f"{path} is no transcript: it has no words")
    return transcript


def _grid(lines: list[str]) -> Transcript:
    rows = [line.split() for line in lines if line.strip()]
    said = [row for row in rows if row[2] not in GRID_SILENCE]
    spans = tuple((int(row[0]) / GRID_UNITS, int(row[1]) / GRID_UNITS) for row in said)
    return Transcript(tuple(row[2].lower() for row in said), spans)


def _text(lines: list[str]) -> Transcript:
    if not lines or not lines[0].lower().startswith(LRS_TEXT):
        return Transcript(tuple(" ".join(lines).lower().split()))
    words = tuple(lines[0][len(LRS_TEXT) :].lower().split())
    heads = [number for number, line in enumerate(lines) if line.lower().startswith(LRS_WORDS)]
    if not heads:
        return Transcript(words)
    rows = [line.split() for line in lines[heads[0] + 1 :] if line.strip()]
    if tuple(row[0].lower() for row in rows) != words:
        raise ValueError("the words with times are not those of its text")
    return Transcript(words, tuple((float(row[1]), float(row[2])) for row in rows))


READERS: dict[str, Callable[[list[str]], Transcript]] = {".align": _grid, ".txt": _text}
