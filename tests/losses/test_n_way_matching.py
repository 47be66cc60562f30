import math

import pytest
import torch

from avsync.losses.n_way_matching import InverseDistance, NWayMatchingLoss, ScaledCosine

pytestmark = pytest.mark.arithmetic

B, T, D = 3, 6, 16


@pytest.fixture
def video():
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(0))


def test_equal_candidates_cost_the_logarithm_of_n(video):
    same = video[:, :1].expand(B, T, D)
    for similarity in (ScaledCosine(), InverseDistance()):
        loss = NWayMatchingLoss(similarity)(video, same)
        torch.testing.assert_close(loss, torch.tensor(math.log(T)))


def test_two_orthogonal_windows_worked_out_by_hand():
    video = torch.eye(2, dtype=torch.float64)[None]
    expected = math.log(1 + math.exp(-10))
    assert NWayMatchingLoss()(video, 7 * video).item() == pytest.approx(expected, rel=1e-3)
    # Distances are 0.5 to the right window, sqrt(0.5^2 + 1) to the other: exp(2), exp(1 / 1.118).
    audio = torch.tensor([[[0.5, 0.0], [0.0, 0.5]]], dtype=torch.float64)
    other = 1 / math.sqrt(1 + 0.25)
    expected = -math.log(math.exp(2) / (math.exp(2) + math.exp(other)))
    loss = NWayMatchingLoss(InverseDistance())(video, audio)
    assert loss.item() == pytest.approx(expected)


def test_the_softmax_is_over_audio_windows():
    """Both video windows match the first audio window: only the second is wrong."""
    video = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    audio = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    right, wrong = math.log(1 + math.exp(-10)), math.log(1 + math.exp(10))
    loss = NWayMatchingLoss()(video, audio)
    assert loss.item() == pytest.approx((right + wrong) / 2, rel=1e-4)
    assert NWayMatchingLoss()(audio, video).item() == pytest.approx(math.log(2), rel=1e-4)


def test_in_sync_gives_the_matching_candidate(video):
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = video[:, order]
    loss = NWayMatchingLoss(ScaledCosine(50))
    torch.testing.assert_close(loss(video, shuffled, order.argsort()), loss(video, video))
    own = order.argsort().expand(B, T)
    torch.testing.assert_close(loss(video, shuffled, own), loss(video, video))
    assert loss(video, shuffled) > 10 * loss(video, video)


def test_there_may_be_more_candidates_than_windows(video):
    few = video[:, 2:4]
    loss = NWayMatchingLoss(ScaledCosine(50))(few, video, torch.tensor([2, 3]))
    assert loss < 0.01


def test_clips_do_not_mix(video):
    audio = video + 0.5 * video.roll(1, dims=1)
    loss = NWayMatchingLoss()
    alone = [loss(v[None], a[None]) for v, a in zip(video, audio, strict=True)]
    torch.testing.assert_close(loss(video, audio), torch.stack(alone).mean())


def test_the_scale_is_learned(video):
    loss = NWayMatchingLoss()
    loss(video, video + 0.1).backward()
    assert [name for name, _ in loss.named_parameters()] == ["similarity.scale"]
    assert loss.similarity.scale.grad < 0  # already right, so a larger scale costs less


def test_equal_embeddings_have_a_finite_loss(video):
    video = video.clone().requires_grad_()
    loss = NWayMatchingLoss(InverseDistance())(video, video.detach())
    loss.backward()
    assert loss < 1e-3
    assert video.grad.isfinite().all()


def test_invalid_shapes_and_distances_are_named(video):
    with pytest.raises(ValueError, match=r"\(B, N, D\), got \(3, 6, 16\) and \(3, 6, 15\)"):
        NWayMatchingLoss()(video, video[..., :-1])
    with pytest.raises(ValueError, match=r"without in_sync, audio must be .* got \(3, 5, 16\)"):
        NWayMatchingLoss()(video, video[:, :5])
    with pytest.raises(ValueError, match="nearest must be positive, got 0"):
        InverseDistance(0)
