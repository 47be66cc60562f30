"""The block of the Wav2Lip and VocaLiST encoders: convolution, batch norm, residual, ReLU."""

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from avsync.encoders.folded_conv import FoldedConv3d


class ConvBlock(nn.Module):
    """Convolution with bias, batch norm, the input added where `residual`, then ReLU.

    Args:
        conv: a 2-D or 3-D convolution, or a transposed 2-D one.
        norm: the batch norm that follows it.
        residual: add the block's input; the convolution must keep its shape.
    """

    def __init__(self, conv: nn.Module, norm: nn.Module, residual: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.residual = conv, norm, residual

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(B, C, ...)` to `(B, C', ...)`, never negative."""
        y: Tensor = self.norm(self.conv(x))
        return (y + x if self.residual else y).relu_()

    def fold(self) -> None:
        """Puts the batch norm into the convolution, for inference; what `eval` gives stays."""
        if isinstance(self.norm, nn.BatchNorm2d | nn.BatchNorm3d):
            back = isinstance(self.conv, nn.ConvTranspose2d)
            self.conv = fuse_conv_bn_eval(self.conv, self.norm, back)  # type: ignore[type-var]
            self.norm = nn.Identity()


def fold_norms(model: nn.Module) -> None:
    """Folds every block of a model in eval mode, in place: the same scores, a tenth sooner."""
    for module in model.modules():
        if isinstance(module, ConvBlock):
            module.fold()


def conv_block_2d(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    residual: bool = False,
) -> ConvBlock:
    """A block over `(B, C, H, W)`."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding)
    return ConvBlock(conv, nn.BatchNorm2d(out_channels), residual)


def doubling_block_2d(in_channels: int, out_channels: int) -> ConvBlock:
    """A block over `(B, C, H, W)` that doubles height and width, by a transposed convolution."""
    conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
    return ConvBlock(conv, nn.BatchNorm2d(out_channels))


def conv_block_3d(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int, int],
    stride: int | tuple[int, int, int] = 1,
    padding: int | tuple[int, int, int] = 0,
    residual: bool = False,
) -> ConvBlock:
    """A block over `(B, C, T, H, W)`."""
    # Wider ones than 3 gain most by it; the others gain nothing where they are of full width.
    kind = FoldedConv3d if (kernel if isinstance(kernel, int) else kernel[0]) > 3 else nn.Conv3d
    conv = kind(in_channels, out_channels, kernel, stride, padding)
    return ConvBlock(conv, nn.BatchNorm3d(out_channels), residual)
