"""Names and prose use the field's words: CONTRIBUTING.md says which, and what they replace."""

import ast
import io
import json
import re
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SNAPSHOTS = Path(__file__).parent / "snapshots"
FILES = sorted((ROOT / "avsync").rglob("*.py")) + sorted((ROOT / "benchmarks").rglob("*.py"))

# What replaces it stands in CONTRIBUTING.md.
WORDS = {
    "picture", "pictures", "sound", "sounds", "film", "films", "told", "tells", "heard", "hears",
    "place", "places", "anew", "alike", "company", "stretch", "stretches", "piece", "pieces",
    "span", "spans", "meeting", "eats", "course",
}  # fmt: skip
NAMES = {
    "each", "some", "entries", "entry", "hint", "hints", "taught", "guide", "alarm",
    "quiet", "paste", "ahead", "far", "sharpness", "performance", "stage",
}  # fmt: skip
# Old names that stay because others hold them: checkpoint keys, keys of recorded results; and names
# of papers. Flags, JSON keys and config keys are read from the snapshots.
QUOTED = {
    "film", "Film", "FitNetsHintLoss", "places", "video_places", "audio_places",
    "first_picture_ms", "hint",
}  # fmt: skip
# Terms that contain such a word: of profiles, papers, phonetics, MPEG, and of names on record.
TERMS = (
    r"atsc(,| or) film|film practice|FiLM|\bfilm:|Sound (Separation|of)|Universal Sound"
    r"|speech sounds?|\bin[\s-]+place|start codes of MPEG.*|\S+-anew-\S+"
)


def parts(name):
    """The words of an identifier, lower case: `SoundFile_of` -> sound, file, of."""
    return [p.lower() for p in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def words_of(value):
    """All strings in nested JSON, keys and values."""
    if isinstance(value, dict):
        return {*value, *(w for v in value.values() for w in words_of(v))}
    if isinstance(value, list):
        return {w for v in value for w in words_of(v)}
    return {value} if isinstance(value, str) else set()


def names_held():
    """Identifiers that flags, JSON results, configs and checkpoints hold."""
    found = set(QUOTED)
    for name in ("flags", "json_results", "json_commands", "models", "checkpoints"):
        for text in words_of(json.loads((SNAPSHOTS / f"{name}.json").read_text())):
            found |= {word.replace("-", "_") for word in re.findall(r"[A-Za-z][\w-]*", text)}
    return found


@pytest.fixture(scope="module")
def held():
    return names_held()


def identifiers(source):
    """Names that a file defines: functions, classes, parameters, attributes and variables."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def prose(source):
    """Docstrings, messages and comments of a file: strings of three words and more."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and len(str(node.value).split()) >= 3:
            yield str(node.value), node.lineno
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string, token.start[0]


def dialect(source, held):
    """Every name and every word of prose that the style guide replaces, as `line: word`."""
    found = []
    for name, line in identifiers(source):
        if name.strip("_") not in held and set(parts(name)) & (WORDS | NAMES):
            found.append(f"{line}: {name}")
    pattern = re.compile(rf"\b({'|'.join(sorted(WORDS))}|so many)\b", re.IGNORECASE)
    for text, line in prose(source):
        plain = re.sub(rf"``?[^`]*``?|{TERMS}", "", text)
        found += [f"{line}: {word} ({plain.strip()[:60]!r})" for word in pattern.findall(plain)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_docstrings_use_the_fields_words(path, held):
    assert not dialect(path.read_text(), held)


def test_dialect_is_seen_in_names_docstrings_and_comments(held):
    source = (
        'def keep_sound(each):\n    """Return a film."""\n    # so many\n    quoted = "`place`"\n'
    )
    assert [line.split(" (")[0] for line in dialect(source, held)] == [
        "1: keep_sound",
        "1: each",
        "2: film",
        "3: so many",
    ]


def main(folders):
    """Print what stands in the given files or folders."""
    held = names_held()
    for path in [
        p for f in folders for p in ([Path(f)] if f.endswith(".py") else Path(f).rglob("*.py"))
    ]:
        for line in dialect(path.read_text(), held):
            print(f"{path}:{line}")


if __name__ == "__main__":
    main(sys.argv[1:])
