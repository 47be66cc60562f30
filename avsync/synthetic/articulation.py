"""From timed sounds to moving targets: the one set of trajectories that both the voice and the
mouth follow.

Each channel is a weighted mean of the targets around it, weights falling off with time: neighbours
colour each other (coarticulation after Cohen and Massaro, 1993). The lips of /p b m/ alone close
exactly when their sound says so.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avsync.synthetic.phones import NOISE_BANDS
from avsync.synthetic.utterance import PASSAGE_S, Manner, Score

CONTROL_HZ = 1000
# Half-widths of the smoothing in seconds: heavy parts move slowly.
_SMOOTH_S = {
    "jaw": 0.045,
    "aperture": 0.034,
    "spread": 0.050,
    "rounding": 0.050,
    "tuck": 0.028,
    "tongue": 0.026,
    "formants": 0.018,
    "sound": 0.006,
}
_CLOSE_S, _OPEN_S = 0.075, 0.065


class Mouth(NamedTuple):
    """What is seen of the articulation, each `(n,)` float32: openings in mm, the rest in [0, 1].

    `spread_mm` moves each mouth corner outwards, `press` rolls the closed lips in.
    """

    jaw_mm: np.ndarray
    aperture_mm: np.ndarray
    spread_mm: np.ndarray
    rounding: np.ndarray
    tuck: np.ndarray
    tongue: np.ndarray
    press: np.ndarray

    def at(self, times_s: np.ndarray) -> "Mouth":
        """The state at these times of the passage, between the control points linearly."""
        grid = np.arange(len(self.jaw_mm)) / CONTROL_HZ
        return Mouth(*(np.interp(times_s, grid, channel).astype(np.float32) for channel in self))


class Closure(NamedTuple):
    """Lips closed for /p b m/ from `start_s` until they part at `release_s`."""

    name: str
    start_s: float
    release_s: float


class Articulation(NamedTuple):
    """A passage at `CONTROL_HZ`: the mouth, and what only the voice needs, amplitudes `(n,)`,
    formants `(3, n)` in Hz."""

    mouth: Mouth
    pitch_hz: np.ndarray
    voicing: np.ndarray
    aspiration: np.ndarray
    murmur: np.ndarray
    noise: np.ndarray
    formants: np.ndarray
    bursts: tuple[tuple[float, int, float], ...]
    closures: tuple[Closure, ...]


def articulate(
    score: Score, manner: Manner, expressiveness: float, rng: np.random.Generator
) -> Articulation:
    """Trajectories of a passage; `expressiveness` scales how far lips and jaw go (1 = usual)."""
    steps = _Steps(score)
    pull = steps.hold([s.phone.pull for s in score.sounds])
    # Loud syllables open the mouth wider: that is why the envelope tells of the lips at all.
    size = [expressiveness * s.stress**0.7 for s in score.sounds]

    def shape(values: list[float], kind: str) -> np.ndarray:
        return steps.blend(values, pull, _SMOOTH_S[kind])

    scaled = list(zip(score.sounds, size, strict=True))
    closures = _closures(score)
    gate, press = _gate(closures, steps.n)
    tuck = np.clip(shape([s.phone.tuck for s in score.sounds], "tuck"), 0, 1)
    aperture = shape([s.phone.aperture_mm * k for s, k in scaled], "aperture")
    mouth = Mouth(
        jaw_mm=shape([s.phone.jaw_mm * k for s, k in scaled], "jaw"),
        aperture_mm=np.maximum(aperture, 0) * gate,
        spread_mm=shape([s.phone.spread_mm * k for s, k in scaled], "spread"),
        rounding=np.clip(shape([s.phone.rounding for s in score.sounds], "rounding"), 0, 1),
        tuck=tuck * gate,
        tongue=np.clip(shape([s.phone.tongue for s in score.sounds], "tongue"), 0, 1),
        press=press,
    )
    mouth = Mouth(*(channel.astype(np.float32) for channel in mouth))
    return _add_sound(score, manner, steps, mouth, closures, rng)


class _Steps:
    """The control grid, and which sound each of its points lies in."""

    def __init__(self, score: Score) -> None:
        self.n = round(PASSAGE_S * CONTROL_HZ)
        ends = np.array([s.end_s for s in score.sounds])
        times = np.arange(self.n) / CONTROL_HZ
        self.owner = np.minimum(np.searchsorted(ends, times, side="right"), len(ends) - 1)

    def hold(self, values: list[float]) -> np.ndarray:
        return np.asarray(values, np.float64)[self.owner]

    def smooth(self, values: list[float], sigma_s: float) -> np.ndarray:
        held = self.hold(values)
        return gaussian_filter1d(held, sigma_s * CONTROL_HZ, mode="nearest", truncate=3.5)

    def blend(self, values: list[float], pull: np.ndarray, sigma_s: float) -> np.ndarray:
        sigma = sigma_s * CONTROL_HZ
        over = gaussian_filter1d(self.hold(values) * pull, sigma, mode="nearest", truncate=3.5)
        return over / gaussian_filter1d(pull, sigma, mode="nearest", truncate=3.5)


def _closures(score: Score) -> tuple[Closure, ...]:
    return tuple(Closure(s.name, s.start_s, s.end_s) for s in score.sounds if s.phone.seal)


def _gate(closures: tuple[Closure, ...], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Factor on the aperture, 0 while closed, and how hard the lips press, both `(n,)`."""
    times = np.arange(n) / CONTROL_HZ
    gate, press = np.ones(n), np.zeros(n)
    for _, start, release in closures:
        near = slice(
            max(0, int((start - 0.2) * CONTROL_HZ)), min(n, int((release + 0.2) * CONTROL_HZ))
        )
        t = times[near]
        before = np.clip((start - t) / _CLOSE_S, 0, 1)
        after = np.clip((t - release) / _OPEN_S, 0, 1)
        # Lips meet gently and part at once: the release is what the burst can be timed by.
        opening = np.where(t < start, before**2 * (3 - 2 * before), 1 - (1 - after) ** 2)
        gate[near] *= np.where((t >= start) & (t <= release), 0.0, opening)
        middle, half = (start + release) / 2, (release - start) / 2 + 0.02
        press[near] += np.clip(1 - ((t - middle) / half) ** 2, 0, 1)
    return gate, np.clip(press, 0, 1)


