import pytest
import torch
from torch import nn

from avsync.encoders.short_conv import ShortConv3d

SHAPES = {
    "stem": ((3, 4, 7), {"padding": 3}),
    "strided": ((4, 5, 5), {"stride": (1, 1, 2), "padding": (2, 1, 1)}),
    "no bias": ((2, 3, 3), {"padding": 1, "bias": False}),
}


def pair(arguments, options):
    torch.manual_seed(0)
    ours, theirs = ShortConv3d(*arguments, **options).double(), nn.Conv3d(*arguments, **options)
    theirs.double().load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 7, 9])
def test_it_is_a_convolution_and_so_are_its_gradients(name, frames):
    ours, theirs = pair(*SHAPES[name])
    seen = []
    for conv in (ours, theirs):
        x = torch.linspace(-1, 1, 2 * conv.in_channels * frames * 90).double().sin()
        x = x.reshape(2, conv.in_channels, frames, 9, 10).requires_grad_()
        y = conv(x)
        (y * torch.arange(y.numel()).reshape(y.shape).cos()).sum().backward()
        seen.append([y, x.grad, *(each.grad for each in conv.parameters())])
    for one, other in zip(*seen, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("frames", "folded"), [(7, True), (8, False)])
def test_only_short_clips_are_folded_and_only_in_training(frames, folded, monkeypatch):
    conv = ShortConv3d(1, 1, 7, padding=3)
    calls = []
    monkeypatch.setattr(
        conv, "_unrolled", lambda n: calls.append(n) or ShortConv3d._unrolled(conv, n)
    )
    conv(torch.rand(1, 1, frames, 7, 7))
    assert calls == [frames] * folded
    conv.eval()(torch.rand(1, 1, frames, 7, 7))
    assert len(calls) == folded


def test_padding_that_shortens_time_is_left_to_the_3d_convolution():
    conv = ShortConv3d(1, 1, 3, padding=(0, 1, 1))
    assert conv(torch.rand(1, 1, 3, 4, 4)).shape == (1, 1, 1, 4, 4)
