import math

import pytest
import torch
import torch.nn.functional as F

from avsync.losses.label_smoothing import LabelSmoothedCrossEntropy

pytestmark = pytest.mark.arithmetic


def test_a_value_worked_out_by_hand():
    # Probabilities 1/2, 1/4, 1/4: 0.9 ln 2 + 0.05 ln 4 + 0.05 ln 4.
    logits = torch.tensor([[[math.log(2), 0.0, 0.0]]])
    loss = LabelSmoothedCrossEntropy(0.1)(logits, torch.tensor([[0]]))
    assert loss.item() == pytest.approx(0.9 * math.log(2) + 0.1 * math.log(4))


def test_without_smoothing_it_is_cross_entropy():
    logits, targets = torch.randn(3, 4, 7), torch.randint(7, (3, 4))
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(LabelSmoothedCrossEntropy(0.0)(logits, targets), expected)


def test_torchs_smoothing_is_defined_differently():
    # torch gives every symbol e / V, the right one too; without it the others share e / (V - 1).
    logits, targets = torch.randn(3, 4, 7), torch.randint(7, (3, 4))
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.1 * 7 / 6)
    torch.testing.assert_close(LabelSmoothedCrossEntropy(0.1)(logits, targets), expected)


def test_the_sum_skips_ignored_positions():
    logits, targets = torch.zeros(2, 3, 5), torch.tensor([[1, 2, -100], [0, -100, -100]])
    loss = LabelSmoothedCrossEntropy(0.1, "sum")(logits, targets)
    assert loss.item() == pytest.approx(3 * math.log(5))
    assert LabelSmoothedCrossEntropy()(logits, targets).item() == pytest.approx(math.log(5))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, 1\), got 1"):
        LabelSmoothedCrossEntropy(1)
    with pytest.raises(ValueError, match="reduction must be sum or mean, got 'none'"):
        LabelSmoothedCrossEntropy(reduction="none")
    with pytest.raises(ValueError, match=r"got \(2, 3, 5\) and \(2, 4\)"):
        LabelSmoothedCrossEntropy()(torch.zeros(2, 3, 5), torch.zeros(2, 4).long())
