import math

import pytest
import torch
from golden.recipe import make_input, numbers

from avsync.metrics import sync_embeddings
from avsync.metrics.sync_embeddings import (
    chance_primacy_index,
    distance_band,
    lip_sync_error,
    primacy_index,
)

pytestmark = pytest.mark.arithmetic


@pytest.fixture(scope="module")
def published():
    full = make_input("lse.im2", (60, 1024), -1, 1)
    noise = make_input("lse.noise", (40, 1024), -1, 1)
    return lip_sync_error(full[10:50], full[13:53] + 0.5 * noise), numbers("golden_eval")[
        "joonson_lse"
    ]


def test_lse_and_offset_equal_those_of_the_public_evaluation(published):
    error, golden = published
    assert error.offset == golden["offset"] == 3
    assert error.lse_d == pytest.approx(golden["min_dist_LSE_D"], abs=1e-5)
    assert error.lse_c == pytest.approx(golden["confidence_LSE_C"], abs=1e-5)
    torch.testing.assert_close(error.distances, torch.tensor(golden["mdist"]), atol=1e-5, rtol=0)


def test_confidence_equals_that_of_the_public_evaluation(published):
    error, golden = published
    expected = torch.tensor(golden["framewise_conf_medfilt9_first5"])
    torch.testing.assert_close(error.confidence[:5], expected, atol=1e-5, rtol=0)
    assert error.confidence.shape == (40,)


def test_equal_embeddings_differ_by_1e_6_in_every_dimension():
    video = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
    error = lip_sync_error(video, video)
    assert error.offset == 0
    assert error.lse_d == pytest.approx(math.sqrt(16) * 1e-6, rel=1e-3)


def test_late_audio_has_a_negative_offset():
    video = torch.randn(60, 16, generator=torch.Generator().manual_seed(0))
    assert lip_sync_error(video[10:50], video[4:44]).offset == -6


def test_windows_outside_the_clip_are_zero_vectors():
    video, audio = torch.full((20, 4), 3.0), torch.full((20, 4), 3.0)
    band = distance_band(video, audio)
    outside = torch.zeros(20, 31, dtype=torch.bool)
    for i in range(20):
        for c in range(31):
            outside[i, c] = not 0 <= i + c - 15 < 20
    torch.testing.assert_close(band[outside], torch.full((int(outside.sum()),), 6.0))
    assert band[~outside].max() < 1e-5


def test_unrelated_embeddings_have_low_confidence():
    g = torch.Generator().manual_seed(0)
    error = lip_sync_error(torch.randn(300, 16, generator=g), torch.randn(300, 16, generator=g))
    assert error.lse_c < 0.2


def test_invalid_embeddings_are_named():
    with pytest.raises(ValueError, match=r"must both be \(n, D\), got \(4, 3\) and \(5, 3\)"):
        lip_sync_error(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="audio must be finite"):
        lip_sync_error(torch.zeros(4, 3), torch.full((4, 3), torch.nan))


def test_perfect_embeddings_have_primacy_index_1_over_n():
    video = torch.eye(8)
    assert primacy_index(video, video) == pytest.approx(1 / 8)


def test_the_largest_distances_have_primacy_index_one():
    # Every window is 3 from its own counterpart and 0 from the other.
    video = torch.tensor([[0.0], [3.0]])
    assert primacy_index(video, video.flip(0)) == 1


def test_three_windows_worked_out_by_hand():
    video, audio = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.9], [1.1], [2.0]])
    # L1 distances: 0.9 0.1 2.1 / 1.1 0.1 1.9 / 2 1 1: ranks 2, 1, and 1.5 for the tie.
    assert primacy_index(video, audio) == pytest.approx((2 + 1 + 1.5) / 9)


def test_uninformative_embeddings_have_the_chance_level():
    same = torch.ones(7, 3)
    assert (
        primacy_index(same, same) == pytest.approx(chance_primacy_index(7)) == pytest.approx(4 / 7)
    )


def test_the_block_size_does_not_matter(monkeypatch):
    g = torch.Generator().manual_seed(0)
    video, audio = torch.randn(50, 4, generator=g), torch.randn(50, 4, generator=g)
    distances = (audio[:, None] - video).abs().sum(-1)
    ranks = (distances <= distances.diagonal()[:, None]).sum(1)
    monkeypatch.setattr(sync_embeddings, "ROWS", 7)
    assert primacy_index(video, audio) == pytest.approx(float(ranks.sum()) / 2500)


def test_invalid_counts_and_shapes_are_named():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        chance_primacy_index(0)
    with pytest.raises(ValueError, match=r"must both be \(n, D\), got \(2,\) and \(2,\)"):
        primacy_index(torch.zeros(2), torch.zeros(2))
