import math

import pytest
import torch

from avsync.metrics.bss_eval import bss_eval_v3, bss_eval_v4
from avsync.metrics.separation import BssOptions, SeparationScores, score_sources, si_sdr

pytestmark = pytest.mark.arithmetic

B, N = 2, 6000


@pytest.fixture
def sources():
    g = torch.Generator().manual_seed(0)
    return torch.randn(4, B, N, generator=g, dtype=torch.float64)


def test_leakage_of_the_second_voice_is_artefact_or_interference(sources):
    voice, music, second, _ = sources
    scores = score_sources(voice + 0.2 * second + 0.02 * music, voice, music, second)
    # 0.2 of an equally loud voice is 14 dB. The filters of the music, 512 taps for 6000 samples,
    # reproduce a twelfth of the leakage: 11 dB more.
    for scores_db, expected in ((scores.sdr, 14), (scores.sir, 14 + 11), (scores.sar, 14)):
        assert (scores_db - expected).abs().max() < 1.5
    assert (scores.sir_with_second - 14).abs().max() < 1.5
    assert (scores.sar_with_second > 60).all()


def test_scores_equal_those_of_bss_eval(sources):
    voice, music, second, noise = sources
    estimate = voice + 0.3 * noise
    scores = score_sources(estimate, voice, music, second)
    published = bss_eval_v3(torch.stack([voice, music], 1), estimate[:, None])
    torch.testing.assert_close(scores.sir, published.sir[:, 0, 0])
    with_second = bss_eval_v3(torch.stack([voice, music, second], 1), estimate[:, None])
    torch.testing.assert_close(scores.sar_with_second, with_second.sar[:, 0, 0])


def test_gains_are_relative_to_the_mixture(sources):
    voice, music, second, _ = sources
    mixture = voice + music + second
    unchanged = score_sources(mixture, voice, music, second)
    for gain in (unchanged.sdr_gain, unchanged.sir_gain, unchanged.si_sdr_gain):
        assert gain.abs().max() < 1e-9
    # Music and second voice 20 dB down.
    better = score_sources(voice + 0.1 * (music + second), voice, music, second)
    assert (better.si_sdr_gain - 20).abs().max() < 1
    assert (better.sir_with_second_gain - 20).abs().max() < 1


def test_gains_are_relative_to_a_given_mixture(sources):
    voice, music, _, noise = sources
    estimate = voice + 0.1 * music
    louder = score_sources(estimate, voice, music, mixture=voice + music + 3 * noise)
    assert (louder.sdr_gain > score_sources(estimate, voice, music).sdr_gain).all()


def test_without_a_second_voice_both_sirs_are_equal(sources):
    voice, music, second, _ = sources
    second = second.clone()
    second[0] = 0
    leak = 0.1 * sources[2]
    scores = score_sources(voice + 0.1 * music + leak, voice, music, second)
    torch.testing.assert_close(scores.sir[0], scores.sir_with_second[0])
    assert scores.sir[1] > scores.sir_with_second[1] + 1


def test_sir_is_nan_if_the_voice_is_the_only_reference(sources):
    voice, _, second, noise = sources
    scores = score_sources(voice + 0.1 * second + 0.01 * noise, voice, None, second)
    assert scores.sir.isnan().all() and scores.sir_gain.isnan().all()
    assert (scores.sir_with_second - 20).abs().max() < 1.5
    assert scores.sdr.isfinite().all()


def test_parts_of_the_accompaniment_are_separate_references(sources):
    voice, drums, bass, _ = sources
    parts = torch.stack([drums, bass, torch.zeros_like(bass)], 1)
    estimate = voice + 0.1 * drums + 0.1 * bass
    in_parts = score_sources(estimate, voice, parts)
    assert (in_parts.sar > 60).all()
    assert (score_sources(voice + 0.1 * drums, voice, drums + bass).sar < 30).all()


def test_silent_items_are_counted_and_left_out_of_the_means(sources):
    voice, music, _, _ = (source.clone() for source in sources)
    voice[1] = 0
    scores = score_sources(voice + 0.1 * music, voice, music)
    assert scores.silent() == 1
    means = scores.means()
    assert set(means) == set(SeparationScores._fields)
    assert means["sdr"] == pytest.approx(float(scores.sdr[0]))
    assert not any(math.isnan(value) for value in means.values())


def test_version_4_gives_medians_over_windows(sources):
    voice, music, _, _ = sources
    estimate = voice + 0.1 * music
    estimate[:, :1500] = 0
    scores = score_sources(estimate, voice, music, options=BssOptions("v4", 1500, 1500))
    windows = bss_eval_v4(torch.stack([voice, music], 1), estimate[:, None], 1500, 1500).sdr[:, 0]
    torch.testing.assert_close(scores.sdr, windows[:, 1:].median(-1).values)


def test_wrong_shapes_are_named(sources):
    voice, music, _, _ = sources
    with pytest.raises(ValueError, match=r"estimates must be \(B, N\) .* got \(2, 5999\)"):
        score_sources(voice[:, :-1], voice, music)
    with pytest.raises(ValueError, match=r"accompaniment must be \(2, 6000\) or \(2, A, 6000\)"):
        score_sources(voice, voice, music[:, :-1])


@pytest.fixture
def pair():
    # In float64: noise against noise is at -50 dB, where a float32 step of the input is 4e-6 dB.
    draws = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 500, generator=draws, dtype=torch.float64).unbind()


def test_si_sdr_of_noise_at_a_tenth_of_the_power_is_10_db():
    reference = torch.tensor([1.0, 1.0, 1.0, 1.0])
    noise = torch.tensor([1.0, -1.0, 1.0, -1.0]) / math.sqrt(10)
    assert si_sdr(reference, reference + noise).item() == pytest.approx(10, abs=1e-5)


def test_si_sdr_does_not_depend_on_scale_and_sign(pair):
    references, estimates = pair
    expected = si_sdr(references, estimates)
    torch.testing.assert_close(si_sdr(3 * references, -0.01 * estimates), expected)


def test_si_sdr_of_batch_items_does_not_mix(pair):
    together = si_sdr(*pair)
    alone = torch.stack([si_sdr(*item) for item in zip(*pair, strict=True)])
    torch.testing.assert_close(together, alone)


def test_si_sdr_of_equal_signals_is_huge_and_of_silence_nan(pair):
    references, _ = pair
    assert si_sdr(references, references).min() > 200
    silence = torch.zeros_like(references)
    assert si_sdr(references, silence).isnan().all() and si_sdr(silence, references).isnan().all()


def test_si_sdr_names_lengths_that_differ():
    with pytest.raises(ValueError, match=r"got \(2, 5\) and \(2, 6\)"):
        si_sdr(torch.ones(2, 5), torch.ones(2, 6))
