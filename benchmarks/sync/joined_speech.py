"""Speech of people, scored once: excerpts with a known shift, joined to any length.

Each clip's video is encoded once, and its audio at four leads of less than a step of the model. All
else is taken from their scores (`avsync.evaluation.clip_scores`). A longer recording of a person is
joined from excerpts of that person's clips, about `EXCERPT_FRAMES` each and never the same twice.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip
from avsync.evaluation.clip_scores import (
    AudioSteps,
    ClipScores,
    compare_clip,
    encode_steps,
    encode_windows,
    join_clips,
)
from avsync.scoring.embeddings import Embeddings, SyncModel
from avsync.scoring.offset_error import StandardError, standard_error
from avsync.scoring.peak import Peak, find_peak
from avsync.scoring.score_sums import TrackScores
from avsync.timing import FPS

# The audio is moved by one of these and by whole steps of 20 ms: no peak lies on a step each time.
LEADS_MS = (0.0, 5.0, 10.0, 15.0)
SEARCH_MS, REACH_S = 1000.0, 2.0
MAX_SHIFT_MS = 900.0
EXCERPT_FRAMES, MIN_EXCERPT_FRAMES = 75, 25


class ScoredClip(NamedTuple):
    """A clip, its embeddings, and its scores against its own audio.

    Args:
        id: of the clip.
        person: who speaks, in one recording: all clips of it have the same constant.
        truth_ms: the offset that it has without a shift; positive = the audio leads.
        video: embeddings of its windows.
        audio: embeddings of its audio, at each of `LEADS_MS`.
        own: scores of the video against the audio, likewise.
    """

    id: str
    person: str
    truth_ms: float
    video: Embeddings
    audio: tuple[AudioSteps, ...]
    own: tuple[ClipScores, ...]


class Measured(NamedTuple):
    """The peak of some speech, its standard error, and its offset less the shift in ms."""

    peak: Peak
    error: StandardError | None
    own_ms: float


class Excerpt(NamedTuple):
    """Some frames of a clip."""

    clip: ScoredClip
    start: int
    frames: int


def score_clips(
    model: SyncModel, clips: Sequence[PreparedClip], truths_ms: Sequence[float], person: str = ""
) -> list[ScoredClip]:
    """Score clips of which each is at its own true offset.

    Args:
        model: a sync model.
        clips: prepared clips.
        truths_ms: their offsets.
        person: who speaks in all of them; by default each by its source, see `person_of`.
    """
    scored = []
    for clip, truth_ms in zip(clips, truths_ms, strict=True):
        video = encode_windows(model, crops_for(model.spec, clip))
        wav = np.asarray(clip.wav_16k)
        audio = tuple(encode_steps(model, wav, lead_ms) for lead_ms in LEADS_MS)
        own = tuple(compare_clip(model, video, steps) for steps in audio)
        name = person or person_of(clip.source)
        scored.append(ScoredClip(clip.id, name, truth_ms, video, audio, own))
    return scored


def person_of(source: str) -> str:
    """Return whose recording a source is: its name without a number, `a__b` of `x/a__b__3.mkv`.

    Sources without such a number are by the person that their folder is named after.
    """
    folder, _, file = source.rpartition("/")
    numbered = re.fullmatch(r"(.+)__\d+", file.rpartition(".")[0])
    return numbered[1] if numbered else folder


def by_person(clips: Sequence[ScoredClip]) -> dict[str, list[Excerpt]]:
    """Cut the clips of each person into excerpts."""
    people: dict[str, list[Excerpt]] = {}
    for clip in clips:
        frames = clip.own[0].frames
        count = max(1, round(frames / EXCERPT_FRAMES))
        edges = np.linspace(0, frames, count + 1).astype(int).tolist()
        excerpts = [Excerpt(clip, start, end - start) for start, end in pairwise(edges)]
        people.setdefault(clip.person, []).extend(excerpts)
    return people


def seconds_of(excerpts: Sequence[Excerpt]) -> float:
    """Return the length of excerpts together."""
    return sum(excerpt.frames for excerpt in excerpts) / FPS


def take(excerpts: Sequence[Excerpt], seconds: float) -> list[Excerpt]:
    """Return the first excerpts, `seconds` long together; the last one is cut short."""
    taken: list[Excerpt] = []
    left = round(seconds * FPS)
    for excerpt in excerpts:
        frames = min(excerpt.frames, left)
        if frames < MIN_EXCERPT_FRAMES:
            break
        taken.append(excerpt._replace(frames=frames))
        left -= frames
    return taken


def measure_joined(excerpts: Sequence[Excerpt], rng: np.random.Generator) -> Measured | None:
    """Join excerpts, shift their audio by a random amount, and measure the offset.

    None without a peak within the search range.
    """
    lead, shift_steps = _draw_shift(excerpts[0].clip, rng)
    own = [
        excerpt.clip.own[lead].excerpt(excerpt.start, excerpt.frames, shift_steps, REACH_S)
        for excerpt in excerpts
    ]
    return measure(join_clips(own), shift_ms(excerpts[0].clip, lead, shift_steps))


def measure(scores: TrackScores, moved_ms: float) -> Measured | None:
    """Measure the offset of speech whose audio was moved by `moved_ms`."""
    curve = scores.curve
    peak = find_peak(curve, SEARCH_MS)
    if peak is None or curve.blocks is None:
        return None
    error = standard_error(curve.blocks, curve.offsets_ms, peak)
    return Measured(peak, error, peak.offset_ms - moved_ms)


def shift_ms(clip: ScoredClip, lead: int, shift_steps: int) -> float:
    """Return what the audio is moved by in ms."""
    return LEADS_MS[lead] + shift_steps * clip.own[lead].spec.step_ms


def _draw_shift(clip: ScoredClip, rng: np.random.Generator) -> tuple[int, int]:
    """Draw a lead and a number of steps."""
    most = int(MAX_SHIFT_MS // clip.own[0].spec.step_ms)
    return int(rng.integers(len(LEADS_MS))), int(rng.integers(-most, most))


class Difference(NamedTuple):
    """Two disjoint excerpts of speech of one person, each moved by a shift of its own.

    Their offsets, less the shifts, would be equal if nothing was measured wrongly, whatever the
    constant of the recording is.
    """

    person: str
    seconds: float
    one: Measured
    other: Measured

    @property
    def ms(self) -> float:
        return abs(self.one.own_ms - self.other.own_ms)


def draw_differences(
    people: dict[str, list[Excerpt]], lengths_s: Sequence[float], draws: int, seed: int
) -> list[Difference]:
    """Draw pairs of disjoint speech of each length, of each person with enough of it."""
    rng = np.random.default_rng(seed)
    found = []
    for person, excerpts in sorted(people.items()):
        for seconds in lengths_s:
            for _ in range(draws):
                order = [excerpts[index] for index in rng.permutation(len(excerpts))]
                one = take(order, seconds)
                other = take(order[len(one) :], seconds)
                if min(seconds_of(one), seconds_of(other)) < 0.9 * seconds:
                    continue
                first, second = measure_joined(one, rng), measure_joined(other, rng)
                if first is not None and second is not None:
                    found.append(Difference(person, seconds, first, second))
    return found
