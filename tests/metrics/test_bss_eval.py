import math

import numpy as np
import pytest
import torch

from avsync.media.audio_reader import read_audio
from avsync.metrics import distortion_filters
from avsync.metrics.bss_eval import BssEval, bss_eval_v3, bss_eval_v4
from benchmarks.separation.museval_metrics import load_museval_metrics

pytestmark = pytest.mark.arithmetic

SAMPLES = 6000
# Short filters are fast to solve; the default of 512 taps is tested once.
TAPS = 48


@pytest.fixture
def museval():
    """Return the functions of museval."""
    return load_museval_metrics()


def coloured(*shape, seed=0):
    """Return signals with uneven spectra."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return noise + 0.9 * noise.roll(1, -1) + 0.5 * noise.roll(7, -1)


def leaky(references, seed=1):
    """Return estimates with leakage of the other sources, an echo and noise."""
    others = references.roll(1, 1)
    echo = torch.nn.functional.pad(references, (40, 0))[..., :-40]
    return references + 0.2 * others + 0.3 * echo + 0.05 * coloured(*references.shape, seed=seed)


def assert_equal_to_museval(ours: BssEval, item: int, expected, names):
    """Assert equality to 1e-6 dB for ratios below 60 dB, and equal NaNs."""
    compared = 0
    for name, figures in zip(names, expected, strict=True):
        own = getattr(ours, name)[item].numpy()
        figures = figures.reshape(own.shape)
        np.testing.assert_array_equal(np.isnan(own), np.isnan(figures), name)
        below = np.abs(figures) < 60
        np.testing.assert_allclose(own[below], figures[below], rtol=0, atol=1e-6, err_msg=name)
        compared += below.sum()
    assert compared


def as_museval(signals, item):
    """Convert an item of `(B, R, N)` or `(B, R, C, N)` to museval's `(R, N, C)`."""
    signals = signals if signals.ndim == 4 else signals[:, :, None]
    return signals[item].transpose(1, 2).numpy()


# One, two and three sources; several channels; more blocks than are transformed at once; and audio
# that fills its last block, so that one more block holds only an echo.
SHAPES = [(1, 1, SAMPLES), (2, 2, SAMPLES), (1, 3, SAMPLES), (1, 2, 2, SAMPLES)]
LONG = [(1, 2, 150_000), (1, 1, 3 * (distortion_filters.BLOCK - TAPS + 1))]


@pytest.mark.parametrize("shape", SHAPES + LONG)
def test_version_3_equals_musevals(museval, shape):
    references = coloured(*shape)
    estimates = leaky(references)
    ours = bss_eval_v3(references, estimates, filter_length=TAPS)
    as_sources = {"framewise_filters": True, "bsseval_sources_version": True, "window": np.inf}
    for item in range(len(references)):
        signals = as_museval(references, item), as_museval(estimates, item)
        sdr, _, sir, sar, _ = museval.bss_eval(*signals, **as_sources, filters_len=TAPS)
        assert_equal_to_museval(ours, item, (sdr, sir, sar), ("sdr", "sir", "sar"))


def test_the_default_filter_length_is_musevals(museval):
    references = coloured(1, 2, SAMPLES)
    estimates = leaky(references)
    signals = as_museval(references, 0), as_museval(estimates, 0)
    expected = museval.bss_eval_sources(*signals, compute_permutation=False)[:3]
    ours = bss_eval_v3(references, estimates)
    assert_equal_to_museval(ours, 0, expected, ("sdr", "sir", "sar"))


