"""Whose voices a file holds: the faces in it from left to right, and what each looks like chunk by
chunk."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from avsync.pipelines.separate.overlap_add import Seen
from avsync.scoring.decision import MIN_FACE_PX, MIN_TRACK_S, TrackExtent
from avsync.scoring.engine import CroppedTick
from avsync.scoring.result import Interval, Reason
from avsync.timing import FPS

# A face that is lost for no longer is held to be there: it was turned away, or hidden by a hand.
BRIDGED_S = 1.0
# Beyond what is seen of a face its voice fades over this.
FADE_S = 0.2
# Two tracks of one place may lie over one another by this: a face that is lost and found again.
SHARED_S = 0.5


class Person(NamedTuple):
    """One place in the frame, counted from the left: the faces seen there one after another.

    `box` is their median x0, y0, x1, y1 in pixels of the upright frame, `seen` when one of them
    is in it, in seconds from the first frame.
    """

    number: int
    tracks: tuple[TrackExtent, ...]
    seen: tuple[Interval, ...]
    box: tuple[float, float, float, float]


def people_of(faces: Mapping[int, TrackExtent]) -> tuple[list[Person], Reason | None]:
    """Return the people in a file from left to right; where there are none, the reason.

    Faces that are in view together are different people. After a cut nobody says who is who: a new
    face takes the free place that is nearest in the frame.
    """
    large = [face for face in faces.values() if face.width_px >= MIN_FACE_PX]
    long = [face for face in large if face.end_s - face.start_s >= MIN_TRACK_S]
    if not long:
        return [], "too_short" if large else "face_too_small" if faces else "no_face"
    places: list[list[TrackExtent]] = []
    for face in sorted(long, key=lambda face: (face.start_s, face.track)):
        free = [place for place in places if place[-1].end_s <= face.start_s + SHARED_S]
        if free:
            min(free, key=lambda place: abs(_middle(place[-1]) - _middle(face))).append(face)
        else:
            places.append([face])
    places.sort(key=_place)
    return [_person(number, place) for number, place in enumerate(places)], None


def chosen(people: Sequence[Person], who: str) -> list[Person]:
    """Those that are meant: `all`, `left`, `right` or a number from 0; none where there are fewer.

    ValueError for any other word.
    """
    check_who(who)
    if who == "all":
        return list(people)
    number = {"left": 0, "right": len(people) - 1}.get(who)
    number = int(who) if number is None else number
    return [person for person in people if person.number == number]


def check_who(who: str) -> None:
    """ValueError unless the word chooses people."""
    if who not in ("all", "left", "right") and not (who.isascii() and who.isdigit()):
        raise ValueError(f"who must be all, left, right or a number from 0, got {who!r}")


class SeenFaces:
    """The chosen people's crops, chunk by chunk, from ticks that come in once.

    Args:
        people: whose.
        ticks: crops in order, by track.
        duration_s: of the video.
    """

    def __init__(
        self, people: Sequence[Person], ticks: Iterable[CroppedTick], duration_s: float
    ) -> None:
        self.people, self.ticks = people, iter(ticks)
        self.owner = {track.track: k for k, each in enumerate(people) for track in each.tracks}
        self.knots = [_knots(person.seen, duration_s) for person in people]
        self.held: list[dict[int, np.ndarray]] = [{} for _ in people]
        self.reached = -1

    def over(self, first: int, count: int, samples: int, rate: int) -> list[Seen | None]:
        """Return each person over a chunk, as `Faces` says; `first` must not fall."""
        self._read_to(first, first + count)
        times_s = first / FPS + np.arange(samples) / rate
        return [
            _seen(crops, knots, first, count, times_s)
            for crops, knots in zip(self.held, self.knots, strict=True)
        ]

    def _read_to(self, first: int, end: int) -> None:
        self.held = [{n: crop for n, crop in crops.items() if n >= first} for crops in self.held]
        while self.reached < end - 1 and (tick := next(self.ticks, None)) is not None:
            self.reached = tick.number
            if tick.number < first:
                continue
            for track, crop in tick.crops.items():
                if track in self.owner:
                    self.held[self.owner[track]][tick.number] = crop


class NoFaces:
    """For a task that looks at no face: one voice, all along."""

    def over(self, first: int, count: int, samples: int, rate: int) -> list[Seen | None]:
        """As `Faces` says."""
        return [Seen(None, np.ones(samples, np.float32))]


def _seen(
    crops: Mapping[int, np.ndarray],
    knots: np.ndarray,
    first: int,
    count: int,
    times_s: np.ndarray,
) -> Seen | None:
    kept = np.interp(times_s, *knots).astype(np.float32)
    there = np.array([n for n in sorted(crops) if n < first + count])
    if not len(there) or not kept.any():
        return None
    # Where the face is not seen, it looks as it did at the nearest moment.
    wanted = np.arange(first, first + count)
    after = np.clip(np.searchsorted(there, wanted), 0, len(there) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(there[before] - wanted) <= np.abs(there[after] - wanted)
    shown = there[np.where(nearer, before, after)]
    return Seen(np.stack([crops[n] for n in shown.tolist()]), kept)


def _knots(seen: Sequence[Interval], duration_s: float) -> np.ndarray:
    """When a voice is kept `(2, 4 S)`: times in seconds and shares, lines between them."""
    times: list[float] = []
    for start_s, end_s in seen:
        # The audio may begin before the frames or outlast them by a little.
        begin = start_s - (BRIDGED_S if start_s < BRIDGED_S else 0)
        end = end_s + (BRIDGED_S if end_s > duration_s - BRIDGED_S else 0)
        times += [begin - FADE_S, begin, end, end + FADE_S]
    return np.array([times, [0, 1, 1, 0] * len(seen)], dtype=np.float64)


def _person(number: int, place: Sequence[TrackExtent]) -> Person:
    seen: list[Interval] = []
    for face in place:
        start_s, end_s = face.start_s, face.end_s
        if seen and start_s - seen[-1][1] <= BRIDGED_S:
            start_s, before = seen.pop()
            end_s = max(end_s, before)
        seen.append((start_s, end_s))
    x0, y0, x1, y1 = np.median([face.box for face in place], axis=0).tolist()
    return Person(number, tuple(place), tuple(seen), (x0, y0, x1, y1))


def _middle(face: TrackExtent) -> float:
    return (face.box[0] + face.box[2]) / 2


def _place(place: Sequence[TrackExtent]) -> float:
    """Return how far to the right a place is: the mean over the time its faces are in view."""
    lengths = [face.end_s - face.start_s for face in place]
    return float(np.average([_middle(face) for face in place], weights=lengths))
