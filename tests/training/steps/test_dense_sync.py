from copy import deepcopy

import pytest
import torch

from avsync.tasks.registry import create_model
from avsync.tasks.sync.dense_sync import DenseSyncConfig, build_dense_sync
from avsync.training.engine.checkpoint import STATE_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.dense_sync import DenseSyncRecipe, train
from avsync.training.steps.dense_sync import DenseSyncStep, DistilledDenseSyncStep

pytestmark = pytest.mark.arithmetic

SMALL = DenseSyncConfig(
    dim=16, mouth_channels=(4, 4, 8, 8), mel_channels=(4, 4, 8, 8, 8), n_mels=16
)


def fresh(seed, config=SMALL):
    torch.manual_seed(seed)
    return build_dense_sync(config).eval()


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    return torch.rand(2, 9, 56, 56, generator=g), torch.randn(2, 16, 60, generator=g)


def recipe(store, folder, **changes):
    loop = LoopSettings(output=folder, steps=1, warmup=1, validate_every=0, device="cpu")
    splits = store.path / "splits.json"
    small = dict(data=(store.path,), splits=splits, batch=2, frames=12, width=0.1)
    return DenseSyncRecipe(**{"loop": loop, **small, **changes})


def gradient(task, batch):
    task.zero_grad()
    task(*batch).backward()
    return {name: parameter.grad.clone() for name, parameter in task.model.named_parameters()}


def test_a_student_that_is_its_teacher_learns_nothing_more(batch):
    model = fresh(0)
    alone = gradient(DenseSyncStep(model, 8), batch)
    distilled = gradient(DistilledDenseSyncStep(model, [deepcopy(model)], 8, weight=10.0), batch)
    for name, value in alone.items():
        torch.testing.assert_close(distilled[name], value, atol=1e-5, rtol=1e-3)


def test_the_value_is_the_matching_loss_and_the_gradient_is_not(batch):
    model = fresh(0)
    alone, distilled = DenseSyncStep(model, 8), DistilledDenseSyncStep(model, [fresh(1)], 8, 10.0)
    torch.testing.assert_close(distilled(*batch), alone(*batch))
    name = "weight.weight"
    assert not torch.allclose(
        gradient(distilled, batch)[name], gradient(alone, batch)[name], rtol=0.1
    )


def test_steps_bring_the_student_to_its_teacher(batch):
    teacher = fresh(1)
    task = DistilledDenseSyncStep(fresh(0), [teacher], 8, weight=100.0)

    def apart():
        ours, theirs = (
            DistilledDenseSyncStep(fresh(0), [model], 8).teacher_scores(*batch)
            for model in (deepcopy(task.model), teacher)
        )
        return float((ours.softmax(-1) - theirs.softmax(-1)).abs().sum(-1).mean())

    before = apart()
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        task(*batch).backward()
        optimizer.step()
    assert apart() < before / 2


def test_only_the_student_learns_and_is_saved(batch):
    task = DistilledDenseSyncStep(fresh(0), [fresh(1), fresh(2)], 8)
    gradient(task, batch)
    names = [*dict(task.named_parameters()), *task.state_dict()]
    assert {name.partition(".")[0] for name in names} == {"model"}
    assert all(p.grad is None for teacher in task.teachers for p in teacher.model.parameters())


def test_a_narrow_model_learns_from_a_wider_one_from_the_recipe(store, tmp_path):
    wide = train(recipe(store, tmp_path / "wide", width=0.2))
    path = train(recipe(store, tmp_path / "narrow", teachers=(wide,), taught=2.0))
    widths = [create_model("dense_sync", weights=p).weight.in_features for p in (wide, path)]
    assert widths == [26, 13]
    state = torch.load(tmp_path / "narrow" / STATE_FILE, weights_only=True)
    assert not [name for name in state["task"] if "teacher" in name]


def test_what_does_not_fit_is_named(store, tmp_path):
    other = DenseSyncConfig(16, (4, 4, 8, 8), (4, 4, 8, 8, 8), n_mels=32)
    with pytest.raises(ValueError, match=r"56 pixels and 16 mel bands, .* got 56 and 32"):
        DistilledDenseSyncStep(fresh(0), [fresh(1, other)], 8)
    with pytest.raises(ValueError, match="got 0 teachers and 1"):
        DistilledDenseSyncStep(fresh(0), [], 8)
    with pytest.raises(ValueError, match="width must be positive, got 0"):
        train(recipe(store, tmp_path, width=0.0))
