import pytest
import torch
from torch import nn

from avsync.encoders.conv_block import FoldedConv3d

pytestmark = pytest.mark.arithmetic

SHAPES = {
    "stem": ((3, 4, 7), {"padding": 3}),
    "strided": ((4, 5, 5), {"stride": (1, 1, 2), "padding": (2, 1, 1)}),
    "no bias": ((2, 3, 3), {"padding": 1, "bias": False}),
}


def pair(arguments, options):
    torch.manual_seed(0)
    ours, theirs = FoldedConv3d(*arguments, **options).double(), nn.Conv3d(*arguments, **options)
    theirs.double().load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 7, 8, 9, 13])
def test_outputs_and_gradients_are_those_of_conv3d(name, frames):
    ours, theirs = pair(*SHAPES[name])
    results = []
    for conv in (ours, theirs):
        x = torch.linspace(-1, 1, 2 * conv.in_channels * frames * 90).double().sin()
        x = x.reshape(2, conv.in_channels, frames, 9, 10).requires_grad_()
        y = conv(x)
        (y * torch.arange(y.numel()).reshape(y.shape).cos()).sum().backward()
        results.append([y, x.grad, *(p.grad for p in conv.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_frames_are_folded_in_training_only(monkeypatch):
    conv, calls = FoldedConv3d(1, 1, 7, padding=3), []
    unrolled = conv._unrolled
    monkeypatch.setattr(conv, "_unrolled", lambda *sizes: calls.append(sizes) or unrolled(*sizes))
    conv(torch.rand(1, 1, 7, 7, 7))
    conv(torch.rand(1, 1, 8, 7, 7))
    assert calls == [(7, 0), (3, 3)]
    conv.eval()(torch.rand(1, 1, 8, 7, 7))
    assert len(calls) == 2


def test_padding_that_shortens_time_falls_back_to_the_3d_convolution():
    conv = FoldedConv3d(1, 1, 3, padding=(0, 1, 1))
    assert conv(torch.rand(1, 1, 3, 4, 4)).shape == (1, 1, 1, 4, 4)
