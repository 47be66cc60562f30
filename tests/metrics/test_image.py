import math
import sys

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from avsync.metrics.image import psnr, ssim

pytestmark = pytest.mark.arithmetic


@pytest.fixture
def images():
    return torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("difference", "expected"), [(0.1, 20.0), (0.01, 40.0), (0.5, 6.0206)])
def test_a_constant_difference_has_a_known_psnr(images, difference, expected):
    assert psnr(images, images + difference) == pytest.approx(expected, abs=1e-3)


def test_psnr_is_over_all_pixels_together(images):
    generated = images.clone()
    generated[0] += 0.1
    # Half of the pixels are off by 0.1: the mean squared error is 0.005.
    assert psnr(generated, images) == pytest.approx(-10 * math.log10(0.005), abs=1e-3)


def test_equal_images_have_infinite_psnr_and_ssim_one(images):
    assert psnr(images, images) == math.inf
    assert ssim(images, images) == pytest.approx(1)


def test_uniform_images_differ_in_luminance_only():
    # There is no variance, so (2 a b + C1) / (a^2 + b^2 + C1) is left, with C1 = 0.01^2.
    a, b = 0.25, 0.75
    generated, reference = (torch.full((1, 3, 24, 24), value) for value in (a, b))
    assert ssim(generated, reference) == pytest.approx(
        (2 * a * b + 1e-4) / (a * a + b * b + 1e-4), abs=1e-6
    )


def test_ssim_follows_the_equation_of_the_paper(images):
    generated, reference = images[:1, :1], (images[:1, :1] + images[1:, :1]) / 2
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    a, b = (image[0, 0].double().numpy() for image in (generated, reference))

    def blur(x):
        wide = np.pad(x, 5, mode="reflect")
        return (np.lib.stride_tricks.sliding_window_view(wide, (11, 11)) * window).sum((2, 3))

    mean_a, mean_b = blur(a), blur(b)
    variance = blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    expected = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    expected /= (mean_a**2 + mean_b**2 + 1e-4) * (variance + 9e-4)
    assert ssim(generated, reference) == pytest.approx(expected.mean(), abs=1e-6)


@pytest.mark.parametrize("size", [(11, 11), (24, 32), (48, 96)])
def test_ssim_equals_that_of_torchmetrics(size):
    generator = torch.Generator().manual_seed(1)
    reference = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)
    for scale in (0, 1e-3, 0.1, 1):
        noise = torch.randn(reference.shape, generator=generator, dtype=torch.float64)
        generated = (reference + scale * noise).clamp(0, 1)
        expected = structural_similarity_index_measure(
            generated, reference, sigma=1.5, kernel_size=11, data_range=1.0
        )
        assert ssim(generated, reference) == pytest.approx(float(expected), abs=1e-12)


def test_ssim_is_the_mean_over_images(images):
    generated = torch.cat([images[:1], 1 - images[1:]])
    alone = [ssim(generated[index, None], images[index, None]) for index in range(2)]
    assert ssim(generated, images) == pytest.approx(sum(alone) / 2)
    assert alone[1] < 0 < alone[0]


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_images_of_different_shapes_are_named(measure, images):
    with pytest.raises(ValueError, match=r"\(B, C, H, W\), got \(2, 3, 24, 32\) and \(2, 3, 24,"):
        measure(images, images[..., :-1])
    with pytest.raises(ValueError, match="must both be"):
        measure(images[0], images[0])


def test_images_smaller_than_the_window_are_rejected(images):
    with pytest.raises(ValueError, match="11x11 pixels or more, got 8x32"):
        ssim(images[:, :, :8], images[:, :, :8])


def test_without_torchmetrics_the_extra_is_named(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    assert ssim(images, images) == pytest.approx(1)
    with pytest.raises(RuntimeError, match=r"pip install 'avsync\[evaluate\]'"):
        psnr(images, images)
