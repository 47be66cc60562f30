"""Convolution blocks of the Wav2Lip, SyncNet and VocaLiST encoders: conv, batch norm, ReLU."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Frames computed at once for a clip longer than the kernel: with more, the unrolled kernel is
# mostly zeros.
BLOCK_FRAMES = 3


class ConvBlock(nn.Module):
    """Convolution with bias, batch norm, an optional residual connection, then ReLU.

    Args:
        conv: a 2-D or 3-D convolution, or a transposed 2-D one.
        norm: the batch norm that follows it.
        residual: add the block's input before the ReLU; the convolution must keep its shape.
    """

    def __init__(self, conv: nn.Module, norm: nn.Module, residual: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.residual = conv, norm, residual

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, ...)` to `(B, C', ...)`, non-negative."""
        y: Tensor = self.norm(self.conv(x))
        return (y + x if self.residual else y).relu_()

    def fold(self) -> None:
        """Fold the batch norm into the convolution, for inference; eval outputs stay the same."""
        if isinstance(self.norm, nn.BatchNorm2d | nn.BatchNorm3d):
            transposed = isinstance(self.conv, nn.ConvTranspose2d)
            self.conv = fuse_conv_bn_eval(self.conv, self.norm, transposed)  # type: ignore[type-var]
            self.norm = nn.Identity()


def fold_batch_norms(model: nn.Module) -> None:
    """Fold the batch norms of every `ConvBlock` of a model in eval mode, modifying the model.

    Scores stay the same; inference takes about a tenth less time.
    """
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
    """Build a `ConvBlock` over `(B, C, H, W)`."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding)
    return ConvBlock(conv, nn.BatchNorm2d(out_channels), residual)


def upsample_block_2d(in_channels: int, out_channels: int) -> ConvBlock:
    """Build a block over `(B, C, H, W)` that doubles H and W by a transposed convolution."""
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
    """Build a `ConvBlock` over `(B, C, T, H, W)`."""
    # Only kernels longer than 3 frames gain from folding at full width.
    length = kernel if isinstance(kernel, int) else kernel[0]
    conv_type = FoldedConv3d if length > 3 else nn.Conv3d
    conv = conv_type(in_channels, out_channels, kernel, stride, padding)
    return ConvBlock(conv, nn.BatchNorm3d(out_channels), residual)


class FoldedConv3d(nn.Conv3d):
    """`nn.Conv3d` that is computed as a 2-D convolution when it trains on a CPU.

    A few frames and those in their receptive field become channels, and the kernel is repeated,
    shifted, once per output frame. The sum is the same, and CPUs compute the gradients of the 2-D
    convolution several times faster if the kernel is long: for the first layer of VocaLiST at an
    eighth of its width, 0.2 s instead of 1.7 s for windows of 5 frames, 0.8 s instead of 2.7 s for
    clips of 50. In eval mode and on GPUs it is an ordinary `nn.Conv3d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, T, H, W)` to `(B, C', T', H', W')` as `nn.Conv3d` does."""
        keeps_length = 2 * self._padding()[0] + 1 == self.kernel_size[0] and self.stride[0] == 1
        if not (self.training and keeps_length and x.device.type == "cpu"):
            return super().forward(x)
        frames = x.shape[2]
        # In a clip no longer than the kernel nearly every frame sees every other.
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
        """Return the 2-D kernel `(C' block, C (block + 2 around), h, w)`, shifted per frame."""
        visible, kernels = block + 2 * around, []
        for frame in range(block):
            start = frame + around - self._padding()[0]
            before, cut = max(start, 0), max(-start, 0)
            part = self.weight[:, :, cut : cut + visible - before]
            kernels.append(F.pad(part, (0, 0, 0, 0, before, visible - before - part.shape[2])))
        return torch.stack(kernels, dim=1).flatten(2, 3).flatten(0, 1)

    def _padding(self) -> tuple[int, ...]:
        assert not isinstance(self.padding, str)
        return self.padding
