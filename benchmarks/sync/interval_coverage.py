"""Measure width and coverage of the interval by seconds of speech, on people never trained on.

    python benchmarks/sync/interval_coverage.py --model face_sync --weights FILE --data GRID_STORE \
        --splits FILE --people STORE TABLE --speaker STORE grid_s4

Clips of one person are cut into excerpts of 3 s; these are drawn, joined to 3, 10, 30 and 60 s and
shifted. The truth is the shift plus the constant of the recording, which is not known exactly
for anyone: it is estimated from all other speech of the person, shifted too, and the error of
that estimate is added to the interval in quadrature. Clips of GRID were cut apart at whole frames
and differ by some 12 ms among themselves (docs/concepts/grid_offset.md); that counts as error here.

`--data` gives the test split of GRID s1, `--people` the clips that a clean table moves, `--speaker`
all clips of a store whose name holds a text, as one person.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.pipelines.check.check_file import load_model
from avsync.scoring.decision import MIN_CONFIDENCE
from avsync.scoring.offset_error import interval
from avsync.scoring.peak import confidence
from avsync.tasks.calibration import Calibration, calibration_of
from avsync.timing import is_borderline, judge, tolerance
from benchmarks.record import machine, write_record
from benchmarks.sync.joined_speech import (
    Excerpt,
    ScoredClip,
    by_person,
    measure_joined,
    score_clips,
    seconds_of,
    take,
)

LENGTHS_S = (3.0, 10.0, 30.0, 60.0)
# Draws of each length, and of each person at least.
DRAWS, MIN_DRAWS = 100, 10
# The constant must rest on as many seconds as this share of the speech that is tested.
MIN_REST = 0.5
PROFILE = tolerance("atsc")
# Offsets between the limits of the profile and the nearest that is clearly out of it.
IN_TOLERANCE_MS, OUT_OF_TOLERANCE_MS = (0.0, -15.0, -30.0), (30.0, -60.0)


class Draw(NamedTuple):
    """One joined speech: half its interval, its error, and half the interval of the constant.

    `answered` is whether the confidence is enough for an offset; `error_ms` is None where too
    little other speech is left to estimate the constant from.
    """

    half_ms: float
    error_ms: float | None
    rest_half_ms: float
    answered: bool

    @property
    def covered(self) -> bool:
        return self.error_ms is not None and abs(self.error_ms) <= np.hypot(
            self.half_ms, self.rest_half_ms
        )


def draw_speech(
    excerpts: list[Excerpt], seconds: float, calibration: Calibration, rng: np.random.Generator
) -> Draw | None:
    """Draw speech of a length, and compare its offset with that of the person's other speech."""
    order = [excerpts[index] for index in rng.permutation(len(excerpts))]
    speech = take(order, seconds)
    if seconds_of(speech) < 0.95 * seconds:
        return None
    rest = order[len(speech) :]
    found = measure_joined(speech, rng)
    if found is None:
        return None
    low, high = interval(found.peak, calibration, found.error)
    answered = confidence(found.peak, calibration) >= MIN_CONFIDENCE
    other = measure_joined(rest, rng) if seconds_of(rest) >= MIN_REST * seconds else None
    if other is None:
        return Draw((high - low) / 2, None, 0.0, answered)
    rest_low, rest_high = interval(other.peak, calibration, other.error)
    error_ms = found.own_ms - other.own_ms
    return Draw((high - low) / 2, error_ms, (rest_high - rest_low) / 2, answered)


def figures_of(draws: list[Draw], people: int, groups: int) -> dict[str, Any]:
    """Return width, coverage and the verdicts of the profile of draws of one length."""
    answered = [draw for draw in draws if draw.answered]
    known = [draw for draw in answered if draw.error_ms is not None]
    errors = np.array([abs(draw.error_ms or 0.0) for draw in known])
    halves = np.array([draw.half_ms for draw in answered])
    figures: dict[str, Any] = {
        "people": people,
        "draws": len(draws),
        "disjoint_draws": groups,
        "answered": round(len(answered) / len(draws), 3),
        "half_interval_ms": round(float(np.median(halves)), 1) if len(halves) else None,
        "coverage": None,
    }
    if len(known):
        rest = np.median([draw.rest_half_ms for draw in known])
        figures |= {
            "coverage": round(float(np.mean([draw.covered for draw in known])), 3),
            "error_90_ms": round(float(np.quantile(errors, 0.9)), 1),
            "half_interval_of_constant_ms": round(float(rest), 1),
            "atsc": verdicts(known),
        }
    return figures


def verdicts(draws: list[Draw]) -> dict[str, float]:
    """Return by true offset the share of right verdicts that are not borderline."""
    shares = {}
    for truth_ms in IN_TOLERANCE_MS + OUT_OF_TOLERANCE_MS:
        right = [
            judge(at_ms, PROFILE) == judge(truth_ms, PROFILE)
            and not is_borderline((at_ms - draw.half_ms, at_ms + draw.half_ms), PROFILE)
            for draw in draws
            for at_ms in [truth_ms + (draw.error_ms or 0.0)]
        ]
        shares[f"{truth_ms:+.0f} ms"] = round(float(np.mean(right)), 3)
    return shares


def measure_coverage(clips: list[ScoredClip], calibration: Calibration) -> dict[str, Any]:
    """Return the figures by length of speech, of all people who have enough of it."""
    figures, people = {}, by_person(clips)
    for seconds in LENGTHS_S:
        rng, draws, groups, count = np.random.default_rng(0), [], 0, 0
        for excerpts in people.values():
            many = max(DRAWS // len(people), MIN_DRAWS)
            drawn = [draw_speech(excerpts, seconds, calibration, rng) for _ in range(many)]
            found = [draw for draw in drawn if draw is not None]
            draws += found
            count += bool(found)
            groups += int(seconds_of(excerpts) / seconds) if found else 0
        if draws:
            figures[f"{seconds:g} s"] = figures_of(draws, count, groups)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    pair = {"nargs": 2, "action": "append", "default": []}
    parser.add_argument("--model", default="face_sync")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="store of GRID s1")
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--people", metavar=("STORE", "TABLE"), **pair)
    parser.add_argument("--speaker", metavar=("STORE", "NAME"), **pair)
    arguments = parser.parse_args()
    model = load_model(arguments.model, arguments.weights)
    calibration = calibration_of(model)
    grid = Store(arguments.data)
    test = [grid[index] for index in clips_of_split(grid, arguments.splits, "test")]
    scored = {"grid s1 test": score_clips(model, test, [0.0] * len(test), "grid s1")}
    for path, name in arguments.speaker:
        clips = [clip for clip in Store(path) if name in clip.id]
        scored[name] = score_clips(model, clips, [0.0] * len(clips), name)
    people: list[ScoredClip] = []
    for path, table in arguments.people:
        store, moved_ms = Store(path), read_clean_lists([table]).moved_ms
        moved = [clip for clip in store if clip.id in moved_ms]
        people += score_clips(model, moved, [moved_ms[clip.id] for clip in moved])
    if people:
        scored["validation people"] = people
    figures = {name: measure_coverage(clips, calibration) for name, clips in scored.items()}
    for name, rows in figures.items():
        print(name, *(f"{length}: {row}" for length, row in rows.items()), sep="\n  ")
    print(machine())
    write_record(
        "sync/interval_coverage",
        {"model": arguments.model, "calibration": calibration.__dict__, "seed": 0, **figures},
    )


if __name__ == "__main__":
    main()
