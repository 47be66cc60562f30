"""Cuts fall into pauses, for the audio before and for the audio behind them."""

import wave

import numpy as np
import pytest

from avsync.media.writers.retime import cut_at_silence
from avsync.media.writers.time_map import AudioSegment

RATE = 16000


def speak(path, pauses):
    """Noise of four seconds, silent from when to when."""
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE)
    for start_s, end_s in pauses:
        wav[round(start_s * RATE) : round(end_s * RATE)] = 0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((32767 * wav).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "pauses", "cut_s"),
    [
        # Audio is missing: what plays up to the cut and from there on meet in one pause.
        (0, 200, [(1.8, 2.05)], 2.025),
        # Too much of it: both ends are in a pause.
        (0, -200, [(2.1, 2.2), (2.3, 2.4)], 2.15),
        (100, -100, [(2.05, 2.15), (2.25, 2.35)], 2.2),
    ],
)
def test_a_cut_falls_where_both_ends_are_quiet(tmp_path, before_ms, after_ms, pauses, cut_s):
    path = speak(tmp_path / "a.wav", pauses)
    moved = cut_at_silence(
        path, 0.0, [AudioSegment(0, 2, before_ms, 0), AudioSegment(2, 4, after_ms, 0)]
    )
    assert moved[0].end_s == moved[1].start_s == pytest.approx(cut_s, abs=0.04)
    assert (moved[0].start_s, moved[1].end_s) == (0, 4)


def test_without_a_pause_nearby_a_cut_stays_near(tmp_path):
    path = speak(tmp_path / "a.wav", [(3.0, 3.5)])
    moved = cut_at_silence(path, 0.0, [AudioSegment(0, 2, 0, 0), AudioSegment(2, 4, 100, 0)])
    assert abs(moved[1].start_s - 2) <= 0.301


def test_in_silence_a_cut_stays_where_it_is(tmp_path):
    path = speak(tmp_path / "a.wav", [(0.0, 4.0)])
    segments = [AudioSegment(0, 1, 0, 0), AudioSegment(1, 3, 300, 0), AudioSegment(3, 4, -300, 0)]
    np.testing.assert_allclose(cut_at_silence(path, 0.0, segments), segments)
