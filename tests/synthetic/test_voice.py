"""The voice: silent while the lips are shut, in tune with its notes, one person at a time."""

import numpy as np
import pytest

from avsync.synthetic.articulation import CONTROL_HZ, articulate
from avsync.synthetic.phones import CONSONANTS, VOWELS
from avsync.synthetic.utterance import (
    PASSAGE_S,
    PhonePlan,
    SpeakingStyle,
    TimedPhone,
    draw_phone_plans,
)
from avsync.synthetic.voice import SyntheticVoice, synthesize_voice

RATE = 16000
STYLE = SpeakingStyle(1.0, 150.0, 1.0, 0.3, inhales=False, rest_mm=0.0)


@pytest.fixture
def voice() -> SyntheticVoice:
    return SyntheticVoice.draw(np.random.default_rng(0))._replace(room=0.0, jitter=0.004)


def say(names: str) -> PhonePlan:
    """Return a plan of consecutive phones, vowels 0.2 s long, with rests around them."""
    phones, now = [], 0.0
    rest = CONSONANTS["h"][0]._replace(aspiration=0.0, aperture_mm=0.0, dominance=0.6)
    for name in f"- {names} -".split():
        parts = CONSONANTS.get(name) or (VOWELS.get(name, rest),)
        for part, phone in enumerate(parts):
            length = 0.5 if name == "-" else 0.2 if name in VOWELS else phone.duration_s
            burst = 0 if part == 1 else None
            phones.append(TimedPhone(name, phone, now, now + length, 1.0, 150.0, burst))
            now += length
    phones[-1] = phones[-1]._replace(end_s=PASSAGE_S)
    return PhonePlan(tuple(phones), (), "speech")


def loudness(wav: np.ndarray, start_s: float, end_s: float) -> float:
    return float(np.sqrt(np.mean(wav[round(start_s * RATE) : round(end_s * RATE)] ** 2)))


def pitch_hz(wav: np.ndarray, low: float, high: float) -> float:
    """Estimate the pitch by autocorrelation, with a parabolic fit between samples."""
    size = 2 * len(wav)
    power = np.abs(np.fft.rfft(wav - wav.mean(), size)) ** 2
    same = np.fft.irfft(power)[: len(wav)] / np.arange(len(wav), 0, -1)
    lags = np.arange(int(RATE / high), int(RATE / low) + 1)
    lag = lags[int(np.argmax(same[lags]))]
    left, mid, right = same[lag - 1 : lag + 2]
    return RATE / (lag + 0.5 * (left - right) / (left - 2 * mid + right))


def test_lips_are_shut_and_silent_until_the_burst_of_a_p(voice):
    plan = say("aa p aa")
    rng = np.random.default_rng(1)
    articulation = articulate(plan, STYLE, 1.0, rng)
    wav = synthesize_voice(articulation, voice, RATE, rng)
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
    articulation = articulate(say("aa m aa"), STYLE, 1.0, rng)
    wav = synthesize_voice(articulation, voice, RATE, rng)
    (closure,) = articulation.closures
    hum = loudness(wav, closure.start_s + 0.03, closure.release_s - 0.01)
    vowel = loudness(wav, closure.start_s - 0.15, closure.start_s - 0.05)
    assert 0.02 * vowel < hum < 0.7 * vowel


def test_an_open_vowel_opens_wider_than_a_round_one_which_rounds():
    rng = np.random.default_rng(1)
    wide = articulate(say("aa aa"), STYLE, 1.0, rng).mouth
    tight = articulate(say("uw uw"), STYLE, 1.0, rng).mouth
    assert wide.aperture_mm.max() > 2 * tight.aperture_mm.max()
    assert tight.rounding.max() > 0.9 > 0.1 > wide.rounding.max()


@pytest.mark.parametrize("seed", range(3))
def test_notes_are_sung_at_their_pitch(seed):
    rng = np.random.default_rng(seed)
    voice = SyntheticVoice.draw(rng)._replace(room=0.0)
    style = SpeakingStyle.draw(rng, voice.pitch_hz)
    (plan,) = draw_phone_plans(rng, (style,), "singing")
    wav = synthesize_voice(articulate(plan, style, 1.0, rng), voice, RATE, rng)
    notes = [note for note in plan.notes if note.end_s - note.start_s > 0.3]
    assert notes
    for note in notes:
        middle = wav[round((note.start_s + 0.08) * RATE) : round((note.end_s - 0.03) * RATE)]
        measured = pitch_hz(middle, note.hz / 1.5, note.hz * 1.5)
        # Half a semitone: the vibrato swings up to a third of one to either side.
        assert abs(12 * np.log2(measured / note.hz)) < 0.5


def test_notes_are_on_the_twelve_tone_scale():
    rng = np.random.default_rng(5)
    (plan,) = draw_phone_plans(rng, (STYLE,), "singing")
    steps = 12 * np.log2(np.array([note.hz for note in plan.notes]) / 440)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)


def test_a_shorter_vocal_tract_is_brighter(voice):
    def centre(tract: float) -> float:
        rng = np.random.default_rng(1)
        long = articulate(say("ah ah"), STYLE, 1.0, rng)
        wav = synthesize_voice(long, voice._replace(tract_length=tract), RATE, rng)
        power = np.abs(np.fft.rfft(wav)) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    assert centre(0.8) > 1.1 * centre(1.05)


def test_people_who_take_turns_do_not_talk_at_once():
    rng = np.random.default_rng(2)
    talked = np.zeros(2)
    for _ in range(4):
        plans = draw_phone_plans(rng, (STYLE, STYLE), "speech", lead=None)
        talk = np.stack([talking(plan) for plan in plans])
        assert talk.sum(0).max() == 1
        talked += talk.sum(1)
    assert talked.min() > 0


def test_only_the_lead_speaks():
    plans = draw_phone_plans(np.random.default_rng(2), (STYLE, STYLE), "singing", lead=1)
    assert [talking(plan).any() for plan in plans] == [False, True]


def talking(plan: PhonePlan) -> np.ndarray:
    """Return 1 for each hundredth of a second of the passage with a phone, 0 elsewhere."""
    busy = np.zeros(round(100 * PASSAGE_S))
    for s in plan.phones:
        if s.name not in ("rest", "inhale"):
            busy[round(s.start_s * 100) : round(s.end_s * 100)] = 1
    return busy
