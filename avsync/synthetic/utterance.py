"""What is said or sung and when: random words or a random melody as timed sounds, in passages of
fixed length.

A passage begins and ends at rest, so passages follow each other without a seam and a clip of any
length is rendered one passage at a time.
"""

from typing import Literal, NamedTuple

import numpy as np

from avsync.synthetic.phones import BURST_BAND, CONSONANTS, INHALE, REST, VOWELS, Phone

Mode = Literal["speech", "singing"]
PASSAGE_S = 6.0
# Silence at the end of a passage, so that lips, voice and room have come to rest where it is cut.
_CLOSING_S = 0.35
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)


class Manner(NamedTuple):
    """How somebody talks: rate (1 = usual), pitch in Hz, its liveliness, habits of pausing and
    breathing."""

    rate: float
    pitch_hz: float
    liveliness: float
    pause_s: float
    inhales: bool
    rest_mm: float

    @staticmethod
    def draw(rng: np.random.Generator, pitch_hz: float) -> "Manner":
        return Manner(
            rate=rng.uniform(0.8, 1.25),
            pitch_hz=pitch_hz,
            liveliness=rng.uniform(0.5, 1.5),
            pause_s=rng.uniform(0.15, 0.5),
            inhales=bool(rng.random() < 0.6),
            rest_mm=rng.uniform(1.0, 3.0) if rng.random() < 0.25 else 0.0,
        )


class Timed(NamedTuple):
    """A sound from `start_s` to `end_s` of its passage, with its stress, its pitch, and its burst's
    band if it has one."""

    name: str
    phone: Phone
    start_s: float
    end_s: float
    stress: float
    pitch_hz: float
    burst: int | None = None


class Note(NamedTuple):
    """The steady part of a sung note: nothing but its vowel at its pitch."""

    start_s: float
    end_s: float
    hz: float


class Score(NamedTuple):
    """A passage: its sounds in order without gaps over `PASSAGE_S`, and its notes where it is
    sung."""

    sounds: tuple[Timed, ...]
    notes: tuple[Note, ...]
    mode: Mode


