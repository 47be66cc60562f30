"""PSNR and SSIM of pictures whose figures are known on paper."""

import math
import sys

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from avsync.metrics.image import psnr, ssim


@pytest.fixture
def pictures():
    return torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("off", "expected"), [(0.1, 20.0), (0.01, 40.0), (0.5, 6.0206)])
def test_a_constant_difference_has_its_decibels(pictures, off, expected):
    assert psnr(pictures, pictures + off) == pytest.approx(expected, abs=1e-3)


def test_psnr_takes_all_pixels_together(pictures):
    made = pictures.clone()
    made[0] += 0.1
    # Half of the pixels: the mean square is 0.005.
    assert psnr(made, pictures) == pytest.approx(-10 * math.log10(0.005), abs=1e-3)


def test_the_same_pictures_are_infinitely_near(pictures):
    assert psnr(pictures, pictures) == math.inf
    assert ssim(pictures, pictures) == pytest.approx(1)


def test_even_surfaces_differ_by_their_light_alone():
    # No variance, so (2 a b + C1) / (a^2 + b^2 + C1) is left, with C1 = 0.01^2.
    a, b = 0.25, 0.75
    made, true = (torch.full((1, 3, 24, 24), value) for value in (a, b))
    assert ssim(made, true) == pytest.approx((2 * a * b + 1e-4) / (a * a + b * b + 1e-4), abs=1e-6)


def test_ssim_is_that_of_the_paper(pictures):
    made, true = pictures[:1, :1], (pictures[:1, :1] + pictures[1:, :1]) / 2
    place = np.arange(11) - 5
    line = np.exp(-(place**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    a, b = (each[0, 0].double().numpy() for each in (made, true))

    def blurred(x):
        wide = np.pad(x, 5, mode="reflect")
        return (np.lib.stride_tricks.sliding_window_view(wide, (11, 11)) * window).sum((2, 3))

    mean_a, mean_b = blurred(a), blurred(b)
    spread = blurred(a * a) - mean_a**2 + blurred(b * b) - mean_b**2
    shared = blurred(a * b) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + 1e-4) * (2 * shared + 9e-4)
    alike /= (mean_a**2 + mean_b**2 + 1e-4) * (spread + 9e-4)
    assert ssim(made, true) == pytest.approx(alike.mean(), abs=1e-6)


@pytest.mark.parametrize("size", [(11, 11), (24, 32), (48, 96)])
def test_ssim_is_that_of_torchmetrics(size):
    generator = torch.Generator().manual_seed(1)
    true = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)
    for spread in (0, 1e-3, 0.1, 1):
        noise = torch.randn(true.shape, generator=generator, dtype=torch.float64)
        made = (true + spread * noise).clamp(0, 1)
        theirs = structural_similarity_index_measure(
            made, true, sigma=1.5, kernel_size=11, data_range=1.0
        )
        assert ssim(made, true) == pytest.approx(float(theirs), abs=1e-12)


def test_ssim_is_the_mean_over_pictures(pictures):
    made = torch.cat([pictures[:1], 1 - pictures[1:]])
    alone = [ssim(made[place, None], pictures[place, None]) for place in range(2)]
    assert ssim(made, pictures) == pytest.approx(sum(alone) / 2)
    assert alone[1] < 0 < alone[0]


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_pictures_that_do_not_fit_are_named(measure, pictures):
    with pytest.raises(ValueError, match=r"\(B, C, H, W\), got \(2, 3, 24, 32\) and \(2, 3, 24,"):
        measure(pictures, pictures[..., :-1])
    with pytest.raises(ValueError, match="must both be"):
        measure(pictures[0], pictures[0])


def test_pictures_smaller_than_the_window_are_refused(pictures):
    with pytest.raises(ValueError, match="11x11 pixels or more, got 8x32"):
        ssim(pictures[:, :, :8], pictures[:, :, :8])


def test_without_torchmetrics_the_extra_is_named(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    assert ssim(pictures, pictures) == pytest.approx(1)
    with pytest.raises(RuntimeError, match=r"pip install 'avsync\[evaluate\]'"):
        psnr(pictures, pictures)
