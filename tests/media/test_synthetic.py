"""Rendered people: the same seed gives the same clip, and lips and voice belong together in
time."""

import numpy as np
import pytest

from avsync.media.synthetic import SyntheticClip, iter_frames, render

SMALL = {"size": (160, 128), "sample_rate": 16000}


@pytest.fixture(scope="module")
def speech() -> SyntheticClip:
    return render(seed=5, duration_s=4.0, **SMALL)


def envelope(clip: SyntheticClip) -> np.ndarray:
    """Loudness in the 40 ms around each frame's instant, `(T,)`."""
    half = clip.sample_rate // 50
    padded = np.pad(clip.wav.astype(np.float64), half)
    at = np.round(np.arange(len(clip.frames)) / clip.fps * clip.sample_rate).astype(int)
    return np.array([np.sqrt(np.mean(padded[i : i + 2 * half] ** 2)) for i in at])


def agree(clip: SyntheticClip, shift: int) -> float:
    """Correlation of the mouth's opening with the loudness `shift` frames later."""
    return float(np.corrcoef(np.roll(envelope(clip), -shift), clip.aperture_mm[0])[0, 1])


def test_the_same_seed_gives_the_same_bytes():
    one, two = (render(seed=3, duration_s=0.4, mode="singing", **SMALL) for _ in range(2))
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.wav, two.wav)


def test_another_seed_gives_other_people():
    one, two = (render(seed=seed, duration_s=0.4, **SMALL) for seed in (3, 4))
    assert np.abs(one.frames.astype(int) - two.frames).mean() > 5
    assert np.abs(np.corrcoef(one.wav, two.wav)[0, 1]) < 0.3


def test_mouth_and_loudness_agree_best_at_no_shift(speech):
    clips = (speech, render(seed=6, duration_s=4.0, **SMALL))
    shifts = range(-6, 7)
    agreement = np.mean([[agree(clip, shift) for shift in shifts] for clip in clips], axis=0)
    assert shifts[int(np.argmax(agreement))] == 0
    assert max(agreement) > 0.6


def test_frames_one_by_one_are_those_of_the_clip():
    clip = render(seed=7, duration_s=0.3, faces=2, **SMALL)
    np.testing.assert_array_equal(
        clip.frames, list(iter_frames(seed=7, duration_s=0.3, faces=2, size=(160, 128)))
    )
