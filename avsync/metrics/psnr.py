"""PSNR: how far the pixels of pictures are from the true ones, in dB, by torchmetrics."""

from torch import Tensor


def psnr(made: Tensor, true: Tensor) -> float:
    """PSNR in dB of pictures `(B, C, H, W)` in [0, 1], all their pixels together; higher is better,
    infinite where they are the same.

    -10 log10 of the mean squared difference: 20 dB where every pixel is off by 0.1. Together, as a
    single picture that is the same would make a mean over pictures infinite.

    RuntimeError where torchmetrics is not installed.
    """
    check_pictures(made, true)
    try:
        from torchmetrics.functional.image import peak_signal_noise_ratio
    except ImportError as error:
        raise RuntimeError("PSNR needs torchmetrics: pip install 'avsync[evaluate]'") from error
    return float(peak_signal_noise_ratio(made.double(), true.double(), data_range=1.0))


def check_pictures(made: Tensor, true: Tensor) -> None:
    """ValueError unless both are `(B, C, H, W)` of the same shape."""
    if made.ndim != 4 or made.shape != true.shape or not len(made):
        shapes = f"{tuple(made.shape)} and {tuple(true.shape)}"
        raise ValueError(f"made and true must both be (B, C, H, W), got {shapes}")
