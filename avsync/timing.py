"""Frame and sample rates, the sign of an offset, and tolerance profiles.

This module alone defines what an offset means: **positive = the audio leads (it is early)**, as in
SyncNet's code and in the ITU and EBU recommendations. Offsets are in milliseconds.
"""

from typing import Literal, NamedTuple

Verdict = Literal["in_sync", "audio_leads", "audio_lags"]


def exact_div(numerator: int, denominator: int) -> int:
    """Divide two integers; ValueError if there is a remainder."""
    if denominator == 0 or numerator % denominator:
        raise ValueError(f"{numerator} does not divide by {denominator}")
    return numerator // denominator


FPS = 25
SAMPLE_RATE = 16000
SAMPLES_PER_FRAME = exact_div(SAMPLE_RATE, FPS)
FRAME_MS = exact_div(1000, FPS)


class Tolerance(NamedTuple):
    """How early or late audio may be before viewers notice or object, both positive, in ms."""

    name: str
    early_ms: float
    late_ms: float
    source: str


PROFILES = {
    profile.name: profile
    for profile in (
        Tolerance("ebu", 40, 60, "EBU R37"),
        Tolerance("itu", 45, 125, "ITU-R BT.1359 detectability"),
        Tolerance("itu-acceptable", 90, 185, "ITU-R BT.1359 acceptability"),
        Tolerance("atsc", 15, 45, "ATSC IS-191"),
        Tolerance("film", 22, 22, "film practice, about half a frame at 24 fps"),
    )
}
DEFAULT_PROFILE = "ebu"


def tolerance(profile: str) -> Tolerance:
    """Return the tolerance profile of a name; ValueError lists the names."""
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    return PROFILES[profile]


def judge(offset_ms: float, profile: Tolerance) -> Verdict:
    """Return the verdict on an offset; the limits themselves are in tolerance."""
    if offset_ms > profile.early_ms:
        return "audio_leads"
    if offset_ms < -profile.late_ms:
        return "audio_lags"
    return "in_sync"


def is_borderline(interval_ms: tuple[float, float], profile: Tolerance) -> bool:
    """Return whether the ends of an interval `(low, high)` of offsets get different verdicts."""
    low, high = interval_ms
    return judge(low, profile) != judge(high, profile)


def describe_offset(offset_ms: float) -> str:
    """Return an offset in words, such as `audio leads by 83 ms` or `audio lags by 40 ms`."""
    rounded = round(offset_ms)
    if rounded == 0:
        return "audio and video together"
    return f"audio {'leads' if rounded > 0 else 'lags'} by {abs(rounded)} ms"
