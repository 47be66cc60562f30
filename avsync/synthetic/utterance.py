"""Plan what is said or sung and when: random words or a random melody as timed phones.

Plans come in passages of a fixed length. A passage starts and ends at rest, so passages follow each
other without a seam, and a clip of any length is rendered one passage at a time.
"""

from typing import Literal, NamedTuple

import numpy as np

from avsync.synthetic.phones import BURST_BAND, CONSONANTS, INHALE, REST, VOWELS, Phone

Mode = Literal["speech", "singing"]
PASSAGE_S = 6.0
# Silence at the end of a passage, so that lips, voice and reverberation are at rest at its end.
_CLOSING_S = 0.35
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_LABIALS = ("p", "b", "m", "f", "v", "w")
_CODAS = ("t", "n", "s", "m", "l", "d", "k", "z", "p", "r", "ch")
_SUNG_ONSETS = ("l", "m", "n", "b", "d", "w", "y", "r", "v", "s", "t", "p", "h", "k", "sh", "g")
_GLIDES = ("iy", "uw", "ih", "er")


class SpeakingStyle(NamedTuple):
    """How a person talks.

    `rate` is a factor (1 = usual), `pitch_hz` the mean pitch, `liveliness` scales pitch accents,
    `pause_s` is the typical pause, `inhales` says whether breaths are visible and audible in long
    pauses, `rest_mm` is the opening of the lips at rest.
    """

    rate: float
    pitch_hz: float
    liveliness: float
    pause_s: float
    inhales: bool
    rest_mm: float

    @staticmethod
    def draw(rng: np.random.Generator, pitch_hz: float) -> "SpeakingStyle":
        """Draw a random style for a pitch."""
        return SpeakingStyle(
            rate=rng.uniform(0.8, 1.25),
            pitch_hz=pitch_hz,
            liveliness=rng.uniform(0.5, 1.5),
            pause_s=rng.uniform(0.15, 0.5),
            inhales=bool(rng.random() < 0.6),
            rest_mm=rng.uniform(1.0, 3.0) if rng.random() < 0.25 else 0.0,
        )


class TimedPhone(NamedTuple):
    """A phone from `start_s` to `end_s` of its passage, with stress and pitch.

    `burst` is the index of the noise band of its burst, None without one.
    """

    name: str
    phone: Phone
    start_s: float
    end_s: float
    stress: float
    pitch_hz: float
    burst: int | None = None


class Note(NamedTuple):
    """The steady part of a sung note: its vowel only, at its pitch."""

    start_s: float
    end_s: float
    hz: float


class PhonePlan(NamedTuple):
    """One person's passage: consecutive phones that cover `PASSAGE_S`, and its notes if sung."""

    phones: tuple[TimedPhone, ...]
    notes: tuple[Note, ...]
    mode: Mode


def draw_phone_plans(
    rng: np.random.Generator, styles: tuple[SpeakingStyle, ...], mode: Mode, lead: int | None = 0
) -> tuple[PhonePlan, ...]:
    """Draw a passage for several people, of whom one speaks at a time.

    Args:
        rng: random generator.
        styles: one speaking style per person.
        mode: whether they speak or sing.
        lead: index of the only person who speaks; None if they take turns.

    Returns:
        One plan per person.
    """
    builders = tuple(_PlanBuilder(style) for style in styles)
    notes: tuple[list[Note], ...] = tuple([] for _ in styles)
    until_s = PASSAGE_S - _CLOSING_S
    now_s = rng.uniform(0.1, 0.35)
    speaker = int(rng.integers(len(builders))) if lead is None else lead
    while until_s - now_s > 0.8:
        builder = builders[speaker]
        if builder.now_s < now_s:
            builder.pause(now_s - builder.now_s)
        if mode == "singing":
            notes[speaker].extend(_sing_phrase(rng, builder, until_s))
        else:
            _say_phrase(rng, builder, until_s)
        now_s = builder.now_s + builder.style.pause_s * rng.uniform(0.5, 2.2)
        if lead is None and rng.random() < 0.6:
            speaker = int(rng.integers(len(builders)))
    for builder in builders:
        builder.rest(PASSAGE_S - builder.now_s)
    return tuple(
        PhonePlan(tuple(b.phones), tuple(n), mode) for b, n in zip(builders, notes, strict=True)
    )


