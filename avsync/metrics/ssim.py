"""SSIM: how alike the structure of pictures is, by torchmetrics.

Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment: From Error Visibility to Structural
Similarity (IEEE Transactions on Image Processing 13, 2004).
"""

from torch import Tensor

from avsync.metrics.psnr import check_pictures

# Of the Gaussian window, which is so many pixels wide.
SIGMA, WINDOW = 1.5, 11


def ssim(made: Tensor, true: Tensor) -> float:
    """The mean SSIM of pictures `(B, C, H, W)` in [0, 1]: 1 where they are the same.

    With the paper's window and constants, channel by channel, the picture mirrored at its edges.
    ValueError for pictures smaller than the window, RuntimeError where torchmetrics is not
    installed.
    """
    check_pictures(made, true)
    if min(made.shape[2:]) < WINDOW:
        size = f"{made.shape[2]}x{made.shape[3]}"
        raise ValueError(f"pictures must be {WINDOW}x{WINDOW} pixels or more, got {size}")
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise RuntimeError("SSIM needs torchmetrics: pip install 'avsync[evaluate]'") from error
    # In float32 the variance of an even surface is off by a thousandth of the constants.
    alike = structural_similarity_index_measure(
        made.double(), true.double(), sigma=SIGMA, kernel_size=WINDOW, data_range=1.0
    )
    assert not isinstance(alike, tuple)
    return float(alike)
