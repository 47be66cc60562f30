import math

import pytest
import torch

from avsync.metrics.bss_eval import bss_eval_v3, bss_eval_v4
from avsync.metrics.separation import BssOptions, SeparationScores, score_sources

B, N = 2, 6000


@pytest.fixture
def sounds():
    g = torch.Generator().manual_seed(0)
    return torch.randn(4, B, N, generator=g, dtype=torch.float64)


def test_leakage_of_the_second_voice_is_artefact_or_interference(sounds):
    voice, music, second, _ = sounds
    scores = score_sources(voice + 0.2 * second + 0.02 * music, voice, music, second)
    # 0.2 of a voice as loud is 14 dB. The filters of the music, 512 taps for 6000 samples, make a
    # twelfth of the leakage of it: 11 dB more.
    for got, about in ((scores.sdr, 14), (scores.sir, 14 + 11), (scores.sar, 14)):
        assert (got - about).abs().max() < 1.5
    assert (scores.sir_with_second - 14).abs().max() < 1.5
    assert (scores.sar_with_second > 60).all()


def test_figures_are_those_of_bss_eval(sounds):
    voice, music, second, noise = sounds
    estimate = voice + 0.3 * noise
    scores = score_sources(estimate, voice, music, second)
    published = bss_eval_v3(torch.stack([voice, music], 1), estimate[:, None])
    torch.testing.assert_close(scores.sir, published.sir[:, 0, 0])
    among = bss_eval_v3(torch.stack([voice, music, second], 1), estimate[:, None])
    torch.testing.assert_close(scores.sar_with_second, among.sar[:, 0, 0])


def test_gains_are_over_the_mixture(sounds):
    voice, music, second, _ = sounds
    mixture = voice + music + second
    of_nothing = score_sources(mixture, voice, music, second)
    for gain in (of_nothing.sdr_gain, of_nothing.sir_gain, of_nothing.si_sdr_gain):
        assert gain.abs().max() < 1e-9
    # Music and second voice 20 dB down.
    better = score_sources(voice + 0.1 * (music + second), voice, music, second)
    assert (better.si_sdr_gain - 20).abs().max() < 1
    assert (better.sir_with_second_gain - 20).abs().max() < 1


def test_a_mixture_of_its_own_is_what_gains_are_over(sounds):
    voice, music, _, noise = sounds
    estimate = voice + 0.1 * music
    louder = score_sources(estimate, voice, music, mixture=voice + music + 3 * noise)
    assert (louder.sdr_gain > score_sources(estimate, voice, music).sdr_gain).all()


def test_without_a_second_voice_both_ways_are_one(sounds):
    voice, music, second, _ = sounds
    second = second.clone()
    second[0] = 0
    leak = 0.1 * sounds[2]
    scores = score_sources(voice + 0.1 * music + leak, voice, music, second)
    torch.testing.assert_close(scores.sir[0], scores.sir_with_second[0])
    assert scores.sir[1] > scores.sir_with_second[1] + 1


def test_where_there_is_only_the_voice_there_is_no_interference(sounds):
    voice, _, second, noise = sounds
    scores = score_sources(voice + 0.1 * second + 0.01 * noise, voice, None, second)
    assert scores.sir.isnan().all() and scores.sir_gain.isnan().all()
    assert (scores.sir_with_second - 20).abs().max() < 1.5
    assert scores.sdr.isfinite().all()


def test_parts_of_the_accompaniment_are_references_each(sounds):
    voice, drums, bass, _ = sounds
    parts = torch.stack([drums, bass, torch.zeros_like(bass)], 1)
    estimate = voice + 0.1 * drums + 0.1 * bass
    apart = score_sources(estimate, voice, parts)
    assert (apart.sar > 60).all()
    assert (score_sources(voice + 0.1 * drums, voice, drums + bass).sar < 30).all()


def test_silence_is_counted_and_left_out_of_the_means(sounds):
    voice, music, _, _ = (each.clone() for each in sounds)
    voice[1] = 0
    scores = score_sources(voice + 0.1 * music, voice, music)
    assert scores.silent() == 1
    means = scores.means()
    assert set(means) == set(SeparationScores._fields)
    assert means["sdr"] == pytest.approx(float(scores.sdr[0]))
    assert not any(math.isnan(value) for value in means.values())


def test_version_4_is_the_median_over_windows(sounds):
    voice, music, _, _ = sounds
    estimate = voice + 0.1 * music
    estimate[:, :1500] = 0
    scores = score_sources(estimate, voice, music, options=BssOptions("v4", 1500, 1500))
    windows = bss_eval_v4(torch.stack([voice, music], 1), estimate[:, None], 1500, 1500).sdr[:, 0]
    torch.testing.assert_close(scores.sdr, windows[:, 1:].median(-1).values)


def test_wrong_shapes_are_named(sounds):
    voice, music, _, _ = sounds
    with pytest.raises(ValueError, match=r"estimates must be \(B, N\) .* got \(2, 5999\)"):
        score_sources(voice[:, :-1], voice, music)
    with pytest.raises(ValueError, match=r"accompaniment must be \(2, 6000\) or \(2, A, 6000\)"):
        score_sources(voice, voice, music[:, :-1])
