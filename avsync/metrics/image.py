"""SSIM: how alike the structure of pictures is; equal to torchmetrics', many times as fast.

Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment: From Error Visibility to Structural
Similarity (IEEE Transactions on Image Processing 13, 2004).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Of the Gaussian window, which is so many pixels wide.
SIGMA, WINDOW = 1.5, 11
# What keeps the ratios of light and of contrast from nought over nought.
LIGHT, CONTRAST = 0.01**2, 0.03**2


def ssim(made: Tensor, true: Tensor) -> float:
    """The mean SSIM of pictures `(B, C, H, W)` in [0, 1]: 1 where they are the same.

    With the paper's window and constants, channel by channel, the picture mirrored at its edges.
    ValueError for pictures smaller than the window.
    """
    check_images(made, true)
    if min(made.shape[2:]) < WINDOW:
        size = f"{made.shape[2]}x{made.shape[3]}"
        raise ValueError(f"pictures must be {WINDOW}x{WINDOW} pixels or more, got {size}")
    # In float32 the variance of an even surface is off by a thousandth of the constants.
    a, b = made.double(), true.double()
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a = _blurred(a * a) - mean_a * mean_a
    variance_b = _blurred(b * b) - mean_b * mean_b
    shared = _blurred(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + LIGHT) / (mean_a * mean_a + mean_b * mean_b + LIGHT)
    structure = (2 * shared + CONTRAST) / (variance_a + variance_b + CONTRAST)
    return float((light * structure).mean())


def _blurred(pictures: Tensor) -> Tensor:
    """Under the window, which is a column times a row: 22 products for each pixel, not 121."""
    reach = WINDOW // 2
    places = torch.arange(-reach, reach + 1, dtype=torch.float64)
    line = torch.exp(-((places / SIGMA) ** 2) / 2)
    weights = (line / line.sum()).tolist()
    height, width = pictures.shape[2:]
    x = F.pad(pictures, (reach, reach, reach, reach), mode="reflect")
    x = sum(weight * x[:, :, k : k + height] for k, weight in enumerate(weights))
    return sum(weight * x[..., k : k + width] for k, weight in enumerate(weights))


def psnr(made: Tensor, true: Tensor) -> float:
    """PSNR in dB of pictures `(B, C, H, W)` in [0, 1], all their pixels together; higher is better,
    infinite where they are the same.

    -10 log10 of the mean squared difference: 20 dB where every pixel is off by 0.1. Together, as a
    single picture that is the same would make a mean over pictures infinite.

    RuntimeError where torchmetrics is not installed.
    """
    check_images(made, true)
    try:
        from torchmetrics.functional.image import peak_signal_noise_ratio
    except ImportError as error:
        raise RuntimeError("PSNR needs torchmetrics: pip install 'avsync[evaluate]'") from error
    return float(peak_signal_noise_ratio(made.double(), true.double(), data_range=1.0))


def check_images(made: Tensor, true: Tensor) -> None:
    """ValueError unless both are `(B, C, H, W)` of the same shape."""
    if made.ndim != 4 or made.shape != true.shape or not len(made):
        shapes = f"{tuple(made.shape)} and {tuple(true.shape)}"
        raise ValueError(f"made and true must both be (B, C, H, W), got {shapes}")
