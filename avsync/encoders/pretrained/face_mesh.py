"""Face mesh network of MediaPipe: 478 points of a face and its presence, from an upright crop.

Sources: Kartynnik, Ablavatski, Grishchenko and Grundmann, Real-time Facial Surface Geometry from
Monocular Video on Mobile GPUs, 2019 (arXiv 1907.06724), and for the points of eyes, irises and
lips Grishchenko, Ablavatski, Kartynnik, Raveendran and Grundmann, Attention Mesh: High-fidelity
Face Mesh Prediction in Real-time, 2020 (arXiv 2006.10962).
"""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.hub import weights_path
from avsync.weights import PRETRAINED, load

FACE_MESH_FILE = "face_mesh.safetensors"
FACE_MESH_SHA256 = "8d6253a9531ddeb5a8263edec748be2aaa7eeda6591f473ea89c1d308a8422f8"
FACE_MESH_CONFIG_SHA256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
CROP_SIZE = 256
NUM_POINTS = 478
# Channels of the maps of 128, 64, 32, 16, 8, 4 and 2 pixels. The convolutions inside a block have
# half as many.
CHANNELS = (16, 32, 64, 128, 128, 128, 128)
# Crops computed at once, whatever the batch: the maps of more do not fit into a CPU's cache.
CROPS_AT_ONCE = 8
# Once a block of this size was freed, glibc keeps the memory of freed maps for the next ones. Else
# half of the network's time is spent on pages that the system takes back and clears again. Larger
# blocks have no such effect.
KEPT_BYTES = 31 << 20
# Side of the largest maps whose 1x1 convolutions are computed as matrix products.
MAX_PRODUCT_SIDE = 32
# Blocks of each map that keep its size; all maps but the first have a halving block before them.
BLOCKS = 4


class FaceMeshOutput(NamedTuple):
    """Points of the faces in a batch of crops, and whether the crops hold faces.

    Args:
        points: `(B, 478, 3)`: x and y in pixels of the crop, from its upper left corner; z at the
            same scale, smaller = closer to the camera, 0 near the centre of the head.
        presence: `(B,)` in [0, 1], the probability that the crop holds a face.
    """

    points: Tensor
    presence: Tensor


class FaceMesh(nn.Module):
    """The face mesh network of MediaPipe's face landmarker, of 1.2 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS[0], 3, stride=2)
        self.act = nn.PReLU(CHANNELS[0])
        stages = []
        for index, channels in enumerate(CHANNELS):
            halve = [MeshBlock(CHANNELS[index - 1], channels, stride=2)] if index else []
            stages.append(nn.Sequential(*halve, *(MeshBlock(channels) for _ in range(BLOCKS))))
        self.stages = nn.Sequential(*stages)
        self.presence = nn.Conv2d(CHANNELS[-1], 1, 2)
        self.points = nn.Conv2d(CHANNELS[-1], 3 * NUM_POINTS, 2)

    def forward(self, crops: Tensor) -> FaceMeshOutput:
        """Map RGB crops `(B, 3, 256, 256)` in [0, 1], or uint8, to points and presence."""
        if crops.ndim != 4 or crops.shape[1:] != (3, CROP_SIZE, CROP_SIZE):
            expected = f"(B, 3, {CROP_SIZE}, {CROP_SIZE})"
            raise ValueError(f"crops must be {expected}, got {tuple(crops.shape)}")
        parts = [self._run(part) for part in crops.split(CROPS_AT_ONCE)]
        points, logits = (torch.cat(heads) for heads in zip(*parts, strict=True))
        return FaceMeshOutput(points, logits.sigmoid())

    def _run(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        if crops.dtype == torch.uint8:
            crops = crops.to(self.stem.weight.dtype) / 255
        # TensorFlow's "same" padding of a kernel of 3 with stride 2: only at the right and below.
        x = F.pad(crops.contiguous(memory_format=torch.channels_last), (0, 1, 0, 1))
        x = self.stages(self.act(self.stem(x)))
        # As matrix products: a convolution would rearrange its weights, 3 MB, at every call.
        x = rearrange(x, "b c h w -> b (c h w)")
        points = F.linear(x, self.points.weight.flatten(1), self.points.bias)
        presence = F.linear(x, self.presence.weight.flatten(1), self.presence.bias)
        return rearrange(points, "b (n xyz) -> b n xyz", xyz=3), presence[:, 0]


class MeshBlock(nn.Module):
    """Residual block: narrow to half the channels, convolve each, widen again.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, by default those of the input.
        stride: 2 halves the map; the shortcut is then max-pooled.
    """

    def __init__(self, in_channels: int, out_channels: int | None = None, stride: int = 1) -> None:
        super().__init__()
        out_channels = out_channels or in_channels
        inner = out_channels // 2
        self.stride = stride
        self.narrow = nn.Conv2d(in_channels, inner, stride, stride=stride)
        self.inner_act = nn.PReLU(inner)
        self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.widen = nn.Conv2d(inner, out_channels, 1)
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, H, W)` to `(B, C', H / stride, W / stride)`."""
        narrow = self.narrow(x) if self.stride == 2 else convolve_pixels(self.narrow, x)
        y = convolve_pixels(self.widen, self.depthwise(self.inner_act(narrow)))
        if self.stride == 2:
            x = F.max_pool2d(x, 2)
        # Channels that the input does not have get no shortcut.
        y[:, : x.shape[1]] += x
        activated: Tensor = self.act(y)
        return activated


def convolve_pixels(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution to a map `(B, C, H, W)`, by what is fastest on one thread.

    That is a matrix product for small maps. For large, narrow ones every row of pixels counts as an
    image: torch computes 1x1 convolutions of fewer than 16 images by a slower method.
    """
    if x.shape[-1] <= MAX_PRODUCT_SIDE:
        pixels = rearrange(x, "b c h w -> b h w c")
        y = F.linear(pixels, rearrange(conv.weight, "o c 1 1 -> o c"), conv.bias)
        return rearrange(y, "b h w c -> b c h w")
    rows = conv(rearrange(x, "b c h w -> (b h) c 1 w"))
    return rearrange(rows, "(b h) c 1 w -> b c h w", h=x.shape[2])


def load_face_mesh(weights: str | Path | None = None) -> FaceMesh:
    """Load the face mesh network on the CPU, in eval mode.

    Args:
        weights: a safetensors file made by `avsync convert face_mesh`, with its config beside it,
            instead of the verified weights in the package.

    Raises:
        RuntimeError: the weights are missing, damaged, or of another network.
    """
    path = PRETRAINED / FACE_MESH_FILE if weights is None else weights_path(weights)
    known = (FACE_MESH_SHA256, FACE_MESH_CONFIG_SHA256) if weights is None else (None, None)
    checkpoint = load(path, known[0], as_float32=True, config_sha256=known[1])
    model = FaceMesh()
    torch.empty(KEPT_BYTES, dtype=torch.uint8, device="cpu")  # Freed at once.
    try:
        model.load_state_dict(checkpoint.state_dict, strict=True)
    except RuntimeError as error:
        raise RuntimeError(f"the weights {path} are not of the face mesh network") from error
    return model.eval()
