"""Texts of a result: headline, meaning, what to do and with which command."""

import shlex
from pathlib import Path
from typing import Literal, NamedTuple

from avsync.pipelines.check.check_file import MAX_SEARCH_S
from avsync.pipelines.check.messages import printable
from avsync.pipelines.fix.plan import repair_doubt
from avsync.report.fault_text import (
    REPAIRS,
    describe_trajectory,
    headline,
    moving_fault,
    out_of_tolerance,
)
from avsync.scoring.result import CheckResult, Fault, TrackResult
from avsync.timing import Tolerance, describe_offset, judge, tolerance

Tone = Literal["good", "bad", "unsure", "broken"]

SIGNS = {"good": "✓", "bad": "!", "unsure": "?", "broken": "\N{MULTIPLICATION SIGN}"}

REASONS = {
    "no_face": "no face was found",
    "face_too_small": "the face is too small",
    "too_short": "the face is in view for too short a time",
    "silence": "there is no speech",
    "too_quiet": "the audio is too quiet",
    "invalid_audio": "the audio samples are invalid",
    "still_lips": "the lips do not move",
    "music": "the audio is music, with no speech that matches these lips",
    "no_match": "this speech does not match these lips",
    "out_of_range": "the offset is beyond the search range",
    "inconsistent": "parts of the speech match at different offsets",
    "incomplete": "a part of the video could not be read",
    "no_video_stream": "the file has no video",
    "no_audio_stream": "the file has no audio",
    "damaged": "the file is damaged or not a video",
}

WHAT_TO_TRY = {
    "no_face": (
        "The audio is compared with the lips, so a face must be in view, turned towards the "
        "camera, with the mouth uncovered. Check a part in which someone speaks on camera."
    ),
    "face_too_small": (
        "Check the version with the highest resolution you have, or a closer shot: the face "
        "should be at least 32 pixels wide, and 80 or more is better."
    ),
    "too_short": (
        "Check a longer part: a face must speak on camera for at least a second, and ten seconds "
        "give a much surer answer."
    ),
    "silence": (
        "Play the file and listen. If the speech is on another audio track, or the audio was muted "
        "in the export, check a version in which the speech is on the first track."
    ),
    "too_quiet": (
        "Raise the level of the audio by 20 dB or more and check again, or check a version in "
        "which the speech has a usual level."
    ),
    "invalid_audio": (
        "Export the audio again: samples that are not numbers, or far beyond full scale, come from "
        "a faulty export."
    ),
    "still_lips": (
        "Someone else may be talking, or the image may be a photograph or frozen. Check a part "
        "in which the person on screen speaks."
    ),
    "music": (
        "The speech may be on another track, or too low in the mix. Check a version in which it is "
        "audible, or a part without music."
    ),
    "no_match": (
        "That is usual for dubbing, voice-over, playback and swapped audio. If the right speech is "
        "there but the offset may be larger, search wider."
    ),
    "out_of_range": "The best match lies outside the search range. Search wider.",
    "inconsistent": "Look at the timeline, and check the parts on their own.",
    "incomplete": (
        "Play the file to the end. If it stops early or shows damage, copy or export it again."
    ),
    "no_video_stream": (
        "An audio file alone cannot be checked. Give the file that contains both video and audio."
    ),
    "no_audio_stream": (
        "Give the file that contains both video and audio, or put the audio back into this one."
    ),
    "damaged": (
        "Play the file in another program. If it does not play there either, copy or export it "
        "again."
    ),
}


NOTHING = "Nothing needs repair."


class Command(NamedTuple):
    """A command line to copy, its purpose, and the reason why it would refuse, if it would."""

    purpose: str
    line: str
    refusal: str | None = None


class Advice(NamedTuple):
    """Texts at the top of a file's report."""

    tone: Tone
    headline: str
    meaning: str
    todo: str
    command: Command | None


def advise(result: CheckResult) -> Advice:
    """Return the texts for one result."""
    if result.status == "unreadable":
        reason = result.reason or "damaged"
        return Advice("broken", "Unreadable", _cause(result), WHAT_TO_TRY[reason], None)
    if result.status == "cannot_tell" or result.offset_ms is None:
        todo = WHAT_TO_TRY[result.reason] if result.reason else "Check another part of the file."
        return Advice("unsure", "Cannot tell", _cause(result), todo, _wider_search(result))
    return _in_numbers(result, result.offset_ms)


def tone_of(result: CheckResult | TrackResult, limits: Tolerance) -> Tone:
    """Return the tone of a result, or of one track of it."""
    if isinstance(result, CheckResult) and result.status == "ok":
        return advise(result).tone
    if result.status == "unreadable":
        return "broken"
    if result.offset_ms is None:
        return "unsure"
    return "good" if judge(result.offset_ms, limits) == "in_sync" else "bad"


def in_words(result: CheckResult | TrackResult) -> str:
    """Return a short phrase: `Audio leads by 83 ms`, `Cannot tell: the lips do not move`."""
    fault = moving_fault(result) if isinstance(result, CheckResult) else None
    if fault is not None:
        return headline(fault)
    if result.status == "ok" and result.offset_ms is not None:
        return _sentence(describe_offset(result.offset_ms))
    start = "Unreadable" if result.status == "unreadable" else "Cannot tell"
    return f"{start}: {REASONS[result.reason]}" if result.reason else start


