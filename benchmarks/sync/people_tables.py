"""Write the splits and clean tables of the clips of people: who is trained on, and moved by what.

    python benchmarks/sync/people_tables.py --people ../shared/data/people --store STORE -o FOLDER
        [--measured TABLE]

People are split by person. `val` are 20 of them, chosen once (`VALIDATION`); `open` are those whose
licence allows weights for everyone, and `research` are all others as well. Of GRID's speakers only
those are used whose faces are not in `grid_other_speakers`, the test (`GRID_SPEAKERS`). Sources
carry offsets of their own, so every clip is moved by its offset: by the estimate in people.tsv, or
by the answers of a model (`avsync audit --clean`, `--measured`). Clips without a sure offset are
dropped; those of GRID stay as they are, since GRID's offset is what all others are moved to.

Written are splits.json, open.csv and research.csv, the clean tables for
`avsync train face-sync --clean`, and val.csv, which moves the validation clips.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import NamedTuple

from avsync.data.store.curation import CleanRow, read_clean_lists, write_clean_list
from avsync.data.store.reader import Store

# One or more clips of each; five languages at least.
VALIDATION = (
    *("obama", "elospheres:T4", "lrs3:Sa27SUR0Mlo", "lrs3:ZJNESMhIxQ0", "lrs3:8UhqkX2VAmo"),
    *("lrs3:xTkKSJSqUSI", "lrs3:1PNX6MSdVsk", "lrs3:YyXRYgjQXX0", "vfhq:GX80GoZmROw"),
    *("tcdtimit-lipspeaker:1", "yt:0IEYKinDZyc", "lip2wav:dl", "lip2wav:dl2"),
    *("talkvid:Gender/male_2", "talkvid:Gender/male_3", "talkvid:Age/46-60_1"),
    *("talkvid:Age/19-30_1", "avcrossnet:E1", "easycom:Session_4_b", "vox2:id00365"),
)
OPEN_CLASSES = ("A", "A?")
# All clips of both folders were looked at side by side: s2, s4 and "e" are in the test, and "d" is
# s1, whose own splits apply.
GRID_SPEAKERS = ("grid:a", "grid:b", "grid:c", "grid:f", "grid:g", "grid:h", "grid:s29")
# Peaks of the estimates in people.tsv, in standard deviations, and confidences of measured ones.
MIN_PEAK, MIN_CONFIDENCE = 3.5, 0.8


class Person(NamedTuple):
    """A row of people.tsv: a clip, its speaker, its licence class, and its offset if it is sure."""

    file: str
    speaker: str
    licence_class: str
    offset_ms: float | None


def read_people(path: Path) -> list[Person]:
    """Read people.tsv."""
    with path.open(newline="") as file:
        return [
            Person(
                row["file"],
                row["speaker"],
                row["licence_class"],
                float(row["offset_ms"])
                if row["offset_ms"] and float(row["peak"] or 0) > MIN_PEAK
                else None,
            )
            for row in csv.DictReader(file, delimiter="\t")
        ]


def group_of(person: Person) -> str:
    """Return `val`, `open` or `research`; `left out` for other speakers of GRID."""
    if person.speaker in VALIDATION:
        return "val"
    if person.speaker.startswith("grid:") and person.speaker not in GRID_SPEAKERS:
        return "left out"
    return "open" if person.licence_class in OPEN_CLASSES else "research"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--measured", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    people = {person.file: person for person in read_people(arguments.people / "people.tsv")}
    measured = read_measured(arguments.measured) if arguments.measured else None
    clips = [
        (row.id, row.source, people[row.source.rpartition("/")[2]])
        for row in Store(arguments.store).rows
    ]
    arguments.output.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[str]] = {}
    for _, source, person in clips:
        stem = source.rpartition("/")[2].rpartition(".")[0]
        groups.setdefault(group_of(person), []).append(stem)
    splits = {name: sorted(set(names)) for name, names in groups.items() if name != "left out"}
    (arguments.output / "splits.json").write_text(json.dumps(splits, indent=1) + "\n")
    for table, chosen in (
        ("open", ("open",)),
        ("research", ("open", "research")),
        ("val", ("val",)),
    ):
        rows = []
        for clip, source, person in clips:
            offset_ms = person.offset_ms if measured is None else measured.get(clip)
            if person.speaker in GRID_SPEAKERS:
                offset_ms = 0.0
            used = group_of(person) in chosen and offset_ms is not None
            why = group_of(person) if offset_ms is not None else "the offset is not sure"
            rows.append(
                CleanRow(clip, source, "move", offset_ms, 1.0, why)
                if used
                else CleanRow(clip, source, "drop", None, 1.0, why)
            )
        write_clean_list(arguments.output / f"{table}.csv", rows, overwrite=True)
        moved = read_clean_lists([arguments.output / f"{table}.csv"]).moved_ms
        speakers = {person.speaker for clip, _, person in clips if clip in moved}
        print(f"{table}: {len(moved)} clips of {len(speakers)} people")


def read_measured(path: Path) -> dict[str, float]:
    """Read the offsets that `avsync audit --clean` is sure of, in ms by clip."""
    with path.open(newline="") as file:
        return {
            row["clip"]: float(row["offset_ms"])
            for row in csv.DictReader(file)
            if row["offset_ms"] and float(row["confidence"]) >= MIN_CONFIDENCE
        }


if __name__ == "__main__":
    main()