class _PlanBuilder:
    """Appends phones one after another."""

    def __init__(self, style: SpeakingStyle) -> None:
        self.style = style
        self.now_s = 0.0
        self.phones: list[TimedPhone] = []

    def add(
        self,
        name: str,
        phone: Phone,
        duration_s: float,
        stress: float = 1.0,
        hz: float | None = None,
    ) -> None:
        pitch = self.style.pitch_hz if hz is None else hz
        end_s = self.now_s + duration_s
        self.phones.append(TimedPhone(name, phone, self.now_s, end_s, stress, pitch))
        self.now_s = end_s

    def consonant(self, name: str, pace: float, stress: float, hz: float) -> None:
        for part, phone in enumerate(CONSONANTS[name]):
            self.add(name, phone, phone.duration_s * pace, stress, hz)
            if part == 1:
                self.phones[-1] = self.phones[-1]._replace(burst=BURST_BAND[name])

    def rest(self, duration_s: float) -> None:
        self.add("rest", REST._replace(aperture_mm=self.style.rest_mm), duration_s)

    def pause(self, duration_s: float) -> None:
        """Add a rest, with a breath at its end if there is time for one."""
        if self.style.inhales and duration_s > 0.35:
            self.rest(duration_s - 0.25)
            self.add("inhale", INHALE, 0.2)
            self.rest(0.05)
        else:
            self.rest(duration_s)


def _say_phrase(rng: np.random.Generator, builder: _PlanBuilder, until_s: float) -> None:
    style = builder.style
    start_s, words = builder.now_s, int(rng.integers(2, 8))
    length_s = rng.uniform(0.9, 3.2)
    for word in range(words):
        accent = rng.uniform(0.8, 1.35)
        for syllable in range(int(rng.choice((1, 1, 1, 2, 2, 3)))):
            if builder.now_s - start_s > length_s or until_s - builder.now_s < 0.6:
                break
            stress = accent * (1.0 if syllable == 0 else rng.uniform(0.6, 0.9))
            declination = 1.12 - 0.25 * (builder.now_s - start_s) / length_s
            rise = 1 + 0.16 * style.liveliness * (stress - 0.9) + 0.04 * rng.standard_normal()
            hz = style.pitch_hz * declination * rise
            _say_syllable(rng, builder, stress, hz, lengthening=1.4 if word == words - 1 else 1)


def _say_syllable(
    rng: np.random.Generator, builder: _PlanBuilder, stress: float, hz: float, lengthening: float
) -> None:
    pace = 1 / builder.style.rate
    onsets, vowels = tuple(CONSONANTS), tuple(VOWELS)
    if rng.random() < 0.9:
        # Lips carry the sync: labials come a little more often than in English.
        name = str(rng.choice(_LABIALS if rng.random() < 0.3 else onsets))
        builder.consonant(name, pace * rng.uniform(0.85, 1.2), stress, hz)
    vowel = str(rng.choice(vowels))
    duration_s = VOWELS[vowel].duration_s * pace * lengthening * stress * rng.uniform(0.6, 1.3)
    builder.add(vowel, VOWELS[vowel], max(duration_s, 0.05), stress, hz)
    if rng.random() < 0.2:
        glide = str(rng.choice(_GLIDES))
        builder.add(glide, VOWELS[glide], 0.07 * pace * lengthening, 0.8 * stress, 0.97 * hz)
    if rng.random() < 0.4:
        builder.consonant(str(rng.choice(_CODAS)), pace * rng.uniform(0.7, 1.0), stress, hz)


def _sing_phrase(rng: np.random.Generator, builder: _PlanBuilder, until_s: float) -> list[Note]:
    scale = _MAJOR if rng.random() < 0.6 else _MINOR
    beat_s, degree = rng.uniform(0.32, 0.7), int(rng.integers(0, 5))
    notes = []
    for _ in range(int(rng.integers(3, 9))):
        length_s = beat_s * rng.choice((0.5, 1.0, 1.0, 1.0, 2.0, 3.0))
        length_s = min(length_s, until_s - builder.now_s - 0.05)
        if length_s < 0.25:
            break
        degree = int(np.clip(degree + rng.integers(-3, 4), -3, 9))
        octave, step = divmod(degree, len(scale))
        # The twelve-tone scale of A = 440 Hz, transposed to the singer's pitch.
        tonic = 69 + round(12 * np.log2(builder.style.pitch_hz * 1.15 / 440))
        hz = 440 * 2 ** ((tonic + 12 * octave + scale[step] - 69) / 12)
        notes.append(_sing_note(rng, builder, hz, length_s))
    return notes


def _sing_note(rng: np.random.Generator, builder: _PlanBuilder, hz: float, length_s: float) -> Note:
    stress = rng.uniform(0.95, 1.35)
    start_s = builder.now_s
    if rng.random() < 0.85:
        builder.consonant(str(rng.choice(_SUNG_ONSETS)), 1.0, stress, hz)
    vowel = str(rng.choice(tuple(VOWELS)))
    vowel_s = builder.now_s
    builder.add(vowel, VOWELS[vowel], max(length_s - (vowel_s - start_s), 0.12), stress, hz)
    return Note(vowel_s, builder.now_s, hz)
