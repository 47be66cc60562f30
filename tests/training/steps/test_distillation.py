import math

import pytest
import torch
import torch.nn.functional as F
from golden.recipe import numbers
from golden.vocalists import golden_inputs, golden_model

from avsync.tasks.sync.vocalist import VocalistConfig, build
from avsync.tasks.sync.vocalist_activations import capture_activations
from avsync.training.steps.distillation import (
    AttentionDistillation,
    HintDistillation,
    RelationalDistillation,
    SoftTargetDistillation,
)

LABELS = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
WAYS = (
    AttentionDistillation(depth=2),
    SoftTargetDistillation(),
    HintDistillation(8, 16),
    RelationalDistillation(),
)


@pytest.fixture(scope="module")
def golden():
    """What the reference student and teacher think of the reference inputs."""
    with torch.no_grad():
        return [
            capture_activations(
                golden_model(name, torch.float64), *golden_inputs(name, "T5", torch.float64)
            )
            for name in ("mtdvocalist", "vocalist")
        ]


@pytest.fixture(scope="module")
def tiny():
    """What a narrow and a wide model think of four windows."""
    torch.manual_seed(0)
    frames, mel = torch.rand(4, 3, 5, 48, 96), torch.randn(4, 80, 16)
    narrow, wide = (build(VocalistConfig((2, 2, 3, 4, d), 2, 2)).eval() for d in (8, 16))
    return capture_activations(narrow, frames, mel), capture_activations(wide, frames, mel)


def test_the_divergence_of_every_layer_is_the_references(golden):
    student, teacher = golden
    got = AttentionDistillation().double().divergences(student, teacher)
    known = numbers("golden_mtd_loss")["kl_mean_qk_vv_per_layer"]
    expected = torch.tensor(known["fus"] + known["av"] + known["va"], dtype=torch.float64)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


def test_the_total_and_the_gradient_of_every_weight_are_the_references(golden):
    known = numbers("golden_mtd_loss")
    teaching = AttentionDistillation().double()
    total = teaching(*golden, LABELS)
    assert total.item() == pytest.approx(known["total"], abs=1e-12)
    total.backward()
    expected = torch.tensor(known["grad_of_weight_params"], dtype=torch.float64)
    grad = teaching.weighting.uncertainty.grad
    torch.testing.assert_close(grad, expected, atol=1e-12, rtol=0)


def test_a_student_that_is_its_teacher_is_taught_nothing_but_labels(tiny):
    student, _ = tiny
    labels = LABELS.float()
    cross_entropy = F.binary_cross_entropy_with_logits(student.scores, labels)
    relations = AttentionDistillation(depth=2)
    assert relations.divergences(student, student).abs().max() < 1e-7
    expected = cross_entropy / 2 + 7 * math.log(2)
    torch.testing.assert_close(relations(student, student, labels), expected)
    for way in (SoftTargetDistillation(), RelationalDistillation()):
        torch.testing.assert_close(way(student, student, labels), cross_entropy)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: type(way).__name__)
def test_every_way_teaches_more_than_the_labels(way, tiny):
    student, teacher = tiny
    labels = LABELS.float()
    cross_entropy = F.binary_cross_entropy_with_logits(student.scores, labels)
    grads = [
        torch.autograd.grad(loss, student.pooled, retain_graph=True)[0]
        for loss in (way(student, teacher, labels), cross_entropy)
    ]
    # What is seen inside is where the student's gradient begins.
    assert not torch.allclose(*grads, rtol=1e-3)


def test_steps_bring_the_students_relations_to_the_teachers():
    torch.manual_seed(0)
    frames, mel, labels = torch.rand(2, 3, 5, 48, 96), torch.randn(2, 80, 16), torch.ones(2)
    student, teacher = (build(VocalistConfig((2, 2, 3, 4, d), 1, 2)).eval() for d in (8, 16))
    with torch.no_grad():
        known = capture_activations(teacher, frames, mel)
    way = AttentionDistillation(depth=1)
    optimizer = torch.optim.Adam([*student.parameters(), *way.parameters()], lr=0.01)
    divergences = []
    for _ in range(25):
        thought = capture_activations(student, frames, mel)
        divergences.append(way.divergences(thought, known).sum().item())
        optimizer.zero_grad()
        way(thought, known, labels).backward()
        optimizer.step()
    assert divergences[-1] < divergences[0] / 2


def test_hints_weigh_a_hundredfold(tiny):
    student, teacher = tiny
    way, labels = HintDistillation(8, 16), LABELS.float()
    hint = way(student, teacher, labels) - F.binary_cross_entropy_with_logits(
        student.scores, labels
    )
    torch.testing.assert_close(hint, 100 * way.hint(student.pooled, teacher.pooled))
