import math
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from avsync import weights as checkpoints
from avsync.tasks.registry import create_model
from avsync.tasks.sync.vocalist import VocalistConfig, build_vocalist
from avsync.training.data.sync import ClipData
from avsync.training.engine.checkpoint import STATE_FILE
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.mtdvocalist import MtdVocalistRecipe, train
from avsync.training.steps.distillation import AttentionDistillation
from avsync.training.steps.vocalist import VocalistDistillationStep

NARROW = VocalistConfig(channels=(2, 3, 4, 5, 8), depth=1, heads=2)
WIDE = VocalistConfig(channels=(2, 3, 4, 5, 16), depth=1, heads=2)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    frames, wav = torch.rand(4, 3, 5, 48, 96, generator=g), torch.randn(4, 3200, generator=g)
    return frames, wav, torch.tensor([1.0, 0.0, 1.0, 0.0])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("teacher") / "vocalist.safetensors"
    sizes = dict(channels=WIDE.channels, depth=1, heads=2)
    checkpoints.save(path, build_vocalist(WIDE).state_dict(), sizes)
    return path


def recipe(store, folder, **changes):
    loop = LoopSettings(output=folder, steps=2, validate_every=0, device="cpu")
    clips = ClipData((store.path,), batch=3)
    return MtdVocalistRecipe(**{"clips": clips, "loop": loop, "model": NARROW, **changes})


def step():
    torch.manual_seed(0)
    return VocalistDistillationStep(
        build_vocalist(NARROW), build_vocalist(WIDE), AttentionDistillation(depth=1)
    )


@pytest.mark.parametrize("way", ["relations", "soft-targets", "hints", "relational"])
def test_each_way_gives_weights_that_the_registry_loads(way, store, teacher, tmp_path):
    path = train(recipe(store, tmp_path, teacher=teacher, distillation=way))
    model = create_model("mtdvocalist", weights=path)
    assert len(model.classifier.weight[0]) == 8
    assert (tmp_path / LOG_FILE).is_file()


def test_a_teacher_may_have_another_visual_encoder(store, tmp_path):
    sizes = dict(visual_channels=(8, 16), channels=WIDE.channels, depth=1, heads=2)
    path = tmp_path / "mc3.safetensors"
    checkpoints.save(path, create_model("vocalist_mc3", config=sizes).state_dict(), sizes)
    student = recipe(store, tmp_path, teacher=path, teacher_model="vocalist_mc3")
    assert train(student).is_file()


def test_without_distillation_no_teacher_is_needed(store, tmp_path):
    assert train(recipe(store, tmp_path, distillation="none")).is_file()


def test_only_student_and_weights_learn(batch):
    task = step()
    before = {k: v.clone() for k, v in task.teacher.model.state_dict().items()}
    named = dict(task.named_parameters())
    assert {name.partition(".")[0] for name in named} == {"model", "teaching"}
    assert named["teaching.weighting.uncertainty"].shape == (4,)
    optimizer = torch.optim.Adam(named.values(), lr=0.1)
    task.train()
    for _ in range(2):
        optimizer.zero_grad()
        task(*batch).backward()
        optimizer.step()
    assert all(parameter.grad is not None for parameter in named.values())
    for name, value in task.teacher.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_teacher_is_never_noisy(batch):
    task = step().train()
    seen = []
    hook = task.teacher.model.fc.register_forward_hook(lambda _, __, output: seen.append(output))
    task(*batch)
    task(*batch)
    hook.remove()
    assert torch.equal(*seen) and not seen[0].requires_grad


def test_the_value_is_cross_entropy_and_the_gradient_that_of_the_whole(batch):
    task = step().eval()
    loss = task(*batch)
    frames, wav, in_sync = batch
    mel = task.model.front_end(wav)[..., :-1]
    cross_entropy = F.binary_cross_entropy_with_logits(task.model(frames, mel), in_sync)
    torch.testing.assert_close(loss, cross_entropy)
    loss.backward()
    # 1 / p^2 + 2 p / (1 + p^2) at p = 1: each weight is pulled by its own loss.
    pull = task.teaching.weighting.uncertainty.grad
    assert pull[0].item() == pytest.approx(1 - cross_entropy.item(), rel=1e-4)
    assert (pull[1:] > 0.5).all() and VocalistDistillationStep.chance == math.log(2)


def test_bfloat16_changes_the_gradient_by_its_rounding_alone(batch):
    full, mixed = step().eval(), step().eval()
    full(*batch).backward()
    with torch.autocast("cpu", torch.bfloat16):
        loss = mixed(*batch)
    loss.backward()
    assert loss.dtype == torch.float32
    grads = [task.teaching.weighting.uncertainty.grad for task in (full, mixed)]
    assert not torch.equal(*grads)
    torch.testing.assert_close(*grads, atol=0.01, rtol=0)


def test_copies_and_states_do_not_hold_the_teacher(batch, store, teacher, tmp_path):
    task = step()
    copy = deepcopy(task)
    assert copy.teacher is task.teacher and copy.model is not task.model
    train(recipe(store, tmp_path, teacher=teacher))
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert not [name for name in state["task"] if "teacher" in name]


def test_what_does_not_fit_is_named(store, teacher, tmp_path):
    with pytest.raises(ValueError, match="teacher must name the weights of a VocaLiST"):
        train(recipe(store, tmp_path))
    deeper = VocalistConfig(NARROW.channels, depth=2, heads=2)
    with pytest.raises(ValueError, match="the teacher's 1 layers of 2 heads, got 2 of 2"):
        train(recipe(store, tmp_path, teacher=teacher, model=deeper))
    longer = VocalistConfig(NARROW.channels, 1, 2, window_frames=10)
    with pytest.raises(ValueError, match="windows of 10 frames, as the student, got 5"):
        train(recipe(store, tmp_path, teacher=teacher, model=longer))