class _Writer:
    """Appends sounds one after another."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.now = 0.0
        self.sounds: list[Timed] = []

    def add(
        self,
        name: str,
        phone: Phone,
        duration_s: float,
        stress: float = 1.0,
        hz: float | None = None,
    ) -> None:
        pitch = self.manner.pitch_hz if hz is None else hz
        self.sounds.append(Timed(name, phone, self.now, self.now + duration_s, stress, pitch))
        self.now += duration_s

    def consonant(self, name: str, pace: float, stress: float, hz: float) -> None:
        for part, phone in enumerate(CONSONANTS[name]):
            self.add(name, phone, phone.duration_s * pace, stress, hz)
            if part == 1:
                self.sounds[-1] = self.sounds[-1]._replace(burst=BURST_BAND[name])

    def rest(self, duration_s: float) -> None:
        self.add("rest", REST._replace(aperture_mm=self.manner.rest_mm), duration_s)

    def pause(self, duration_s: float) -> None:
        """A rest, with a breath at its end where there is room for one."""
        if self.manner.inhales and duration_s > 0.35:
            self.rest(duration_s - 0.25)
            self.add("inhale", INHALE, 0.2)
            self.rest(0.05)
        else:
            self.rest(duration_s)


def draw_utterances(
    rng: np.random.Generator, manners: tuple[Manner, ...], mode: Mode, lead: int | None = 0
) -> tuple[Score, ...]:
    """A passage for people with these manners: only number `lead` is heard, or they take turns."""
    writers = tuple(_Writer(manner) for manner in manners)
    notes: tuple[list[Note], ...] = tuple([] for _ in manners)
    until = PASSAGE_S - _CLOSING_S
    now, who = rng.uniform(0.1, 0.35), int(rng.integers(len(writers))) if lead is None else lead
    while until - now > 0.8:
        writer = writers[who]
        if writer.now < now:
            writer.pause(now - writer.now)
        if mode == "singing":
            notes[who].extend(_sing_phrase(rng, writer, until))
        else:
            _say_phrase(rng, writer, until)
        now = writer.now + writer.manner.pause_s * rng.uniform(0.5, 2.2)
        if lead is None and rng.random() < 0.6:
            who = int(rng.integers(len(writers)))
    for writer in writers:
        writer.rest(PASSAGE_S - writer.now)
    return tuple(
        Score(tuple(w.sounds), tuple(n), mode) for w, n in zip(writers, notes, strict=True)
    )


def _say_phrase(rng: np.random.Generator, writer: _Writer, until: float) -> None:
    manner = writer.manner
    start, words = writer.now, int(rng.integers(2, 8))
    length = rng.uniform(0.9, 3.2)
    for word in range(words):
        accent = rng.uniform(0.8, 1.35)
        for syllable in range(int(rng.choice((1, 1, 1, 2, 2, 3)))):
            if writer.now - start > length or until - writer.now < 0.6:
                break
            stress = accent * (1.0 if syllable == 0 else rng.uniform(0.6, 0.9))
            fall = 1.12 - 0.25 * (writer.now - start) / length
            rise = 1 + 0.16 * manner.liveliness * (stress - 0.9) + 0.04 * rng.standard_normal()
            last = word == words - 1
            _syllable(
                rng, writer, stress, manner.pitch_hz * fall * rise, stretch=1.4 if last else 1
            )


def _syllable(
    rng: np.random.Generator, writer: _Writer, stress: float, hz: float, stretch: float
) -> None:
    pace = 1 / writer.manner.rate
    onsets, vowels = tuple(CONSONANTS), tuple(VOWELS)
    if rng.random() < 0.9:
        # Lips carry the sync: their sounds come a little more often than in English.
        lips = ("p", "b", "m", "f", "v", "w")
        name = str(rng.choice(lips if rng.random() < 0.3 else onsets))
        writer.consonant(name, pace * rng.uniform(0.85, 1.2), stress, hz)
    vowel = str(rng.choice(vowels))
    length = VOWELS[vowel].duration_s * pace * stretch * stress * rng.uniform(0.6, 1.3)
    writer.add(vowel, VOWELS[vowel], max(length, 0.05), stress, hz)
    if rng.random() < 0.2:
        glide = str(rng.choice(("iy", "uw", "ih", "er")))
        writer.add(glide, VOWELS[glide], 0.07 * pace * stretch, 0.8 * stress, 0.97 * hz)
    if rng.random() < 0.4:
        name = str(rng.choice(("t", "n", "s", "m", "l", "d", "k", "z", "p", "r", "ch")))
        writer.consonant(name, pace * rng.uniform(0.7, 1.0), stress, hz)


def _sing_phrase(rng: np.random.Generator, writer: _Writer, until: float) -> list[Note]:
    scale = _MAJOR if rng.random() < 0.6 else _MINOR
    beat_s, degree = rng.uniform(0.32, 0.7), int(rng.integers(0, 5))
    notes = []
    for _ in range(int(rng.integers(3, 9))):
        length = beat_s * rng.choice((0.5, 1.0, 1.0, 1.0, 2.0, 3.0))
        length = min(length, until - writer.now - 0.05)
        if length < 0.25:
            break
        degree = int(np.clip(degree + rng.integers(-3, 4), -3, 9))
        octave, step = divmod(degree, len(scale))
        # The twelve-tone scale over A = 440 Hz, at the singer's own height.
        tonic = 69 + round(12 * np.log2(writer.manner.pitch_hz * 1.15 / 440))
        hz = 440 * 2 ** ((tonic + 12 * octave + scale[step] - 69) / 12)
        notes.append(_sing_note(rng, writer, hz, length))
    return notes


def _sing_note(rng: np.random.Generator, writer: _Writer, hz: float, length: float) -> Note:
    stress = rng.uniform(0.95, 1.35)
    start = writer.now
    if rng.random() < 0.85:
        onsets = ("l", "m", "n", "b", "d", "w", "y", "r", "v", "s", "t", "p", "h", "k", "sh", "g")
        name = str(rng.choice(onsets))
        writer.consonant(name, 1.0, stress, hz)
    vowel = str(rng.choice(tuple(VOWELS)))
    begin = writer.now
    writer.add(vowel, VOWELS[vowel], max(length - (begin - start), 0.12), stress, hz)
    return Note(begin, writer.now, hz)
