"""Audio laid out anew keeps every sample that has a place, once, and tones stay pure."""

import weakref
from math import inf

import numpy as np
import pytest

from avsync.media.writers.time_map import AudioSegment, apply_time_map, played_segments

RATE = 8000
FADE = 80  # Samples of 10 ms.


def lay_out(wav, segments, block=1000):
    blocks = (wav[:, at : at + block] for at in range(0, wav.shape[1], block))
    return np.concatenate(list(apply_time_map(blocks, played_segments(segments, RATE))), axis=1)


@pytest.fixture
def wav():
    return np.random.default_rng(0).uniform(-1, 1, (2, 5 * RATE)).astype(np.float32)


@pytest.mark.parametrize("offset_ms", [0.0, 125.0, -125.0])
def test_a_constant_shift_moves_every_sample_and_changes_none(wav, offset_ms):
    moved = lay_out(wav, [AudioSegment(0, inf, offset_ms, 0)])
    samples = round(offset_ms * RATE / 1000)
    expected = np.pad(wav, ((0, 0), (max(samples, 0), 0)))[:, max(-samples, 0) :]
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("ppm", [1000.0, -300.0, 41000.0])
def test_a_drift_changes_the_pitch_and_nothing_else(ppm):
    t = np.arange(4 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * t)[None].astype(np.float32)
    slowed = lay_out(tone, [AudioSegment(0, inf, 0, ppm)])[0]
    # Audio that gets early is slowed down: it ends later by as much.
    assert len(slowed) == pytest.approx(4 * RATE / (1 - ppm * 1e-6), abs=1)
    inner = slice(100, 3 * RATE)
    expected = np.sin(2 * np.pi * 1000 * (1 - ppm * 1e-6) * np.arange(len(slowed)) / RATE)
    noise = slowed[inner] - expected[inner]
    assert 10 * np.log10(np.mean(noise**2) / 0.5) < -85


def test_a_drift_undoes_itself(wav):
    smooth = np.apply_along_axis(lambda row: np.convolve(row, np.hanning(9) / 4, "same"), 1, wav)
    there = lay_out(smooth.astype(np.float32), [AudioSegment(0, inf, 40.0, 500)])
    slower = 1 / (1 - 500e-6)
    back = lay_out(there, [AudioSegment(0, inf, -40.0 * slower, 1e6 * (1 - slower))])
    inner = slice(RATE, 4 * RATE)
    assert np.abs(back[:, inner] - smooth[:, inner]).max() < 0.03


def test_where_audio_is_missing_comes_silence_and_every_sample_plays_once(wav):
    moved = lay_out(wav, [AudioSegment(0, 2, 0, 0), AudioSegment(2, 5, 250, 0)])
    cut, gap = 2 * RATE, RATE // 4
    assert moved.shape[1] == wav.shape[1] + gap
    np.testing.assert_array_equal(moved[:, : cut - FADE], wav[:, : cut - FADE])
    assert not moved[:, cut : cut + gap].any()
    np.testing.assert_array_equal(moved[:, cut + gap + FADE :], wav[:, cut + FADE :])


def test_where_there_is_too_much_audio_it_is_cut_without_a_click():
    ramp = np.linspace(0, 1, 5 * RATE, dtype=np.float32)[None]
    moved = lay_out(ramp, [AudioSegment(0, 2, 0, 0), AudioSegment(2, 5, -250, 0)])[0]
    cut, gap = 2 * RATE, RATE // 4
    assert len(moved) == 5 * RATE - gap
    np.testing.assert_array_equal(moved[: cut - FADE], ramp[0, : cut - FADE])
    np.testing.assert_array_equal(moved[cut + FADE :], ramp[0, cut + gap + FADE :])
    # Without the fade the wave would jump by a twentieth.
    assert np.abs(np.diff(moved)).max() < 0.05 / 20


def test_a_steady_wave_stays_as_loud_across_a_cut():
    steady = np.ones((1, 4 * RATE), np.float32)
    moved = lay_out(steady, [AudioSegment(0, 2, 0, 0), AudioSegment(2, 4, -100, 0)])
    np.testing.assert_allclose(moved, 1, atol=1e-6)


def test_the_size_of_blocks_does_not_matter(wav):
    plan = [AudioSegment(0, 1, 20, 700), AudioSegment(1, 3, 200, 0), AudioSegment(3, 5, -90, -200)]
    whole = lay_out(wav, plan, block=10**6)
    for block in (7, 4096):
        np.testing.assert_array_equal(lay_out(wav, plan, block), whole)


def test_only_a_little_of_the_audio_is_held():
    alive = weakref.WeakSet()

    class Block(np.ndarray):
        pass

    def blocks():
        for _ in range(300):
            block = np.zeros((1, RATE), np.float32).view(Block)
            alive.add(_Handle(block))
            yield block

    class _Handle:
        def __init__(self, block):
            weakref.finalize(block, alive.discard, self)
            self.block = weakref.ref(block)
            kept.append(self)

    kept: list[_Handle] = []
    most = 0
    for _ in apply_time_map(blocks(), played_segments([AudioSegment(0, inf, 500, 100)], RATE)):
        most = max(most, sum(handle.block() is not None for handle in kept))
    assert len(kept) == 300
    assert most < 8


def test_no_segment_is_an_error():
    with pytest.raises(ValueError, match="segments must hold at least one"):
        played_segments([], RATE)
