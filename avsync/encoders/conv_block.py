"""The block of the Wav2Lip and VocaLiST encoders: convolution, batch norm, residual, ReLU."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


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


def fold_batch_norms(model: nn.Module) -> None:
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


def upsample_block_2d(in_channels: int, out_channels: int) -> ConvBlock:
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


# Of a clip longer than the kernel, so many frames at once: with more, the kernel is mostly zeros.
BLOCK_FRAMES = 3


class FoldedConv3d(nn.Conv3d):
    """A convolution over `(B, C, T, H, W)` with the weights of `nn.Conv3d`, for training on CPUs.

    A few frames and those that they see, all as channels, with the kernel shifted once for each,
    are the same sum as one 2-D convolution, whose gradients CPUs find several times sooner where
    the kernel is wide: of the first layer of VocaLiST at an eighth of its width, 0.2 s in place of
    1.7 s for windows of 5 frames, 0.8 s in place of 2.7 s for clips of 50. In use, and on GPUs,
    nothing changes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(B, C, T, H, W)` to `(B, C', T', H', W')` as `nn.Conv3d` does."""
        keeps_length = 2 * self._padding()[0] + 1 == self.kernel_size[0] and self.stride[0] == 1
        if not (self.training and keeps_length and x.device.type == "cpu"):
            return super().forward(x)
        frames = x.shape[2]
        # No longer than the kernel, nearly every frame is seen from every other.
        short = frames <= self.kernel_size[0]
        block, around = (frames, 0) if short else (BLOCK_FRAMES, self._padding()[0])
        x = F.pad(x, (0, 0, 0, 0, around, around - frames % -block))
        x = rearrange(x.unfold(2, block + 2 * around, block), "b c n h w t -> (b n) (c t) h w")
        bias = None if self.bias is None else self.bias.repeat_interleave(block)
        kernel, padding = self._unrolled(block, around), self._padding()[1:]
        y = F.conv2d(x, kernel, bias, self.stride[1:], padding)
        blocks = -(-frames // block)
        return rearrange(y, "(b n) (c t) h w -> b c (n t) h w", n=blocks, t=block)[:, :, :frames]

    def _unrolled(self, block: int, around: int) -> Tensor:
        """The kernel once for each frame of a block that it is centred on, over the block and the
        frames around it: `(C' block, C (block + 2 around), h, w)`.
        """
        seen, rows = block + 2 * around, []
        for frame in range(block):
            start = frame + around - self._padding()[0]
            before, cut = max(start, 0), max(-start, 0)
            part = self.weight[:, :, cut : cut + seen - before]
            rows.append(F.pad(part, (0, 0, 0, 0, before, seen - before - part.shape[2])))
        return torch.stack(rows, dim=1).flatten(2, 3).flatten(0, 1)

    def _padding(self) -> tuple[int, ...]:
        assert not isinstance(self.padding, str)
        return self.padding