def limits_in_words(limits: Tolerance) -> str:
    """Return a sentence: `EBU R37 tolerates audio up to 40 ms early and 60 ms late`."""
    early, late = f"{limits.early_ms:g} ms early", f"{limits.late_ms:g} ms late"
    return f"{limits.source} tolerates audio up to {early} and {late}"


def _in_numbers(result: CheckResult, offset_ms: float) -> Advice:
    words = _sentence(describe_offset(offset_ms))
    allowed = limits_in_words(tolerance(result.profile))
    fault = moving_fault(result)
    if fault is not None:
        return _moving(result, fault, allowed)
    if result.verdict == "in_sync":
        meaning = f"{words}. That is in tolerance: {allowed}."
        return Advice("good", "In sync", meaning, _while_in_sync(result), _fix(result))
    early = result.verdict == "audio_leads"
    meaning = f"The speech comes {'before' if early else 'after'} the lips move."
    todo = f"{'Delay' if early else 'Advance'} the audio by {abs(offset_ms):.0f} ms."
    if result.borderline:
        todo = f"Borderline: the interval reaches into tolerance. To be safe, {_inner(todo)}"
    elif result.absolute_borderline:
        todo = f"{_zero_doubt(result)} To be safe, {_inner(todo)}"
    if repair_doubt(result):
        todo += " But look at the timeline first."
    return Advice("bad", words, f"Out of tolerance: {allowed}. {meaning}", todo, _fix(result))


def _moving(result: CheckResult, fault: Fault, allowed: str) -> Advice:
    out = out_of_tolerance(fault, result.duration_s)
    meaning = f"{describe_trajectory(fault)} {out or 'That is in tolerance all along'}"
    meaning = f"{meaning.rstrip('.')}: {allowed}."
    if result.verdict == "in_sync":
        todo = "Look at the timeline." if out else NOTHING
        return Advice("good", "In sync", f"{headline(fault)}. {meaning}", todo, None)
    command = _fix(result, re_encodes=True) if fault.kind != "intermittent" else None
    return Advice("bad", headline(fault), meaning, REPAIRS[fault.kind], command)


def _while_in_sync(result: CheckResult) -> str:
    if result.borderline:
        return (
            "Borderline: the interval reaches over the limit. Check a longer part before you pass "
            "the file, or repair it now."
        )
    cause = repair_doubt(result)
    if cause is None and result.absolute_borderline:
        return _zero_doubt(result)
    return f"Look at the timeline: {cause}." if cause else NOTHING


def describe_zero(result: CheckResult) -> str | None:
    """Return what a result is relative to, in sentences; None where it was not determined."""
    interval_ms, zero_ms = result.absolute_interval_ms, result.zero_uncertainty_ms
    if interval_ms is None or zero_ms is None:
        return None
    low, high = (f"{end:+.0f}" for end in interval_ms)
    words = (
        f"The interval is the measuring error. The model's zero itself is known to {zero_ms:.0f} "
        f"ms either way; with it, {low} to {high} ms."
    )
    if result.source_spread_ms is None:
        return words
    return (
        f"{words} Of recordings whose audio nobody moved, nine of ten lie within "
        f"{result.source_spread_ms:.0f} ms of it."
    )


def _zero_doubt(result: CheckResult) -> str:
    return (
        "The interval lies on one side of the limit, but not with the "
        f"{result.zero_uncertainty_ms:.0f} ms to which the model's zero is known: compare with a "
        "file that is known to be in sync."
    )


def _fix(result: CheckResult, *, re_encodes: bool = False) -> Command | None:
    wanted = result.verdict != "in_sync" or result.borderline
    if not (wanted or re_encodes) or not _can_be_typed(result.file):
        return None
    source = Path(result.file)
    fixed = source.with_name(f"{source.stem}_fixed{source.suffix}") if source.name else source
    line = f"avsync fix {_argument(result.file)} -o {_argument(str(fixed))}"
    how = "with its audio re-encoded" if re_encodes else "without re-encoding"
    purpose = f"Writes a corrected copy {how} and measures it again"
    return Command(purpose, line, repair_doubt(result))


def _wider_search(result: CheckResult) -> Command | None:
    wider_s = min(3 * result.search_s, MAX_SEARCH_S)
    may_help = result.reason in ("no_match", "out_of_range") and wider_s > result.search_s
    if not may_help or not _can_be_typed(result.file):
        return None
    line = f"avsync check {_argument(result.file)} --search {wider_s:g}"
    return Command(f"Searches {wider_s:g} s either way", line)


def _can_be_typed(path: str) -> bool:
    return printable(path) == path


def _argument(path: str) -> str:
    # A name that begins with a dash would be parsed as an option.
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def _cause(result: CheckResult) -> str:
    cause = result.detail or (REASONS[result.reason] if result.reason else "no answer was found")
    return _sentence(cause).rstrip(".") + "."


def _inner(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
