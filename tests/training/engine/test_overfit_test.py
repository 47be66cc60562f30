import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from avsync.training.engine.overfit_test import describe_overfit, overfit_one_batch
from avsync.training.engine.settings import LoopSettings

LN_2 = math.log(2)


class Pairs(nn.Module):
    """Classifies random vectors: 16 in 32 dimensions can be fitted exactly."""

    def __init__(self, fault=None):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.fault = nn.Linear(32, 1), fault

    def forward(self, x, label):
        logits = self.net(x)[:, 0]
        if self.fault == "detached":
            logits = logits.detach() + 0 * self.net.bias
        if self.fault == "two sigmoids":
            logits = logits.sigmoid()
        return F.binary_cross_entropy_with_logits(logits, label)


def learned(fault=None, steps=400):
    torch.manual_seed(1)
    batch = torch.randn(16, 32), (torch.arange(16) % 2).float()
    settings = LoopSettings(output=None, lr=0.05, overfit_one_batch=steps)
    task = Pairs(fault)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    result = overfit_one_batch(task, batch, settings, LN_2)
    for name, value in task.state_dict().items():
        assert torch.equal(value, before[name]), name
    return result


def test_a_working_task_fits_its_batch_and_is_not_changed():
    result = learned()
    assert result.passed
    assert result.steps < 400
    assert "passed" in describe_overfit(result, LN_2)


def test_a_task_cut_off_from_its_loss_does_not_move():
    result = learned("detached", steps=30)
    assert not result.passed
    said = describe_overfit(result, LN_2)
    assert "overfit-one-batch failed" in said
    assert "does not move" in said
    assert "chance 0.6931" in said


def test_a_sigmoid_too_many_is_found():
    # On top of a sigmoid the best labels cost log(1 + 1/e) and log 2: 0.503 on average.
    result = learned("two sigmoids")
    assert not result.passed
    assert result.lowest > (math.log(1 + 1 / math.e) + LN_2) / 2
    assert "a sigmoid or softmax too many" in describe_overfit(result, LN_2)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_runs_in_the_precision_of_the_run(precision):
    types = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(2, 1)

        def forward(self, x):
            out = self.net(x)
            types.append(out.dtype)
            return out.float().square().mean()

    settings = LoopSettings(output=None, overfit_one_batch=2, precision=precision)
    overfit_one_batch(Spy(), (torch.rand(3, 2),), settings, chance=1e-9)
    assert set(types) == {torch.float32 if precision == "32-true" else torch.bfloat16}
