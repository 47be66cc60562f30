import math

import pytest
import torch
import torch.nn.functional as F

from avsync.losses.frame_contrast import (
    AudioNegativesLoss,
    ClipContrastLoss,
    DistanceDifferenceLoss,
    draw_negatives,
)

pytestmark = pytest.mark.arithmetic

LOSSES = [AudioNegativesLoss(), DistanceDifferenceLoss(), ClipContrastLoss()]


@pytest.fixture
def same():
    """All frames of both streams are equal."""
    return F.normalize(torch.ones(2, 4, 3), dim=-1)


@pytest.fixture
def orthogonal():
    """All frames of a stream are orthogonal to each other."""
    return torch.eye(8).reshape(2, 4, 8)


def test_negatives_are_other_frames_without_replacement():
    torch.manual_seed(0)
    indices = draw_negatives(9)
    assert indices.shape == (9, 4) and draw_negatives(300).shape == (300, 100)
    for frame, row in enumerate(indices.tolist()):
        assert len(set(row)) == 4 and frame not in row
    assert set(indices.flatten().tolist()) == set(range(9))


def test_equal_frames_give_the_chance_level_of_each_loss(same):
    values = [loss(same, same).item() for loss in LOSSES]
    assert values == pytest.approx([math.log(1 + 4), 0.0, math.log(4)], abs=1e-5)


def test_talklips_loss_worked_out_by_hand(orthogonal):
    # The own frame has cosine 1, the four negatives 0: ln(1 + 4 exp(-1 / 0.07)).
    loss = AudioNegativesLoss()(orthogonal, orthogonal)
    assert loss.item() == pytest.approx(math.log1p(4 * math.exp(-1 / 0.07)), abs=1e-6)
    # Video that matches no audio: all five candidates are equal.
    unmatched = torch.zeros(2, 4, 8)
    assert AudioNegativesLoss()(orthogonal, unmatched).item() == pytest.approx(math.log(5))


def test_synctalklips_difference_worked_out_by_hand(orthogonal):
    # Orthogonal unit vectors have an L1 distance of 2, equal ones of 0.
    assert DistanceDifferenceLoss()(orthogonal, orthogonal).item() == pytest.approx(-2)
    assert DistanceDifferenceLoss()(orthogonal, orthogonal.roll(1, 1)).item() > -1


def test_talklips_negatives_are_audio_frames(orthogonal, same):
    # Equal video frames do not change its negatives: ln(1 + 4 exp(-s / 0.07)), s = 1 / sqrt 8.
    video = F.normalize(torch.ones(2, 4, 8), dim=-1)
    expected = math.log1p(4 * math.exp(-(8**-0.5) / 0.07))
    assert AudioNegativesLoss()(orthogonal, video).item() == pytest.approx(expected, rel=1e-4)
    assert ClipContrastLoss()(orthogonal, video).item() == pytest.approx(math.log(4))


def test_candidates_come_from_the_same_clip():
    audio, video = F.normalize(torch.randn(2, 3, 5, 6), dim=-1)
    alone = [ClipContrastLoss()(a[None], v[None]) for a, v in zip(audio, video, strict=True)]
    torch.testing.assert_close(ClipContrastLoss()(audio, video), torch.stack(alone).mean())


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_streams_that_differ_in_shape_are_named(loss):
    with pytest.raises(ValueError, match=r"2 frames or more, got \(2, 4, 3\) and \(2, 5, 3\)"):
        loss(torch.zeros(2, 4, 3), torch.zeros(2, 5, 3))
    with pytest.raises(ValueError, match=r"2 frames or more, got \(1, 1, 3\)"):
        loss(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3))
