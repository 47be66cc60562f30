"""The measurement of GRID's offset, on signals whose answer is known."""

import importlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from avsync.timing import SAMPLE_RATE

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """The script as it is when run: its folder is where its parts are found."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("grid_offset")


@pytest.fixture
def plosives(bench):
    return importlib.import_module("plosives")


def voice(seconds: float, level: float) -> np.ndarray:
    """Pulses at 100 Hz that ring at 2 kHz for a few milliseconds."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return level * np.sin(2 * np.pi * 2000 * time_s) * np.exp(-(time_s % 0.01) / 0.004)


def sound_with_plosive(closed_s: float, burst_s: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    wav = voice(1.0, 0.5)
    wav[round(closed_s * SAMPLE_RATE) : round(burst_s * SAMPLE_RATE)] = 0
    burst = slice(round(burst_s * SAMPLE_RATE), round((burst_s + 0.01) * SAMPLE_RATE))
    wav[burst] += 0.3 * rng.standard_normal(burst.stop - burst.start)
    return wav + 1e-4 * rng.standard_normal(len(wav))


@pytest.mark.parametrize("burst_s", [0.5, 0.5123, 0.5487])
def test_a_burst_is_found_within_two_milliseconds(plosives, burst_s):
    level = plosives.high_band_db(sound_with_plosive(burst_s - 0.07, burst_s))
    found_s, rise_db = plosives.find_burst(level, 0.42, 0.62)
    assert found_s == pytest.approx(burst_s, abs=0.002)
    assert rise_db > plosives.MIN_BURST_DB


def test_a_closure_is_found_within_half_a_pulse_of_the_voice(plosives):
    level = plosives.high_band_db(sound_with_plosive(0.434, 0.51))
    found_s, fall_db = plosives.find_closure(level, 0.35, 0.51)
    assert found_s == pytest.approx(0.434, abs=0.006)
    assert fall_db > plosives.MIN_CLOSURE_DB


def test_only_plosives_are_heard_and_closures_only_after_vowels(plosives):
    wav = sound_with_plosive(0.43, 0.5)
    assert [s.word for s in plosives.listen(wav, [(0.1, "lay"), (0.45, "blue")])] == ["blue"]
    assert list(plosives.listen(wav, [(0.1, "lay"), (0.45, "white")])) == []
    (after_vowel,) = plosives.listen(wav, [(0.1, "lay"), (0.45, "blue")])
    (after_stop,) = plosives.listen(wav, [(0.1, "white"), (0.45, "by")])
    assert after_vowel.closure_s is not None
    assert after_stop.closure_s is None


def mouth_with_gap(rows: int) -> np.ndarray:
    """Red lips on skin with a dark gap of some rows between them, `(96, 96, 3)` RGB."""
    image = np.full((96, 96, 3), (200, 160, 140), np.uint8)
    image[42:66, 20:76] = (190, 90, 90)
    image[54 : 54 + rows, 30:66] = (60, 40, 40)
    return image


def test_the_opening_grows_with_every_row_of_the_gap(plosives):
    openings = [plosives.lip_opening(mouth_with_gap(rows)) for rows in range(6)]
    steps = np.diff(openings)
    assert openings[0] == 0
    np.testing.assert_allclose(steps, steps[0])
    assert steps[0] > 0


def test_brightness_alone_is_no_opening(plosives):
    image = mouth_with_gap(0)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert plosives.lip_opening(grey) == 0


def curve_of(bench, offset_ms: float, blur_ms: float, clips: int = 60, noise: float = 0.05):
    """Openings of lips that part at `offset_ms` after the burst, each release at its own phase."""
    rng = np.random.default_rng(1)
    exposure = np.linspace(-blur_ms / 2, blur_ms / 2, 41)
    curves = []
    for _ in range(clips):
        at_ms = np.arange(-4, 4) * 40.0 + rng.uniform(0, 40)
        parted_ms = np.maximum(0, at_ms[:, None] + exposure - offset_ms)
        opening = (1 - np.exp(-parted_ms / 20)).mean(1) + noise * rng.standard_normal(len(at_ms))
        curves.append(bench.Curve(at_ms, opening))
    return curves


@pytest.mark.parametrize("offset_ms", [-40.0, -7.0, 0.0, 23.0, 40.0])
def test_the_offset_of_many_releases_is_found_far_inside_a_frame(bench, offset_ms):
    curves = curve_of(bench, offset_ms, blur_ms=20)
    assert bench.start_ms(curves, blur_ms=20) == pytest.approx(offset_ms, abs=3)


def test_lips_that_part_after_the_burst_say_that_the_audio_leads(bench):
    plosives = [bench.Plosive("a", "p", c, None) for c in curve_of(bench, 30, 20)]
    assert bench.by_release(plosives, 20) == pytest.approx(30, abs=3)


def test_what_hides_a_narrow_gap_does_not_move_the_middle(bench):
    """Releases seen 15 ms late and closures 15 ms early, on a file whose audio leads by 10 ms."""
    late, early = curve_of(bench, 10 + 15, 20), curve_of(bench, -10 + 15, 20)
    plosives = [
        bench.Plosive(str(i), "p", r, c) for i, (r, c) in enumerate(zip(late, early, strict=True))
    ]
    assert bench.by_middle(plosives, 20) == pytest.approx(10, abs=3)
    assert bench.by_release(plosives, 20) == pytest.approx(25, abs=3)


def test_an_offset_that_differs_between_clips_is_told_from_noise(bench):
    def clips(shift_ms: float):
        rng = np.random.default_rng(2)
        for i in range(80):
            own = shift_ms * rng.standard_normal()
            for word in ("place", "by"):
                phased = np.arange(-4, 4) * 40.0 + rng.uniform(0, 40)
                opening = np.clip((phased - own) / 30, 0, 1)
                yield bench.Plosive(str(i), word, bench.Curve(phased, opening), None)

    assert bench.spread(list(clips(0)))["between_clips_sd_ms"] < 3
    assert bench.spread(list(clips(15)))["between_clips_sd_ms"] == pytest.approx(15, rel=0.4)


def test_repeated_and_unevenly_timed_pictures_are_reported(bench):
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 255, (10, 32, 32, 3), dtype=np.uint8))
    times_s = np.arange(10) / 25
    assert bench.inspect("good", bench.Pictures(images, times_s))[1:] == (10, False, 0)
    frozen = [*images[:4], images[3], *images[5:]]
    assert bench.inspect("frozen", bench.Pictures(frozen, times_s)).repeated == 1
    dropped = times_s + 0.04 * (np.arange(10) > 5)
    assert bench.inspect("dropped", bench.Pictures(images, dropped)).uneven
