"""The offset of GRID is measured correctly on signals with a known offset."""

import cv2
import numpy as np
import pytest

from avsync.timing import SAMPLE_RATE
from benchmarks.sync import grid_offset, plosives


def voice(seconds: float, level: float) -> np.ndarray:
    """Make pulses at 100 Hz that ring at 2 kHz for a few milliseconds."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return level * np.sin(2 * np.pi * 2000 * time_s) * np.exp(-(time_s % 0.01) / 0.004)


def wav_with_plosive(closed_s: float, burst_s: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    wav = voice(1.0, 0.5)
    wav[round(closed_s * SAMPLE_RATE) : round(burst_s * SAMPLE_RATE)] = 0
    burst = slice(round(burst_s * SAMPLE_RATE), round((burst_s + 0.01) * SAMPLE_RATE))
    wav[burst] += 0.3 * rng.standard_normal(burst.stop - burst.start)
    return wav + 1e-4 * rng.standard_normal(len(wav))


@pytest.mark.parametrize("burst_s", [0.5, 0.5123, 0.5487])
def test_a_burst_is_found_within_two_milliseconds(burst_s):
    level = plosives.high_band_db(wav_with_plosive(burst_s - 0.07, burst_s))
    found_s, rise_db = plosives.find_burst(level, 0.42, 0.62)
    assert found_s == pytest.approx(burst_s, abs=0.002)
    assert rise_db > plosives.MIN_BURST_DB


def test_a_closure_is_found_within_half_a_glottal_pulse():
    level = plosives.high_band_db(wav_with_plosive(0.434, 0.51))
    found_s, fall_db = plosives.find_closure(level, 0.35, 0.51)
    assert found_s == pytest.approx(0.434, abs=0.006)
    assert fall_db > plosives.MIN_CLOSURE_DB


def test_only_plosives_are_detected_and_closures_only_after_vowels():
    wav = wav_with_plosive(0.43, 0.5)
    detect = plosives.detect_plosives
    assert [event.word for event in detect(wav, [(0.1, "lay"), (0.45, "blue")])] == ["blue"]
    assert list(detect(wav, [(0.1, "lay"), (0.45, "white")])) == []
    (after_vowel,) = detect(wav, [(0.1, "lay"), (0.45, "blue")])
    (after_stop,) = detect(wav, [(0.1, "white"), (0.45, "by")])
    assert after_vowel.closure_s is not None
    assert after_stop.closure_s is None


def mouth_with_gap(rows: int) -> np.ndarray:
    """Draw red lips on skin with a dark gap of `rows` rows, `(96, 96, 3)` RGB."""
    image = np.full((96, 96, 3), (200, 160, 140), np.uint8)
    image[42:66, 20:76] = (190, 90, 90)
    image[54 : 54 + rows, 30:66] = (60, 40, 40)
    return image


def test_the_opening_grows_with_every_row_of_the_gap():
    openings = [plosives.lip_opening(mouth_with_gap(rows)) for rows in range(6)]
    steps = np.diff(openings)
    assert openings[0] == 0
    np.testing.assert_allclose(steps, steps[0])
    assert steps[0] > 0


def test_brightness_alone_is_no_opening():
    image = mouth_with_gap(0)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert plosives.lip_opening(grey) == 0


def curves_of(offset_ms: float, blur_ms: float, clips: int = 60, noise: float = 0.05):
    """Make openings of lips that part `offset_ms` after the burst, at random frame phases."""
    rng = np.random.default_rng(1)
    exposure = np.linspace(-blur_ms / 2, blur_ms / 2, 41)
    curves = []
    for _ in range(clips):
        at_ms = np.arange(-4, 4) * 40.0 + rng.uniform(0, 40)
        parted_ms = np.maximum(0, at_ms[:, None] + exposure - offset_ms)
        opening = (1 - np.exp(-parted_ms / 20)).mean(1) + noise * rng.standard_normal(len(at_ms))
        curves.append(grid_offset.Curve(at_ms, opening))
    return curves


@pytest.mark.parametrize("offset_ms", [-40.0, -7.0, 0.0, 23.0, 40.0])
def test_the_offset_of_many_releases_is_found_far_inside_a_frame(offset_ms):
    curves = curves_of(offset_ms, blur_ms=20)
    assert grid_offset.start_ms(curves, blur_ms=20) == pytest.approx(offset_ms, abs=3)


def test_lips_that_part_after_the_burst_mean_that_the_audio_leads():
    found = [grid_offset.Plosive("a", "p", curve, None) for curve in curves_of(30, 20)]
    assert grid_offset.by_release(found, 20) == pytest.approx(30, abs=3)


def test_what_hides_a_narrow_gap_does_not_shift_the_middle():
    """Detect releases 15 ms late and closures 15 ms early, with audio that leads by 10 ms."""
    late, early = curves_of(10 + 15, 20), curves_of(-10 + 15, 20)
    found = [
        grid_offset.Plosive(str(i), "p", release, closure)
        for i, (release, closure) in enumerate(zip(late, early, strict=True))
    ]
    assert grid_offset.by_middle(found, 20) == pytest.approx(10, abs=3)
    assert grid_offset.by_release(found, 20) == pytest.approx(25, abs=3)


def test_an_offset_that_differs_between_clips_is_distinguished_from_noise():
    def clips(shift_ms: float):
        rng = np.random.default_rng(2)
        for i in range(80):
            own = shift_ms * rng.standard_normal()
            for word in ("place", "by"):
                phased = np.arange(-4, 4) * 40.0 + rng.uniform(0, 40)
                opening = np.clip((phased - own) / 30, 0, 1)
                curve = grid_offset.Curve(phased, opening)
                yield grid_offset.Plosive(str(i), word, curve, None)

    spread = grid_offset.spread
    assert spread(list(clips(0)))["between_clips_sd_ms"] < 3
    assert spread(list(clips(15)))["between_clips_sd_ms"] == pytest.approx(15, rel=0.4)


def test_repeated_and_unevenly_timed_frames_are_reported():
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 255, (10, 32, 32, 3), dtype=np.uint8))
    times_s = np.arange(10) / 25
    inspect, frames = grid_offset.inspect, grid_offset.TimedFrames
    assert inspect("good", frames(images, times_s))[1:] == (10, False, 0)
    frozen = [*images[:4], images[3], *images[5:]]
    assert inspect("frozen", frames(frozen, times_s)).repeated == 1
    dropped = times_s + 0.04 * (np.arange(10) > 5)
    assert inspect("dropped", frames(images, dropped)).uneven
