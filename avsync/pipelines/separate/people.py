"""Find the people in a video from their face tracks, from left to right, and stream their faces."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from avsync.pipelines.separate.overlap_add import FaceChunk
from avsync.scoring.decision import MIN_FACE_PX, MIN_TRACK_S, TrackExtent
from avsync.scoring.engine import CroppedTick
from avsync.scoring.result import Interval, Reason
from avsync.timing import FPS

# A face lost for at most this long counts as visible: it was turned away or occluded.
MAX_GAP_S = 1.0
# Voices fade in and out over this long outside the intervals in which the face is visible.
FADE_S = 0.2
# Tracks at one position may overlap by this: a face that is lost and found again.
MAX_OVERLAP_S = 0.5


class PersonTracks(NamedTuple):
    """One person: the face tracks at one position in the frame, one after another.

    Args:
        number: index of the position, from the left.
        tracks: face tracks in order of time.
        seen: intervals in which a face is visible, in seconds from the first frame.
        box: median x0, y0, x1, y1 of the tracks in pixels of the upright frame.
    """

    number: int
    tracks: tuple[TrackExtent, ...]
    seen: tuple[Interval, ...]
    box: tuple[float, float, float, float]


def find_people(
    faces: Mapping[int, TrackExtent],
) -> tuple[list[PersonTracks], Reason | None]:
    """Return the people in a video from left to right, and the reason if there are none.

    Faces visible together are different people. After a cut identities are unknown: a new face
    takes the free position that is nearest in the frame.
    """
    large = [face for face in faces.values() if face.width_px >= MIN_FACE_PX]
    long = [face for face in large if face.end_s - face.start_s >= MIN_TRACK_S]
    if not long:
        return [], "too_short" if large else "face_too_small" if faces else "no_face"
    positions: list[list[TrackExtent]] = []
    for face in sorted(long, key=lambda face: (face.start_s, face.track)):
        free = [tracks for tracks in positions if tracks[-1].end_s <= face.start_s + MAX_OVERLAP_S]
        if free:
            nearest = min(free, key=lambda tracks: abs(_centre_x(tracks[-1]) - _centre_x(face)))
            nearest.append(face)
        else:
            positions.append([face])
    positions.sort(key=_mean_x)
    return [_person(number, tracks) for number, tracks in enumerate(positions)], None


def choose_people(people: Sequence[PersonTracks], who: str) -> list[PersonTracks]:
    """Return the people that `who` selects, none if there is no such person.

    Args:
        people: from left to right.
        who: `all`, `left`, `right` or an index from 0.

    Raises:
        ValueError: for any other `who`.
    """
    check_who(who)
    if who == "all":
        return list(people)
    number = {"left": 0, "right": len(people) - 1}.get(who)
    number = int(who) if number is None else number
    return [person for person in people if person.number == number]


def check_who(who: str) -> None:
    """Raise a ValueError unless `who` is `all`, `left`, `right` or an index from 0."""
    if who not in ("all", "left", "right") and not (who.isascii() and who.isdigit()):
        raise ValueError(f"who must be all, left, right or a number from 0, got {who!r}")


class CroppedFaces:
    """Stream the face crops of people chunk by chunk; a `FaceStream`.

    Args:
        people: people whose voices are separated.
        ticks: crops by track, in order of time; read once.
        duration_s: duration of the video.
    """

    def __init__(
        self, people: Sequence[PersonTracks], ticks: Iterable[CroppedTick], duration_s: float
    ) -> None:
        self.ticks = iter(ticks)
        self.owner = {track.track: k for k, person in enumerate(people) for track in person.tracks}
        self.envelopes = [_envelope(person.seen, duration_s) for person in people]
        # Crops of each person, by frame.
        self.held: list[dict[int, np.ndarray]] = [{} for _ in people]
        self.last_read = -1

    def chunk(
        self, first_frame: int, frames: int, samples: int, sample_rate: int
    ) -> list[FaceChunk | None]:
        """Return each person's crops and gains during a chunk, see `FaceStream`."""
        self._read_to(first_frame, first_frame + frames)
        wanted = np.arange(first_frame, first_frame + frames)
        times_s = first_frame / FPS + np.arange(samples) / sample_rate
        return [
            _face_chunk(crops, wanted, np.interp(times_s, *envelope).astype(np.float32))
            for crops, envelope in zip(self.held, self.envelopes, strict=True)
        ]

    def _read_to(self, first: int, end: int) -> None:
        self.held = [{n: crop for n, crop in crops.items() if n >= first} for crops in self.held]
        while self.last_read < end - 1 and (tick := next(self.ticks, None)) is not None:
            self.last_read = tick.number
            if tick.number < first:
                continue
            for track, crop in tick.crops.items():
                if track in self.owner:
                    self.held[self.owner[track]][tick.number] = crop


class NoFaces:
    """Source for an audio-only task: one voice at full gain; a `FaceStream`."""

    def chunk(
        self, first_frame: int, frames: int, samples: int, sample_rate: int
    ) -> list[FaceChunk | None]:
        """Return one voice without frames, see `FaceStream`."""
        return [FaceChunk(None, np.ones(samples, np.float32))]


def _face_chunk(
    crops: Mapping[int, np.ndarray], wanted: np.ndarray, gain: np.ndarray
) -> FaceChunk | None:
    known = np.array([n for n in sorted(crops) if n <= wanted[-1]])
    if not len(known) or not gain.any():
        return None
    # Frames without the face take the crop of the nearest frame that has one.
    after = np.clip(np.searchsorted(known, wanted), 0, len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(known[before] - wanted) <= np.abs(known[after] - wanted)
    nearest = known[np.where(nearer, before, after)]
    return FaceChunk(np.stack([crops[n] for n in nearest.tolist()]), gain)


def _envelope(seen: Sequence[Interval], duration_s: float) -> np.ndarray:
    """Return the gain of a voice as `(2, 4 S)`: times in seconds, and gains to interpolate."""
    times: list[float] = []
    for start_s, end_s in seen:
        # The audio may begin a little before the frames or outlast them.
        begin = start_s - (MAX_GAP_S if start_s < MAX_GAP_S else 0)
        end = end_s + (MAX_GAP_S if end_s > duration_s - MAX_GAP_S else 0)
        times += [begin - FADE_S, begin, end, end + FADE_S]
    return np.array([times, [0, 1, 1, 0] * len(seen)], dtype=np.float64)


def _person(number: int, tracks: Sequence[TrackExtent]) -> PersonTracks:
    seen: list[Interval] = []
    for track in tracks:
        start_s, end_s = track.start_s, track.end_s
        if seen and start_s - seen[-1][1] <= MAX_GAP_S:
            start_s, before = seen.pop()
            end_s = max(end_s, before)
        seen.append((start_s, end_s))
    x0, y0, x1, y1 = np.median([track.box for track in tracks], axis=0).tolist()
    return PersonTracks(number, tuple(tracks), tuple(seen), (x0, y0, x1, y1))


def _centre_x(face: TrackExtent) -> float:
    return (face.box[0] + face.box[2]) / 2


def _mean_x(tracks: Sequence[TrackExtent]) -> float:
    """Return the horizontal position, averaged over the time in which the faces are visible."""
    lengths = [track.end_s - track.start_s for track in tracks]
    return float(np.average([_centre_x(track) for track in tracks], weights=lengths))
