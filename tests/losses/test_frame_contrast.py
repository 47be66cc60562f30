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

LOSSES = [AudioNegativesLoss(), DistanceDifferenceLoss(), ClipContrastLoss()]


@pytest.fixture
def same():
    """All frames of both streams agree."""
    return F.normalize(torch.ones(2, 4, 3), dim=-1)


@pytest.fixture
def apart():
    """Every frame of a stream is at right angles to every other."""
    return torch.eye(8).reshape(2, 4, 8)


def test_negatives_are_others_without_replacement():
    torch.manual_seed(0)
    drawn = draw_negatives(9)
    assert drawn.shape == (9, 4) and draw_negatives(300).shape == (300, 100)
    for frame, row in enumerate(drawn.tolist()):
        assert len(set(row)) == 4 and frame not in row
    assert set(drawn.flatten().tolist()) == set(range(9))


def test_where_all_frames_agree_each_loss_has_its_chance(same):
    values = [loss(same, same).item() for loss in LOSSES]
    assert values == pytest.approx([math.log(1 + 4), 0.0, math.log(4)], abs=1e-5)


def test_talklips_loss_on_paper(apart):
    # One own of cosine 1 and four others of 0: ln(1 + 4 exp(-1 / 0.07)).
    loss = AudioNegativesLoss()(apart, apart)
    assert loss.item() == pytest.approx(math.log1p(4 * math.exp(-1 / 0.07)), abs=1e-6)
    # Lips that belong to no voice: all five alike.
    lost = torch.zeros(2, 4, 8)
    assert AudioNegativesLoss()(apart, lost).item() == pytest.approx(math.log(5))


def test_synctalklips_difference_on_paper(apart):
    # Unit vectors at right angles are 2 apart, equal ones 0.
    assert DistanceDifferenceLoss()(apart, apart).item() == pytest.approx(-2)
    assert DistanceDifferenceLoss()(apart, apart.roll(1, 1)).item() > -1


def test_talklip_contrasts_voices_with_voices(apart, same):
    # Lips that all agree are no matter to its negatives: ln(1 + 4 exp(-s / 0.07)), s = 1 / sqrt 8.
    video = F.normalize(torch.ones(2, 4, 8), dim=-1)
    expected = math.log1p(4 * math.exp(-(8**-0.5) / 0.07))
    assert AudioNegativesLoss()(apart, video).item() == pytest.approx(expected, rel=1e-4)
    assert ClipContrastLoss()(apart, video).item() == pytest.approx(math.log(4))


def test_a_clip_is_contrasted_within_itself():
    audio, video = F.normalize(torch.randn(2, 3, 5, 6), dim=-1)
    alone = [ClipContrastLoss()(a[None], v[None]) for a, v in zip(audio, video, strict=True)]
    torch.testing.assert_close(ClipContrastLoss()(audio, video), torch.stack(alone).mean())


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_streams_that_differ_in_shape_are_named(loss):
    with pytest.raises(ValueError, match=r"2 frames or more, got \(2, 4, 3\) and \(2, 5, 3\)"):
        loss(torch.zeros(2, 4, 3), torch.zeros(2, 5, 3))
    with pytest.raises(ValueError, match=r"2 frames or more, got \(1, 1, 3\)"):
        loss(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3))
