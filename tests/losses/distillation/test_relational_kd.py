import math

import pytest
import torch

from avsync.losses.distillation.relational_kd import RelationalKdLoss

pytestmark = pytest.mark.arithmetic

B, D = 6, 8


@pytest.fixture
def features():
    return torch.randn(B, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_three_points_worked_out_by_hand():
    line = torch.tensor([[0.0], [1.0], [2.0]])
    corner = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    # Distances 1, 1, 2 of mean 4/3; and 1, 1, sqrt 2.
    mean = (2 + math.sqrt(2)) / 3
    short, long = 3 / 4 - 1 / mean, 3 / 2 - math.sqrt(2) / mean
    distance = 2 * (2 * short**2 / 2 + long**2 / 2) / 9
    loss = RelationalKdLoss(distance=1, angle=0)(corner, line)
    assert loss.item() == pytest.approx(distance, rel=1e-5)
    # Cosines on the line: 1 at the ends, -1 in the middle; in the corner: sqrt 1/2 and 0.
    end, middle = 1 - math.sqrt(0.5), 1.0
    angle = (4 * end**2 / 2 + 2 * middle**2 / 2) / 27
    loss = RelationalKdLoss(distance=0, angle=1)(corner, line)
    assert loss.item() == pytest.approx(angle, rel=1e-5)
    both = RelationalKdLoss()(corner, line)
    assert both.item() == pytest.approx(25 * distance + 50 * angle, rel=1e-5)


def test_translation_rotation_scale_and_width_do_not_matter(features):
    rotation = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64)).Q
    moved = 7 * features @ rotation + 3
    wider = torch.cat([moved, torch.ones(B, 5, dtype=torch.float64)], dim=1)
    zero = torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(RelationalKdLoss()(wider, features), zero, atol=1e-12, rtol=0)
    assert RelationalKdLoss()(features.flip(0), features) > 0.1


def test_coinciding_items_keep_gradients_small(features):
    student = features.flip(0).clone()
    student[1] = student[0]
    for batch in (student, torch.zeros_like(student)):
        batch.requires_grad_()
        RelationalKdLoss()(batch, features).backward()
        assert batch.grad.abs().max() < 100


def test_invalid_shapes_and_weights_are_named(features):
    with pytest.raises(ValueError, match=r"B at least 2, got \(1, 8\) and \(1, 8\)"):
        RelationalKdLoss()(features[:1], features[:1])
    with pytest.raises(ValueError, match=r"got \(5, 8\) and \(6, 8\)"):
        RelationalKdLoss()(features[:5], features)
    with pytest.raises(ValueError, match="must not be negative, got -1 and 50"):
        RelationalKdLoss(distance=-1)