def _add_sound(
    score: Score,
    manner: Manner,
    steps: _Steps,
    mouth: Mouth,
    closures: tuple[Closure, ...],
    rng: np.random.Generator,
) -> Articulation:
    sounds, brief = score.sounds, _SMOOTH_S["sound"]
    # A narrow mouth lets less out, and lengthens the tube: formants of closing lips fall.
    open_part = np.clip(mouth.aperture_mm / 9, 0, 1)
    radiation = np.minimum(mouth.aperture_mm / 1.5, 1) * (0.3 + 0.7 * open_part**0.8)
    stress = steps.smooth([s.stress for s in sounds], 0.03)
    formants = np.stack(
        [
            steps.smooth([s.phone.formants[i] for s in sounds], _SMOOTH_S["formants"])
            for i in range(3)
        ]
    )
    formants *= 1 - np.array([0.25, 0.12, 0.05])[:, None] * (1 - open_part) ** 2
    noise = np.stack(
        [steps.smooth([s.phone.noise[i] for s in sounds], 0.008) for i in range(len(NOISE_BANDS))]
    )
    return Articulation(
        mouth=mouth,
        pitch_hz=_pitch(score, manner, steps, rng),
        voicing=steps.smooth([s.phone.voicing for s in sounds], brief) * radiation * stress,
        aspiration=steps.smooth([s.phone.aspiration for s in sounds], brief),
        murmur=steps.smooth([s.phone.murmur for s in sounds], brief),
        noise=noise,
        formants=formants,
        bursts=tuple((s.start_s, s.burst, s.stress) for s in sounds if s.burst is not None),
        closures=closures,
    )


def _pitch(score: Score, manner: Manner, steps: _Steps, rng: np.random.Generator) -> np.ndarray:
    """Pitch `(n,)` in Hz: gliding accents, or notes with a vibrato that grows while they last."""
    singing = score.mode == "singing"
    log_hz = np.log(steps.hold([s.pitch_hz for s in score.sounds]))
    log_hz = gaussian_filter1d(log_hz, (0.018 if singing else 0.05) * CONTROL_HZ, mode="nearest")
    drift = gaussian_filter1d(rng.standard_normal(steps.n), 0.1 * CONTROL_HZ, mode="wrap")
    log_hz += drift / drift.std() * (0.002 if singing else 0.012 * manner.liveliness)
    times = np.arange(steps.n) / CONTROL_HZ
    rate, depth = rng.uniform(5.0, 6.6), rng.uniform(0.006, 0.018)
    for note in score.notes:
        inside = (times >= note.start_s + 0.15) & (times < note.end_s)
        grown = np.clip((times[inside] - note.start_s - 0.15) / 0.25, 0, 1)
        log_hz[inside] += depth * grown * np.sin(2 * np.pi * rate * (times[inside] - note.start_s))
    return np.exp(log_hz)


def fidget(mouth: Mouth, rng: np.random.Generator) -> Mouth:
    """The mouth of someone who keeps silent: still, chewing, or moving the lips a little."""
    habit = rng.choice(("still", "still", "chew", "murmur"))
    if habit == "still":
        return mouth
    times = np.arange(len(mouth.jaw_mm)) / CONTROL_HZ
    slow = gaussian_filter1d(rng.standard_normal(len(times)), 0.12 * CONTROL_HZ, mode="wrap")
    slow /= slow.std()
    # It begins and ends at rest as every passage does.
    fade = np.clip(np.minimum(times, times[-1] - times) / 0.4, 0, 1)
    if habit == "chew":
        beat = np.sin(2 * np.pi * rng.uniform(0.9, 1.7) * times + slow)
        jaw = fade * 2.5 * (1 + beat)
        return mouth._replace(
            jaw_mm=(mouth.jaw_mm + jaw).astype(np.float32),
            spread_mm=(mouth.spread_mm + 1.5 * fade * slow).astype(np.float32),
        )
    aperture = fade * np.clip(0.8 + 0.9 * slow, 0, 3)
    return mouth._replace(
        jaw_mm=(mouth.jaw_mm + aperture).astype(np.float32),
        aperture_mm=(mouth.aperture_mm + aperture).astype(np.float32),
    )
