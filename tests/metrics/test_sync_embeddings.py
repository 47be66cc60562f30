import math

import pytest
import torch
from golden.recipe import make_input, numbers

from avsync.metrics.sync_embeddings import distance_band, lip_sync_error


@pytest.fixture(scope="module")
def published():
    full = make_input("lse.im2", (60, 1024), -1, 1)
    noise = make_input("lse.noise", (40, 1024), -1, 1)
    return lip_sync_error(full[10:50], full[13:53] + 0.5 * noise), numbers("golden_eval")[
        "joonson_lse"
    ]


def test_distance_confidence_and_offset_are_those_of_the_public_evaluation(published):
    error, golden = published
    assert error.offset == golden["offset"] == 3
    assert error.lse_d == pytest.approx(golden["min_dist_LSE_D"], abs=1e-5)
    assert error.lse_c == pytest.approx(golden["confidence_LSE_C"], abs=1e-5)
    torch.testing.assert_close(error.distances, torch.tensor(golden["mdist"]), atol=1e-5, rtol=0)


def test_confidence_by_window_is_that_of_the_public_evaluation(published):
    error, golden = published
    expected = torch.tensor(golden["framewise_conf_medfilt9_first5"])
    torch.testing.assert_close(error.confidence[:5], expected, atol=1e-5, rtol=0)
    assert error.confidence.shape == (40,)


def test_equal_embeddings_are_a_millionth_apart_in_every_dimension():
    video = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
    error = lip_sync_error(video, video)
    assert error.offset == 0
    assert error.lse_d == pytest.approx(math.sqrt(16) * 1e-6, rel=1e-3)


def test_audio_that_comes_late_has_a_negative_offset():
    video = torch.randn(60, 16, generator=torch.Generator().manual_seed(0))
    assert lip_sync_error(video[10:50], video[4:44]).offset == -6


def test_beyond_the_ends_lie_zero_vectors():
    video, audio = torch.full((20, 4), 3.0), torch.full((20, 4), 3.0)
    band = distance_band(video, audio)
    outside = torch.zeros(20, 31, dtype=torch.bool)
    for i in range(20):
        for c in range(31):
            outside[i, c] = not 0 <= i + c - 15 < 20
    torch.testing.assert_close(band[outside], torch.full((int(outside.sum()),), 6.0))
    assert band[~outside].max() < 1e-5


def test_windows_of_another_clip_have_no_confidence():
    g = torch.Generator().manual_seed(0)
    error = lip_sync_error(torch.randn(300, 16, generator=g), torch.randn(300, 16, generator=g))
    assert error.lse_c < 0.2


def test_embeddings_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"must both be \(n, D\), got \(4, 3\) and \(5, 3\)"):
        lip_sync_error(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="audio must be finite"):
        lip_sync_error(torch.zeros(4, 3), torch.full((4, 3), torch.nan))
