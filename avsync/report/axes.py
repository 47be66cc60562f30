"""Axis ticks, and the formatting of numbers and times beside them."""

import math
from typing import NamedTuple

STEPS_MS = (5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000)
STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


class Tick(NamedTuple):
    """Position of an axis tick, in percent across or in pixels from the top, and its label."""

    at: float
    label: str


def step_ms(reach_ms: float, most: int) -> float:
    """Return the smallest round step that divides a reach into no more than `most` parts."""
    return next((step for step in STEPS_MS if reach_ms / step <= most), STEPS_MS[-1])


def multiples(low: float, high: float, step: float) -> list[float]:
    """Return the multiples of a step from low to high."""
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def time_ticks(end_s: float) -> list[Tick]:
    """Return ticks at round times from 0 to `end_s`, in percent; at most 11 up to 40 hours."""
    step = next((step for step in STEPS_S if end_s / step <= 10), STEPS_S[-1])
    digits = 0 if step >= 1 else 1
    count = math.floor(end_s / step + 1e-9)
    return [
        Tick(round(100 * k * step / end_s, 2), clock(k * step, digits)) for k in range(count + 1)
    ]


def signed_ms(value: float, digits: int = 1) -> str:
    """Format a number with its sign: `+83.0`, `-60` with a true minus sign, `0` without any."""
    rounded = round(value, digits)
    sign = "+" if rounded > 0 else "\N{MINUS SIGN}" if rounded < 0 else ""
    return f"{sign}{abs(rounded):.{digits}f}"


def clock(t_s: float, digits: int = 0) -> str:
    """Format a time in seconds as `0:07` or `1:02:05.5`."""
    whole, fraction = divmod(round(t_s * 10**digits), 10**digits)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    tail = f".{fraction:0{digits}d}" if digits else ""
    if hours:
        return f"{hours}:{minutes:02d}:{seconds:02d}{tail}"
    return f"{minutes}:{seconds:02d}{tail}"
