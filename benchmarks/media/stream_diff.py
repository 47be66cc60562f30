"""Measure what a shifted copy loses of its source, in containers and contents as users have them.

    python benchmarks/media/stream_diff.py [--only WORD]

Inputs are made by ffmpeg; each is copied with its audio shifted by +120 and by -200 ms, and with
several audio streams also with one of them shifted. The copy is judged by ffprobe (every field of
file and streams), by cross-correlation of the audio that ffmpeg decodes, by what ffmpeg, mkvmerge
and mediainfo complain of. A loss that is named in the result, or refused, is no fault.
"""

import argparse
import re
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

from avsync.media.writers.remux import shift_audio
from avsync.media.writers.retime import forecast_copy
from benchmarks.media.copy_cases import CASES, Case, make
from benchmarks.media.copy_judges import (
    complaints,
    losses,
    missing_tools,
    offset_ms,
    probe,
    structure_complaints,
)
from benchmarks.record import machine, write_record

SHIFTS_MS = (120.0, -200.0)


class Outcome(NamedTuple):
    """A judged copy.

    Args:
        case: group, name and extensions.
        shift_ms: shifts by audio position.
        left_out: what the writer names.
        faults: what is lost unnamed, wrong, or complained of.
        refused: the message of a refusal.
    """

    case: str
    shift_ms: dict[int, float]
    left_out: tuple[str, ...]
    faults: tuple[str, ...]
    refused: str = ""


def judge_case(case: Case, folder: Path) -> list[Outcome]:
    """Make the input of a case, copy it with each shift, and judge the copies."""
    source = make(case, folder)
    name = f"{case.group}: {case.name} {case.source}{case.target and ' to ' + case.target}"
    everywhere = [dict.fromkeys(range(case.audio), shift) for shift in SHIFTS_MS]
    single = [{case.audio - 1: 120.0}] if case.audio > 1 else []
    outcomes = []
    for shifts in (*everywhere, *single):
        copy = folder / f"copy{case.target or case.source}"
        copy.unlink(missing_ok=True)
        outcomes.append(judge_copy(case, name, source, copy, shifts))
    return outcomes


def judge_copy(
    case: Case, name: str, source: Path, copy: Path, shifts: dict[int, float]
) -> Outcome:
    """Copy a file with its audio shifted, and judge the copy."""
    try:
        foreseen: object = forecast_copy(source, copy, encode=False).left_out
    except RuntimeError as refusal:
        foreseen = str(refusal)
    try:
        left_out = shift_audio(source, copy, shifts)
    except RuntimeError as refusal:
        expected = case.refused and case.refused in str(refusal)
        faults = () if expected else (f"refused: {refusal}",)
        faults += () if foreseen == str(refusal) else (f"forecast: {foreseen}",)
        return Outcome(name, shifts, (), faults, str(refusal))
    except Exception:
        return Outcome(name, shifts, (), (traceback.format_exc(limit=-2),))
    faults = () if foreseen == left_out else (f"forecast: {foreseen}, done: {left_out}",)
    if case.refused:
        faults += (f"not refused: {case.refused}",)
    return Outcome(name, shifts, left_out, (*faults, *judge(case, source, copy, shifts, left_out)))


def judge(
    case: Case, source: Path, copy: Path, shifts: dict[int, float], left_out: tuple[str, ...]
) -> list[str]:
    """Return the faults of a copy."""
    lost = losses(probe(source), probe(copy), min(shifts.values()) / 1000)
    faults = [loss for loss in lost if not is_named(loss, left_out)]
    for position in range(case.audio):
        if ("apac" in case.name and position == 1) or ("scte35" in case.name and position == 1):
            continue  # No audio that ffmpeg decodes.
        expected = shifts.get(position, 0.0)
        measured = offset_ms(source, copy, position)
        if not abs(measured - expected) <= case.packets_ms:
            faults.append(f"audio {position} is shifted by {measured:.2f} ms, not {expected:.0f}")
    faults += sorted(complaints(copy) - complaints(source))
    return faults + sorted(structure_complaints(copy) - structure_complaints(source))


def is_named(loss: str, left_out: tuple[str, ...]) -> bool:
    """Whether a loss is named: by its stream and kind, or by the name of a tag or property."""
    stream = re.search(r"\(stream \d+\)", loss)
    tag = re.search(r"(?:tag|disposition|side data) (.+)$", loss)
    for words in left_out:
        if stream and stream[0] not in words:
            continue
        if tag and tag[1].lower() in words.lower():
            return True
        if not tag and (stream or loss in words):
            return True
    return False


def main() -> int:
    """Judge all cases; the exit code is 1 if any copy has a fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="judge the cases whose names hold this word")
    arguments = parser.parse_args()
    if missing := missing_tools():
        print(f"not installed: {', '.join(missing)}; the inputs are made and judged by them")
        return 2
    outcomes: list[Outcome] = []
    chosen = [case for case in CASES if arguments.only in f"{case.group} {case.name} {case.source}"]
    for case in chosen:
        with tempfile.TemporaryDirectory() as work:
            judged = judge_case(case, Path(work))
        outcomes += judged
        faults = list(dict.fromkeys(fault for outcome in judged for fault in outcome.faults))
        named = list(dict.fromkeys(what for outcome in judged for what in outcome.left_out))
        refused = "refused" if judged[0].refused else "copied"
        verdict = (
            f"FAULTS {faults}" if faults else f"{refused}{f', named {named}' if named else ''}"
        )
        print(f"{judged[0].case:<55} {verdict}", flush=True)
    faulty = sum(bool(outcome.faults) for outcome in outcomes)
    figures = {
        "pairs": len(chosen),
        "copies": len(outcomes),
        "faulty": faulty,
        "refused": sum(bool(outcome.refused) for outcome in outcomes),
        "copies_in_full": [outcome._asdict() for outcome in outcomes],
    }
    print({key: value for key, value in figures.items() if key != "copies_in_full"})
    print(machine())
    if not arguments.only:
        write_record("media/stream_diff", figures)
    return 1 if faulty else 0


if __name__ == "__main__":
    raise SystemExit(main())
