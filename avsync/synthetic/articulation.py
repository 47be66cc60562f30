"""Articulate timed phones: the trajectories that both the voice and the mouth follow.

Each channel is a weighted mean of the targets around a time, with weights that fall off with
distance, so neighbouring phones colour each other (coarticulation). Only the lips of /p b m/ close
exactly when their phones do.

Source: Cohen and Massaro, Modeling coarticulation in synthetic visual speech, 1993.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avsync.synthetic.phones import NOISE_BANDS_HZ
from avsync.synthetic.utterance import PASSAGE_S, PhonePlan, SpeakingStyle

CONTROL_HZ = 1000
# Standard deviations of the smoothing in seconds: heavy articulators move slowly.
_SMOOTH_S = {
    "jaw": 0.045,
    "aperture": 0.034,
    "spread": 0.050,
    "rounding": 0.050,
    "tuck": 0.028,
    "tongue": 0.026,
    "formants": 0.018,
    "source": 0.006,
}
# How long lips take to close before /p b m/, and to open after.
_CLOSE_S, _OPEN_S = 0.075, 0.065


class MouthTrajectory(NamedTuple):
    """The visible articulation at `CONTROL_HZ`, each channel `(n,)` float32.

    Openings are in mm, the other channels in [0, 1]; `spread_mm` moves each mouth corner outwards,
    `press` rolls the closed lips in.
    """

    jaw_mm: np.ndarray
    aperture_mm: np.ndarray
    spread_mm: np.ndarray
    rounding: np.ndarray
    tuck: np.ndarray
    tongue: np.ndarray
    press: np.ndarray

    def at(self, times_s: np.ndarray) -> "MouthTrajectory":
        """Interpolate linearly at times of the passage."""
        grid = np.arange(len(self.jaw_mm)) / CONTROL_HZ
        return MouthTrajectory(
            *(np.interp(times_s, grid, channel).astype(np.float32) for channel in self)
        )


class Closure(NamedTuple):
    """Lips closed for /p b m/ from `start_s` until they part at `release_s`."""

    name: str
    start_s: float
    release_s: float


class Articulation(NamedTuple):
    """A passage at `CONTROL_HZ`: the mouth, and the controls of the voice.

    Amplitudes are `(n,)`, `noise` is one amplitude per noise band, `formants` are `(3, n)` in Hz,
    `bursts` are (start in seconds, noise band, stress).
    """

    mouth: MouthTrajectory
    pitch_hz: np.ndarray
    voicing: np.ndarray
    aspiration: np.ndarray
    murmur: np.ndarray
    noise: np.ndarray
    formants: np.ndarray
    bursts: tuple[tuple[float, int, float], ...]
    closures: tuple[Closure, ...]


def articulate(
    plan: PhonePlan, style: SpeakingStyle, expressiveness: float, rng: np.random.Generator
) -> Articulation:
    """Compute the trajectories of a passage.

    Args:
        plan: its phones and notes.
        style: the speaking style they were drawn for.
        expressiveness: scales how far lips and jaw move (1 = usual).
        rng: draws pitch drift and vibrato.
    """
    grid = _ControlGrid(plan)
    dominance = grid.hold([p.phone.dominance for p in plan.phones])
    # Loud syllables open the mouth wider, which is why the envelope carries information on lips.
    size = [expressiveness * p.stress**0.7 for p in plan.phones]

    def shape(values: list[float], kind: str) -> np.ndarray:
        return grid.blend(values, dominance, _SMOOTH_S[kind])

    scaled = list(zip(plan.phones, size, strict=True))
    closures = tuple(
        Closure(p.name, p.start_s, p.end_s) for p in plan.phones if p.phone.lips_closed
    )
    gate, press = _gate(closures, grid.n)
    tuck = np.clip(shape([p.phone.tuck for p in plan.phones], "tuck"), 0, 1)
    aperture = shape([p.phone.aperture_mm * k for p, k in scaled], "aperture")
    mouth = MouthTrajectory(
        jaw_mm=shape([p.phone.jaw_mm * k for p, k in scaled], "jaw"),
        aperture_mm=np.maximum(aperture, 0) * gate,
        spread_mm=shape([p.phone.spread_mm * k for p, k in scaled], "spread"),
        rounding=np.clip(shape([p.phone.rounding for p in plan.phones], "rounding"), 0, 1),
        tuck=tuck * gate,
        tongue=np.clip(shape([p.phone.tongue for p in plan.phones], "tongue"), 0, 1),
        press=press,
    )
    mouth = MouthTrajectory(*(channel.astype(np.float32) for channel in mouth))
    return _add_voice_controls(plan, style, grid, mouth, closures, rng)


def add_idle_motion(mouth: MouthTrajectory, rng: np.random.Generator) -> MouthTrajectory:
    """Return the mouth of a silent person: still, chewing, or moving the lips a little."""
    habit = rng.choice(("still", "still", "chew", "murmur"))
    if habit == "still":
        return mouth
    times = np.arange(len(mouth.jaw_mm)) / CONTROL_HZ
    slow = gaussian_filter1d(rng.standard_normal(len(times)), 0.12 * CONTROL_HZ, mode="wrap")
    slow /= slow.std()
    # Like every passage, the motion starts and ends at rest.
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


class _ControlGrid:
    """The control points of a passage, and the phone that each of them belongs to."""

    def __init__(self, plan: PhonePlan) -> None:
        self.n = round(PASSAGE_S * CONTROL_HZ)
        ends = np.array([p.end_s for p in plan.phones])
        times = np.arange(self.n) / CONTROL_HZ
        self.owner = np.minimum(np.searchsorted(ends, times, side="right"), len(ends) - 1)

    def hold(self, values: list[float]) -> np.ndarray:
        return np.asarray(values, np.float64)[self.owner]

    def smooth(self, values: list[float], sigma_s: float) -> np.ndarray:
        held = self.hold(values)
        return gaussian_filter1d(held, sigma_s * CONTROL_HZ, mode="nearest", truncate=3.5)

    def blend(self, values: list[float], weight: np.ndarray, sigma_s: float) -> np.ndarray:
        sigma = sigma_s * CONTROL_HZ
        over = gaussian_filter1d(self.hold(values) * weight, sigma, mode="nearest", truncate=3.5)
        return over / gaussian_filter1d(weight, sigma, mode="nearest", truncate=3.5)


def _gate(closures: tuple[Closure, ...], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a factor on the aperture, 0 while closed, and the press of the lips, both `(n,)`."""
    times = np.arange(n) / CONTROL_HZ
    gate, press = np.ones(n), np.zeros(n)
    for _, start, release in closures:
        near = slice(
            max(0, int((start - 0.2) * CONTROL_HZ)), min(n, int((release + 0.2) * CONTROL_HZ))
        )
        t = times[near]
        before = np.clip((start - t) / _CLOSE_S, 0, 1)
        after = np.clip((t - release) / _OPEN_S, 0, 1)
        # Lips close gently and part at once: the release is the event that the burst is timed by.
        opening = np.where(t < start, before**2 * (3 - 2 * before), 1 - (1 - after) ** 2)
        gate[near] *= np.where((t >= start) & (t <= release), 0.0, opening)
        middle, half = (start + release) / 2, (release - start) / 2 + 0.02
        press[near] += np.clip(1 - ((t - middle) / half) ** 2, 0, 1)
    return gate, np.clip(press, 0, 1)


