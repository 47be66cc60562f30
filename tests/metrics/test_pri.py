import pytest
import torch

from avsync.metrics import sync_embeddings as pri
from avsync.metrics.sync_embeddings import chance_primacy_index, primacy_index


def test_perfect_embeddings_rank_first_everywhere():
    video = torch.eye(8)
    assert primacy_index(video, video) == pytest.approx(1 / 8)


def test_the_farthest_everywhere_is_one():
    # The L1 distance of audio and its own lips is 2, that to all others 1.
    video = torch.tensor([[0.0], [3.0]])
    assert primacy_index(video, video.flip(0)) == 1


def test_three_windows_by_hand():
    video, audio = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.9], [1.1], [2.0]])
    # Distances: 0.9 0.1 2.1 / 1.1 0.1 1.9 / 2 1 1: ranks 2, 1, and 1.5 for the tie.
    assert primacy_index(video, audio) == pytest.approx((2 + 1 + 1.5) / 9)


def test_embeddings_that_say_nothing_get_what_chance_gives():
    same = torch.ones(7, 3)
    assert (
        primacy_index(same, same) == pytest.approx(chance_primacy_index(7)) == pytest.approx(4 / 7)
    )


def test_the_blocks_of_rows_do_not_show(monkeypatch):
    g = torch.Generator().manual_seed(0)
    video, audio = torch.randn(50, 4, generator=g), torch.randn(50, 4, generator=g)
    distances = (audio[:, None] - video).abs().sum(-1)
    ranks = (distances <= distances.diagonal()[:, None]).sum(1)
    monkeypatch.setattr(pri, "ROWS", 7)
    assert primacy_index(video, audio) == pytest.approx(float(ranks.sum()) / 2500)


def test_wrong_counts_are_named():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        chance_primacy_index(0)
    with pytest.raises(ValueError, match=r"must both be \(n, D\), got \(2,\) and \(2,\)"):
        primacy_index(torch.zeros(2), torch.zeros(2))
