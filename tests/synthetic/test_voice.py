"""The voice: it stops where the lips are shut, sings the notes of its score, and knows its
people."""

import numpy as np
import pytest

from avsync.synthetic.articulation import CONTROL_HZ, articulate
from avsync.synthetic.phones import CONSONANTS, VOWELS
from avsync.synthetic.utterance import PASSAGE_S, Manner, Score, Timed, draw_utterances
from avsync.synthetic.voice import Voice, speak

RATE = 16000
MANNER = Manner(1.0, 150.0, 1.0, 0.3, inhales=False, rest_mm=0.0)


@pytest.fixture
def voice() -> Voice:
    return Voice.draw(np.random.default_rng(0))._replace(room=0.0, jitter=0.004)


def say(names: str) -> Score:
    """A score of sounds one after another, vowels 0.2 s long, rests around them."""
    sounds, now = [], 0.0
    rest = CONSONANTS["h"][0]._replace(aspiration=0.0, aperture_mm=0.0, pull=0.6)
    for name in f"- {names} -".split():
        parts = CONSONANTS.get(name) or (VOWELS.get(name, rest),)
        for part, phone in enumerate(parts):
            length = 0.5 if name == "-" else 0.2 if name in VOWELS else phone.duration_s
            burst = 0 if part == 1 else None
            sounds.append(Timed(name, phone, now, now + length, 1.0, 150.0, burst))
            now += length
    sounds[-1] = sounds[-1]._replace(end_s=PASSAGE_S)
    return Score(tuple(sounds), (), "speech")


def loudness(wav: np.ndarray, start_s: float, end_s: float) -> float:
    return float(np.sqrt(np.mean(wav[round(start_s * RATE) : round(end_s * RATE)] ** 2)))


def pitch_hz(wav: np.ndarray, low: float, high: float) -> float:
    """The pitch by autocorrelation, between samples by a parabola."""
    size = 2 * len(wav)
    power = np.abs(np.fft.rfft(wav - wav.mean(), size)) ** 2
    same = np.fft.irfft(power)[: len(wav)] / np.arange(len(wav), 0, -1)
    lags = np.arange(int(RATE / high), int(RATE / low) + 1)
    lag = lags[int(np.argmax(same[lags]))]
    left, mid, right = same[lag - 1 : lag + 2]
    return RATE / (lag + 0.5 * (left - right) / (left - 2 * mid + right))


def test_lips_are_shut_and_silent_until_the_burst_of_a_p(voice):
    score = say("aa p aa")
    rng = np.random.default_rng(1)
    articulation = articulate(score, MANNER, 1.0, rng)
    wav = speak(articulation, voice, RATE, rng)
    (closure,) = articulation.closures
    at = np.arange(len(articulation.mouth.aperture_mm)) / CONTROL_HZ
    shut = (at >= closure.start_s) & (at <= closure.release_s)
    assert articulation.mouth.aperture_mm[shut].max() == 0
    assert articulation.mouth.aperture_mm[(at > closure.release_s + 0.02)][0] > 1
    vowel = loudness(wav, closure.start_s - 0.15, closure.start_s - 0.05)
    silent = loudness(wav, closure.start_s + 0.045, closure.release_s - 0.004)
    burst = loudness(wav, closure.release_s, closure.release_s + 0.012)
    assert silent < 0.03 * vowel
    assert burst > 3 * silent


def test_an_m_hums_with_its_lips_shut(voice):
    rng = np.random.default_rng(1)
    articulation = articulate(say("aa m aa"), MANNER, 1.0, rng)
    wav = speak(articulation, voice, RATE, rng)
    (closure,) = articulation.closures
    hum = loudness(wav, closure.start_s + 0.03, closure.release_s - 0.01)
    vowel = loudness(wav, closure.start_s - 0.15, closure.start_s - 0.05)
    assert 0.02 * vowel < hum < 0.7 * vowel


def test_an_open_vowel_opens_wider_than_a_round_one_which_rounds():
    rng = np.random.default_rng(1)
    wide = articulate(say("aa aa"), MANNER, 1.0, rng).mouth
    tight = articulate(say("uw uw"), MANNER, 1.0, rng).mouth
    assert wide.aperture_mm.max() > 2 * tight.aperture_mm.max()
    assert tight.rounding.max() > 0.9 > 0.1 > wide.rounding.max()


@pytest.mark.parametrize("seed", range(3))
def test_notes_sound_at_the_pitch_they_are_written_at(seed):
    rng = np.random.default_rng(seed)
    voice = Voice.draw(rng)._replace(room=0.0)
    manner = Manner.draw(rng, voice.pitch_hz)
    (score,) = draw_utterances(rng, (manner,), "singing")
    wav = speak(articulate(score, manner, 1.0, rng), voice, RATE, rng)
    notes = [note for note in score.notes if note.end_s - note.start_s > 0.3]
    assert notes
    for note in notes:
        middle = wav[round((note.start_s + 0.08) * RATE) : round((note.end_s - 0.03) * RATE)]
        heard = pitch_hz(middle, note.hz / 1.5, note.hz * 1.5)
        # Half a semitone: the vibrato swings up to a third of one to either side.
        assert abs(12 * np.log2(heard / note.hz)) < 0.5


def test_notes_lie_on_the_twelve_tone_scale():
    rng = np.random.default_rng(5)
    (score,) = draw_utterances(rng, (MANNER,), "singing")
    steps = 12 * np.log2(np.array([note.hz for note in score.notes]) / 440)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)


def test_a_shorter_throat_sounds_brighter(voice):
    def centre(tract: float) -> float:
        rng = np.random.default_rng(1)
        long = articulate(say("ah ah"), MANNER, 1.0, rng)
        power = np.abs(np.fft.rfft(speak(long, voice._replace(tract=tract), RATE, rng))) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    assert centre(0.8) > 1.1 * centre(1.05)


def test_people_who_take_turns_do_not_talk_at_once():
    rng = np.random.default_rng(2)
    talked = np.zeros(2)
    for _ in range(4):
        scores = draw_utterances(rng, (MANNER, MANNER), "speech", lead=None)
        talk = np.stack([talking(score) for score in scores])
        assert talk.sum(0).max() == 1
        talked += talk.sum(1)
    assert talked.min() > 0


def test_only_the_lead_is_heard():
    scores = draw_utterances(np.random.default_rng(2), (MANNER, MANNER), "singing", lead=1)
    assert [talking(score).any() for score in scores] == [False, True]


def talking(score: Score) -> np.ndarray:
    """1 in each hundredth of a second of the passage that has a sound in it."""
    busy = np.zeros(round(100 * PASSAGE_S))
    for s in score.sounds:
        if s.name not in ("rest", "inhale"):
            busy[round(s.start_s * 100) : round(s.end_s * 100)] = 1
    return busy
