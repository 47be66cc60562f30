import json
from pathlib import Path

import pytest
import torch
from torch import nn

from avsync.tasks.talking.discriminator import FaceDiscriminator

pytestmark = pytest.mark.arithmetic

GOLDEN = Path(__file__).parents[2] / "golden"
TINY = (2, 3, 4, 5, 6)


def test_parameters_are_those_of_the_public_code_in_order():
    keys = json.loads((GOLDEN / "keys_face_critic.json").read_text())
    shapes = [tuple(p.shape) for p in FaceDiscriminator().parameters()]
    assert shapes == [tuple(shape) for shape in keys.values()]


@torch.no_grad()
def test_layers_have_the_sizes_of_the_table():
    critic, sizes = FaceDiscriminator().eval(), []
    for layer in critic.layers:
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda _, inputs, output: sizes.append(tuple(output.shape[1:]))
            )
    critic(torch.rand(1, 3, 96, 96))
    assert sizes == [
        (32, 48, 96),
        *[(64, 48, 48)] * 2,
        *[(128, 24, 24)] * 2,
        *[(256, 12, 12)] * 2,
        *[(512, 6, 6)] * 2,
        *[(512, 3, 3)] * 2,
        *[(512, 1, 1)] * 2,
        (1, 1, 1),
    ]


@torch.no_grad()
def test_it_depends_on_the_lower_half_alone():
    torch.manual_seed(0)
    critic, frames = FaceDiscriminator(TINY), torch.rand(3, 3, 96, 96)
    logits = critic(frames)
    assert logits.shape == (3,)
    upper, lower = frames.clone(), frames.clone()
    upper[:, :, :48], lower[:, :, 48:] = 0, 0
    torch.testing.assert_close(critic(upper), logits)
    assert not torch.equal(critic(lower), logits)


@pytest.mark.parametrize("shape", [(1, 3, 48, 96), (1, 6, 96, 96), (3, 96, 96)])
def test_frames_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, 96, 96\), got"):
        FaceDiscriminator(TINY)(torch.zeros(shape))