def _add_voice_controls(
    plan: PhonePlan,
    style: SpeakingStyle,
    grid: _ControlGrid,
    mouth: MouthTrajectory,
    closures: tuple[Closure, ...],
    rng: np.random.Generator,
) -> Articulation:
    phones, sigma_s = plan.phones, _SMOOTH_S["source"]
    # A narrow mouth radiates less and lengthens the vocal tract: formants of closing lips fall.
    open_part = np.clip(mouth.aperture_mm / 9, 0, 1)
    radiation = np.minimum(mouth.aperture_mm / 1.5, 1) * (0.3 + 0.7 * open_part**0.8)
    stress = grid.smooth([p.stress for p in phones], 0.03)
    formants = np.stack(
        [
            grid.smooth([p.phone.formants[i] for p in phones], _SMOOTH_S["formants"])
            for i in range(3)
        ]
    )
    formants *= 1 - np.array([0.25, 0.12, 0.05])[:, None] * (1 - open_part) ** 2
    bands = range(len(NOISE_BANDS_HZ))
    noise = np.stack([grid.smooth([p.phone.noise[i] for p in phones], 0.008) for i in bands])
    return Articulation(
        mouth=mouth,
        pitch_hz=_pitch(plan, style, grid, rng),
        voicing=grid.smooth([p.phone.voicing for p in phones], sigma_s) * radiation * stress,
        aspiration=grid.smooth([p.phone.aspiration for p in phones], sigma_s),
        murmur=grid.smooth([p.phone.murmur for p in phones], sigma_s),
        noise=noise,
        formants=formants,
        bursts=tuple((p.start_s, p.burst, p.stress) for p in phones if p.burst is not None),
        closures=closures,
    )


def _pitch(
    plan: PhonePlan, style: SpeakingStyle, grid: _ControlGrid, rng: np.random.Generator
) -> np.ndarray:
    """Return the pitch `(n,)` in Hz: gliding accents, or notes with a growing vibrato."""
    singing = plan.mode == "singing"
    log_hz = np.log(grid.hold([p.pitch_hz for p in plan.phones]))
    log_hz = gaussian_filter1d(log_hz, (0.018 if singing else 0.05) * CONTROL_HZ, mode="nearest")
    drift = gaussian_filter1d(rng.standard_normal(grid.n), 0.1 * CONTROL_HZ, mode="wrap")
    log_hz += drift / drift.std() * (0.002 if singing else 0.012 * style.liveliness)
    times = np.arange(grid.n) / CONTROL_HZ
    rate, depth = rng.uniform(5.0, 6.6), rng.uniform(0.006, 0.018)
    for note in plan.notes:
        inside = (times >= note.start_s + 0.15) & (times < note.end_s)
        grown = np.clip((times[inside] - note.start_s - 0.15) / 0.25, 0, 1)
        log_hz[inside] += depth * grown * np.sin(2 * np.pi * rate * (times[inside] - note.start_s))
    return np.exp(log_hz)
