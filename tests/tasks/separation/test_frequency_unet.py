import pytest
import torch

from avsync.tasks.separation.frequency_unet import FrequencyUNet

pytestmark = pytest.mark.arithmetic

torch.manual_seed(0)
NET = FrequencyUNet(3, 2, (4, 5, 6)).eval()


def run(x):
    levels = NET.encode(x)
    return NET.decode(levels[-1], levels)


@torch.no_grad()
def test_frequency_is_halved_and_time_kept():
    x = torch.randn(1, 3, 64, 21)
    assert [tuple(level.shape) for level in NET.encode(x)] == [
        (1, 4, 32, 21),
        (1, 5, 16, 21),
        (1, 6, 8, 21),
    ]
    assert run(x).shape == (1, 2, 64, 21)


@torch.no_grad()
def test_the_output_moves_with_the_input_along_frequency_and_time():
    x = torch.zeros(1, 3, 128, 40)
    x[:, :, 48:64, 16:20] = torch.randn(1, 3, 16, 4)
    blank = run(torch.zeros_like(x))
    # By 8 bins, which three levels downsample to one.
    for shift in ((8, 0), (0, 5)):
        moved = run(x.roll(shift, (2, 3))) - blank
        expected = (run(x) - blank).roll(shift, (2, 3))
        inside = (..., slice(24, 104), slice(8, 34))
        torch.testing.assert_close(moved[inside], expected[inside], atol=1e-4, rtol=1e-3)


def test_frequencies_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="60 does not divide by 8"):
        NET.encode(torch.zeros(1, 3, 60, 4))
