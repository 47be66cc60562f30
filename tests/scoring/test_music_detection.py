import numpy as np
import pytest

from avsync.media.audio_reader import read_audio
from avsync.scoring.music_detection import is_music
from avsync.timing import SAMPLE_RATE

SECONDS = 6
T = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE


def chords():
    """Return three notes a second, each struck and held into the next."""
    notes = 220 * 2 ** (np.random.default_rng(0).integers(0, 13, 3 * SECONDS) / 12)
    pitch = np.repeat(notes, SAMPLE_RATE // 3 + 1)[: len(T)]
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    return 0.2 * sum(np.sin(k * phase) / k for k in (1, 2, 3, 5)) * (0.6 + 0.4 * np.cos(9 * T) ** 2)


def babble():
    """Return noise in syllables, four a second, with a pause after every six."""
    noise = np.random.default_rng(0).normal(size=len(T))
    return 0.1 * noise * np.sin(np.pi * 4 * T) ** 4 * (np.sin(np.pi * T / 0.75) > -0.2)


def test_one_note_struck_again_and_again_is_music():
    struck = np.sin(2 * np.pi * 440 * T) * np.exp(-3 * (T % 1.5))
    assert is_music(struck)


def test_notes_that_hold_are_music_and_syllables_are_not():
    assert is_music(chords())
    assert not is_music(babble())


@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_loudness_does_not_matter(gain):
    assert is_music(gain * chords())
    assert not is_music(gain * babble())


def test_what_is_silent_or_short_is_not_music():
    assert not is_music(np.zeros(3 * SAMPLE_RATE))
    assert not is_music(chords()[: SAMPLE_RATE // 2])


@pytest.mark.real_data
def test_real_voices_are_not_music_and_real_accompaniments_are(shared):
    data = shared / "data"
    talk = sorted((data / "grid_other_speakers").iterdir())
    talk += sorted((data / "wild_lrs3").iterdir())
    voices = [np.concatenate(list(read_audio(path, 0.0))) for path in talk]
    assert np.mean([is_music(voice) for voice in voices]) <= 0.05
    songs = sorted((data / "mir1k").glob("*.flac"))[::17]
    played = [np.concatenate(list(read_audio(path, 0.0, mono=False)), axis=1)[0] for path in songs]
    assert np.mean([is_music(wav) for wav in played]) >= 0.9
