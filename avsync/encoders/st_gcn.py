"""ST-GCN: a spatial-temporal graph convolutional network on 68 face landmarks.

Source: Yan, Xiong and Lin, Spatial Temporal Graph Convolutional Networks (AAAI 2018), as used by
Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC 2021).
"""

from itertools import pairwise

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

POINTS = 68
COORDINATES = 2
# Jaw, brows, nose, nostrils, eyes, outer and inner lips: first point and the one after the last.
CHAINS = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36), (36, 42), (42, 48), (48, 60), (60, 68))
# The edges that the public code puts in the centrifugal partition. These two are a slip, as its
# distances are infinite beyond the first neighbours, but its weights were trained with them.
OUTWARD_EDGES = ((0, 1), (1, 2))
CHANNELS = (32, 32, 64, 64, 128, 128, 256, 256)
TIME_KERNEL = 5  # frames


class StGcnEncoder(nn.Module):
    """ST-GCN encoder: face landmarks to one non-negative token per eight frames.

    Points are in pixels of the aligned face, 96 wide and 128 high; a batch norm of every coordinate
    learns their scale.

    Args:
        channels: widths of the blocks; the last is that of the tokens. A block that is wider than
            the one before halves time.
    """

    adjacency: Tensor

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        if not channels:
            raise ValueError("channels must be at least one width, got none")
        self.register_buffer("adjacency", face_adjacency())
        self.norm = nn.BatchNorm1d(POINTS * COORDINATES)
        first = StGcnBlock(COORDINATES, channels[0], residual=False)
        others = [StGcnBlock(a, b, stride=1 if a == b else 2) for a, b in pairwise(channels)]
        self.blocks = nn.ModuleList([first, *others])

    def forward(self, landmarks: Tensor) -> Tensor:
        """Map landmarks `(B, 2, T, 68)`, x and y in pixels, to tokens `(B, ceil(T / 8), D)`."""
        shape = (COORDINATES, POINTS)
        if landmarks.ndim != 4 or (landmarks.shape[1], landmarks.shape[3]) != shape:
            raise ValueError(
                f"landmarks must be (B, {COORDINATES}, T, {POINTS}), got {tuple(landmarks.shape)}"
            )
        x = self.norm(rearrange(landmarks, "b c t v -> b (v c) t"))
        x = rearrange(x, "b (v c) t -> b c t v", c=COORDINATES)
        for block in self.blocks:
            x = block(x, self.adjacency)
        return reduce(x, "b d t v -> b t d", "mean")


class StGcnBlock(nn.Module):
    """Graph convolution over neighbouring points, then a temporal convolution over frames.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: temporal stride.
        residual: add the input to the output.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, residual: bool = True
    ) -> None:
        super().__init__()
        partitions = len(face_adjacency())
        # A learned weight for each edge of each of the three partitions.
        self.importance = nn.Parameter(torch.ones(partitions, POINTS, POINTS))
        self.spread = nn.Conv2d(in_channels, partitions * out_channels, 1)
        kernel, padding = (TIME_KERNEL, 1), (TIME_KERNEL // 2, 0)
        self.frames = nn.Sequential(
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, kernel, (stride, 1), padding),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = residual
        self.past: nn.Module = nn.Identity()
        if residual and (stride != 1 or in_channels != out_channels):
            self.past = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, (stride, 1)), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Convolve features over the graph, then over time.

        Args:
            x: features `(B, in_channels, T, 68)`.
            adjacency: weights `(3, 68, 68)` of the edges, see `face_adjacency`.

        Returns:
            Features `(B, out_channels, T / stride, 68)`.
        """
        weights = adjacency * self.importance
        partitions = rearrange(self.spread(x), "b (k c) t v -> b k c t v", k=len(weights))
        y = self.frames(torch.einsum("bkctv,kvw->bctw", partitions, weights))
        return torch.relu(y + self.past(x) if self.residual else y)


def face_adjacency() -> Tensor:
    """Build the normalised adjacency `(3, 68, 68)` of the landmarks of a face.

    Its three partitions are each point to itself, to its neighbours in the open chains of `CHAINS`,
    and the two edges of `OUTWARD_EDGES`. Columns sum to one over all three.
    """
    adjacency = torch.eye(POINTS)
    for start, stop in CHAINS:
        for a, b in pairwise(range(start, stop)):
            adjacency[a, b] = adjacency[b, a] = 1
    adjacency = adjacency / adjacency.sum(0)
    itself = torch.diag(adjacency.diagonal())
    outward = torch.zeros_like(adjacency)
    for a, b in OUTWARD_EDGES:
        outward[a, b] = adjacency[a, b]
    return torch.stack([itself, adjacency - itself - outward, outward])