@pytest.mark.parametrize(("window", "hop"), [(2000, 2000), (2500, 700), (SAMPLES + 1, 3)])
def test_version_3_in_windows_equals_musevals(museval, window, hop):
    references = coloured(1, 2, SAMPLES)
    estimates = leaky(references)
    # The first window is silent, and another has one silent estimate.
    references[0, 1, :2000] = 0
    estimates[0, 0, 4000:] = 0
    ours = bss_eval_v3(references, estimates, window, hop)
    expected = museval.bss_eval_sources_framewise(
        as_museval(references, 0), as_museval(estimates, 0), window=window, hop=hop
    )
    assert_equal_to_museval(ours, 0, expected[:3], ("sdr", "sir", "sar"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("window", "hop"), [(2000, 2000), (2500, 700)])
def test_version_4_equals_musevals(museval, shape, window, hop):
    references = coloured(*shape)
    estimates = leaky(references)
    estimates[:, 0, ..., :2000] = 0
    ours = bss_eval_v4(references, estimates, window, hop, filter_length=TAPS)
    for item in range(len(references)):
        signals = as_museval(references, item), as_museval(estimates, item)
        expected = museval.bss_eval(*signals, window=window, hop=hop, filters_len=TAPS)[:4]
        assert_equal_to_museval(ours, item, expected, ("sdr", "isr", "sir", "sar"))


def test_version_4_in_one_window_equals_musevals_images(museval):
    references = coloured(1, 2, SAMPLES)
    estimates = leaky(references)
    signals = as_museval(references, 0), as_museval(estimates, 0)
    expected = museval.bss_eval_images(*signals, compute_permutation=False)[:4]
    ours = bss_eval_v4(references, estimates)
    assert_equal_to_museval(ours, 0, expected, ("sdr", "isr", "sir", "sar"))


@pytest.mark.real_data
def test_real_voices_and_music_are_scored_as_by_museval(museval, shared):
    clips = ("grid_s1/bbaf2n.mkv", "music_cc/carnatic.wav", "grid_s1/bbaf3s.mkv")
    cut = [np.concatenate(list(read_audio(shared / "data" / clip, 0.0)))[:47000] for clip in clips]
    voice, music, other = torch.from_numpy(np.stack(cut)).double()
    references = torch.stack([voice, music])[None]
    estimates = torch.stack([voice + 0.1 * music + 0.01 * other, music + 0.2 * voice])[None]
    signals = as_museval(references, 0), as_museval(estimates, 0)
    expected = museval.bss_eval_sources(*signals, compute_permutation=False)[:3]
    assert_equal_to_museval(bss_eval_v3(references, estimates), 0, expected, ("sdr", "sir", "sar"))
    ours = bss_eval_v4(references, estimates, 16000, 16000)
    expected = museval.bss_eval(*signals, window=16000, hop=16000)[:4]
    assert_equal_to_museval(ours, 0, expected, ("sdr", "isr", "sir", "sar"))


def disjoint_signals():
    """Return two sources and a noise of energy 1 that do not overlap in time.

    A filter of one tap is a gain.
    """
    signals = torch.zeros(3, 12, dtype=torch.float64)
    for row in range(3):
        signals[row, 4 * row : 4 * row + 4] = 0.5
    return signals


def test_ratios_worked_out_by_hand():
    first, second, noise = disjoint_signals()
    references = torch.stack([first, second])[None]
    estimates = torch.stack([2 * first + 0.5 * second + 0.25 * noise, 1.1 * second])[None]
    three = bss_eval_v3(references, estimates, filter_length=1)
    assert float(three.sdr[0, 0]) == pytest.approx(10 * math.log10(4 / (0.25 + 0.0625)))
    assert float(three.sir[0, 0]) == pytest.approx(10 * math.log10(4 / 0.25))
    assert float(three.sar[0, 0]) == pytest.approx(10 * math.log10(4.25 / 0.0625))
    assert three.isr.isnan().all()
    four = bss_eval_v4(references, estimates, filter_length=1)
    assert float(four.sdr[0, 0]) == pytest.approx(10 * math.log10(1 / (1 + 0.25 + 0.0625)))
    assert float(four.isr[0, 0]) == pytest.approx(0, abs=1e-9)
    assert float(four.sir[0, 0]) == pytest.approx(10 * math.log10(4 / 0.25))
    assert float(four.sdr[0, 1]) == pytest.approx(20)


def test_version_3_allows_an_echo_and_version_4_does_not():
    reference = coloured(1, 1, SAMPLES)
    reference[..., -100:] = 0
    delayed = reference.roll(100, -1)
    assert bss_eval_v3(reference, delayed).sdr > 60
    assert bss_eval_v4(reference, delayed).sdr < 0


def test_an_echo_longer_than_the_filter_is_distortion():
    reference = coloured(1, 1, SAMPLES)
    reference[..., -600:] = 0
    assert bss_eval_v3(reference, reference.roll(600, -1)).sdr < 1


def test_leakage_is_interference_if_its_source_is_a_reference_else_artefact():
    sources = coloured(1, 3, SAMPLES)
    estimate = sources[:, :1] + 0.3 * sources[:, 2:]
    excluded = bss_eval_v3(sources[:, :2], estimate, targets=[0])
    included = bss_eval_v3(sources, estimate, targets=[0])
    torch.testing.assert_close(excluded.sdr, included.sdr)
    assert excluded.sar < 15 < 60 < included.sar
    assert included.sir < 15 < excluded.sir


def test_targets_give_the_reference_of_each_estimate():
    references = coloured(1, 2, SAMPLES)
    estimates = leaky(references)
    both = bss_eval_v3(references, estimates)
    crossed = bss_eval_v3(references, estimates.flip(1), targets=(1, 0))
    torch.testing.assert_close(crossed.sir, both.sir.flip(1))
    thrice = bss_eval_v4(references, estimates[:, [1, 0, 1]], 2000, 900, targets=(1, 0, 1))
    once = bss_eval_v4(references, estimates, 2000, 900)
    torch.testing.assert_close(thrice.sar, once.sar[:, [1, 0, 1]])


@pytest.mark.parametrize("measure", [bss_eval_v3, bss_eval_v4])
def test_items_do_not_mix_at_any_step_size(measure, monkeypatch):
    references = coloured(3, 2, SAMPLES)
    estimates = leaky(references)
    together = measure(references, estimates, 2000, filter_length=TAPS)
    monkeypatch.setattr("avsync.metrics.bss_eval.STEP_BYTES", 1)
    monkeypatch.setattr(distortion_filters, "STEP_BLOCKS", 1)
    one_by_one = measure(references, estimates, 2000, filter_length=TAPS)
    alone = measure(references[1:2], estimates[1:2], 2000, filter_length=TAPS)
    for name in ("sdr", "sir", "sar"):
        torch.testing.assert_close(getattr(together, name), getattr(one_by_one, name))
        torch.testing.assert_close(getattr(together, name)[1:2], getattr(alone, name))


def test_samples_after_the_last_full_window_are_left_out():
    references = coloured(1, 1, SAMPLES)
    estimates = leaky(references)
    measured = bss_eval_v4(references, estimates, 2500, 1000)
    assert measured.sdr.shape == (1, 1, 4)
    estimates[..., 5500:] = 0
    torch.testing.assert_close(bss_eval_v4(references, estimates, 2500, 1000).sdr, measured.sdr)


def test_silent_windows_are_counted_and_nan():
    references = coloured(2, 2, SAMPLES)
    estimates = leaky(references)
    references[0, 0] = 0
    estimates[1, :, 3000:] = 0
    measured = bss_eval_v3(references, estimates, 3000)
    assert measured.silent_references.tolist() == [[1, 1], [0, 0]]
    assert measured.silent_estimates.tolist() == [[0, 0], [0, 2]]
    for ratio in (measured.sdr, measured.sir, measured.sar):
        assert ratio.isnan()[:, 0].tolist() == [[True, True], [False, True]]


def test_a_source_given_twice_is_scored_like_once():
    # Both references are equal, so the Gram matrix has half its rank.
    source = coloured(1, 1, SAMPLES)
    estimate = source + 0.1 * coloured(1, 1, SAMPLES, seed=5)
    once = bss_eval_v3(source, estimate)
    twice = bss_eval_v3(source.repeat(1, 2, 1), estimate, targets=[0])
    torch.testing.assert_close(twice.sdr, once.sdr)
    torch.testing.assert_close(twice.sar, once.sar, atol=1e-3, rtol=0)


def test_float32_input_is_computed_in_float64():
    references = coloured(1, 2, SAMPLES).float()
    single = bss_eval_v3(references, leaky(references))
    double = bss_eval_v3(references.double(), leaky(references).double())
    assert torch.equal(single.sdr, double.sdr)


GOOD = torch.ones(1, 2, 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimates": torch.ones(1, 2, 49)}, r"got \(1, 2, 1, 50\) and \(1, 2, 1, 49\)"),
        ({"estimates": torch.ones(2, 50)}, r"got \(1, 2, 50\) and \(2, 50\)"),
        ({"references": torch.ones(1, 0, 50)}, r"got \(1, 0, 1, 50\)"),
        ({"estimates": GOOD / 0}, "estimates must be finite"),
        ({"references": GOOD * torch.nan}, "references must be finite"),
        ({"estimates": torch.ones(1, 3, 50)}, r"one of 2 references .* got \(0, 1, 2\)"),
        ({"targets": (0,)}, r"each of 2 estimates, got \(0,\)"),
        ({"targets": (0, -1)}, r"got \(0, -1\)"),
        ({"hop": 3}, "hop needs a window"),
        ({"window": 0}, "window must be at least 1 sample, got 0"),
        ({"window": 5, "hop": -1}, "hop must be at least 1 sample, got -1"),
        ({"filter_length": 0}, "filter_length must be at least 1, got 0"),
    ],
)
def test_wrong_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        bss_eval_v4(**{"references": GOOD, "estimates": GOOD, **change})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("measure", [bss_eval_v3, bss_eval_v4])
def test_a_gpu_gives_the_same_ratios(measure):
    references = coloured(2, 2, SAMPLES)
    # With two equal references one matrix is singular.
    references[1, 1] = references[1, 0]
    estimates = leaky(references)
    ours = measure(references.cuda(), estimates.cuda(), 3000)
    expected = measure(references, estimates, 3000)
    torch.testing.assert_close(ours.sdr.cpu(), expected.sdr, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.sar[0].cpu(), expected.sar[0], atol=1e-6, rtol=0)
