import math

import pytest
import torch
import torch.nn.functional as F
from golden.float64 import FLOAT64_ONLY, float64_throughout
from golden.recipe import numbers
from golden.vocalists import (
    FLOAT32_INSIDE,
    golden_inputs,
    golden_model,
)

from avsync.tasks.sync.vocalist import VocalistConfig, build_vocalist, capture_activations
from avsync.training.steps.distillation import (
    AttentionDistillation,
    FitNetsDistillation,
    RelationalDistillation,
    SoftTargetDistillation,
)

pytestmark = pytest.mark.arithmetic

# The softmax of each relation is in float32: exp, sum and division are off by 2^-24 of themselves
# each, and so is what the model gave. A divergence is a mean over 5 or 16 keys of p (log p - log q)
# whose p add up to 1: it is off by that error over 5, or less. Measured: 1e-9 between processors,
# 4e-9 between the reference with these steps and without them.
DIVERGENCE = 4 * 2**-24 / 5
LABELS = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
WAYS = (
    AttentionDistillation(depth=2),
    SoftTargetDistillation(),
    FitNetsDistillation(8, 16),
    RelationalDistillation(),
)


@pytest.fixture(scope="module")
def golden():
    """Activations of the reference student and teacher on the reference inputs: as published, with
    some steps in float32, and in float64 throughout.
    """
    models, inputs = [], []
    for name in ("mtdvocalist", "vocalist"):
        model, given = golden_model(name, torch.float64), golden_inputs(name, "T5", torch.float64)
        with torch.no_grad():
            tokens = model.tokens(*given)
        # The encoders have no float32 step: they run once for both.
        model.tokens = lambda *_, tokens=tokens: tokens
        models.append(model)
        inputs.append(given)

    def seen():
        with torch.no_grad():
            return [capture_activations(m, *x) for m, x in zip(models, inputs, strict=True)]

    published = seen()
    with float64_throughout():
        return published, seen()


@pytest.fixture(scope="module")
def tiny():
    """Activations of a narrow and a wide model on four windows."""
    torch.manual_seed(0)
    frames, mel = torch.rand(4, 3, 5, 48, 96), torch.randn(4, 80, 16)
    narrow, wide = (build_vocalist(VocalistConfig((2, 2, 3, 4, d), 2, 2)).eval() for d in (8, 16))
    return capture_activations(narrow, frames, mel), capture_activations(wide, frames, mel)


# Two models of 80 million parameters in float64; the losses have exact values in their own tests.
@pytest.mark.slow
def test_the_divergence_of_every_layer_is_the_references(golden):
    published, exact = golden
    teaching = AttentionDistillation().double()
    got = teaching.divergences(*published)
    assert_divergences(got, numbers("golden_mtd_loss"), DIVERGENCE)
    with float64_throughout():
        got = teaching.divergences(*exact)
    assert_divergences(got, numbers("golden_float64")["mtd_loss"], FLOAT64_ONLY)


@pytest.mark.slow
def test_the_total_and_the_gradient_of_every_weight_are_the_references(golden):
    published, exact = golden
    assert_teaching(published, numbers("golden_mtd_loss"), 24 * DIVERGENCE / 2 + FLOAT32_INSIDE)
    with float64_throughout():
        assert_teaching(exact, numbers("golden_float64")["mtd_loss"], FLOAT64_ONLY)


def test_a_student_that_is_its_teacher_learns_nothing_but_labels(tiny):
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
    # The pooled tokens are where the student's gradient begins.
    assert not torch.allclose(*grads, rtol=1e-3)


def test_steps_bring_the_students_relations_to_the_teachers():
    torch.manual_seed(0)
    frames, mel, labels = torch.rand(2, 3, 5, 48, 96), torch.randn(2, 80, 16), torch.ones(2)
    student, teacher = (
        build_vocalist(VocalistConfig((2, 2, 3, 4, d), 1, 2)).eval() for d in (8, 16)
    )
    with torch.no_grad():
        targets = capture_activations(teacher, frames, mel)
    way = AttentionDistillation(depth=1)
    optimizer = torch.optim.Adam([*student.parameters(), *way.parameters()], lr=0.01)
    divergences = []
    for _ in range(25):
        activations = capture_activations(student, frames, mel)
        divergences.append(way.divergences(activations, targets).sum().item())
        optimizer.zero_grad()
        way(activations, targets, labels).backward()
        optimizer.step()
    assert divergences[-1] < divergences[0] / 2


def test_the_fitnets_hint_loss_has_weight_100(tiny):
    student, teacher = tiny
    way, labels = FitNetsDistillation(8, 16), LABELS.float()
    fitnets = way(student, teacher, labels) - F.binary_cross_entropy_with_logits(
        student.scores, labels
    )
    torch.testing.assert_close(fitnets, 100 * way.hint(student.pooled, teacher.pooled))


def assert_divergences(got, wanted, atol):
    wanted = wanted["kl_mean_qk_vv_per_layer"]
    rows = torch.tensor(wanted["fus"] + wanted["av"] + wanted["va"], dtype=torch.float64)
    torch.testing.assert_close(got, rows, atol=atol, rtol=0)


def assert_teaching(seen, wanted, atol):
    """Total and gradient of each weight; weights are 1, so that a divergence counts half in the
    total, and whole in the gradient of its own weight.
    """
    teaching = AttentionDistillation().double()
    total = teaching(*seen, LABELS)
    assert total.item() == pytest.approx(wanted["total"], abs=atol, rel=0)
    total.backward()
    grad = teaching.weighting.uncertainty.grad
    expected = torch.tensor(wanted["grad_of_weight_params"], dtype=torch.float64)
    torch.testing.assert_close(grad, expected, atol=atol, rtol=0)
