"""Graph encoder: a spatial-temporal graph network on 68 points of a face.

Yan, Xiong and Lin, Spatial Temporal Graph Convolutional Networks (AAAI 2018), as in Montesinos,
Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC 2021).
"""

from itertools import pairwise

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

POINTS = 68
COORDINATES = 2
# Jaw, brows, nose, nostrils, eyes, outer and inner lips: first point and the one after the last.
CHAINS = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36), (36, 42), (42, 48), (48, 60), (60, 68))
# What the public code takes for steps away from the centre: a slip, as its distances are infinite
# beyond the first neighbours. Its weights were trained with it.
OUTWARDS = ((0, 1), (1, 2))
CHANNELS = (32, 32, 64, 64, 128, 128, 256, 256)
SPAN = 5  # frames that a block looks at


class StGcnEncoder(nn.Module):
    """Turns the landmarks of a face into one token per eight frames, never negative.

    Points are in pixels of the aligned face, 96 wide and 128 high: their scale is learnt, by a
    batch norm of every coordinate.

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
        first = GraphBlock(COORDINATES, channels[0], residual=False)
        others = [GraphBlock(a, b, stride=1 if a == b else 2) for a, b in pairwise(channels)]
        self.blocks = nn.ModuleList([first, *others])

    def forward(self, landmarks: Tensor) -> Tensor:
        """Maps landmarks `(B, 2, T, 68)`, x and y in pixels, to tokens `(B, ceil(T / 8), D)`."""
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


class GraphBlock(nn.Module):
    """A convolution over neighbouring points, then one over neighbouring frames.

    Args:
        in_channels: of its input.
        out_channels: of its output.
        stride: 2 halves time.
        residual: add the input to the output.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, residual: bool = True
    ) -> None:
        super().__init__()
        kinds = len(face_adjacency())
        # How much each bond counts, for each of the three kinds.
        self.importance = nn.Parameter(torch.ones(kinds, POINTS, POINTS))
        self.spread = nn.Conv2d(in_channels, kinds * out_channels, 1)
        self.frames = nn.Sequential(
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, (SPAN, 1), (stride, 1), (SPAN // 2, 0)),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = residual
        self.past: nn.Module = nn.Identity()
        if residual and (stride != 1 or in_channels != out_channels):
            self.past = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, (stride, 1)), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Maps `(B, in_channels, T, 68)` and bonds `(3, 68, 68)` to `(B, out_channels, T / stride,
        68)`.
        """
        bonds = adjacency * self.importance
        kinds = rearrange(self.spread(x), "b (k c) t v -> b k c t v", k=len(bonds))
        y = self.frames(torch.einsum("bkctv,kvw->bctw", kinds, bonds))
        return torch.relu(y + self.past(x) if self.residual else y)


def face_adjacency() -> Tensor:
    """Bonds `(3, 68, 68)` of a face: each point to itself, to its neighbours in the open chains of
    `CHAINS`, and the public code's two steps outwards; columns add up to one over the three.
    """
    near = torch.eye(POINTS)
    for start, stop in CHAINS:
        for a, b in pairwise(range(start, stop)):
            near[a, b] = near[b, a] = 1
    near = near / near.sum(0)
    itself = torch.diag(near.diagonal())
    outwards = torch.zeros_like(near)
    for a, b in OUTWARDS:
        outwards[a, b] = near[a, b]
    return torch.stack([itself, near - itself - outwards, outwards])
