"""Stand-ins for separation tasks with known outputs."""

import numpy as np
import torch

from avsync.faces.crops import Face
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths

FACE_POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


class Share:
    """Estimate a fixed share of the mixture."""

    def __init__(self, share: float = 0.5, seconds: int = 2) -> None:
        self.share, self.spec = share, SeparationSpec(*chunk_lengths(seconds))

    def separate(self, mixture, tokens):
        return self.share * mixture


class LowHalf:
    """Estimate the band below 4 kHz, with a filter of 63 samples to either side."""

    def __init__(self, seconds: int = 2) -> None:
        self.spec = SeparationSpec(*chunk_lengths(seconds))
        at = torch.arange(-63, 64) / 2
        self.taps = torch.sinc(at) * torch.hann_window(127, periodic=False) / 2

    def separate(self, mixture, tokens):
        taps = self.taps.to(mixture)[None, None]
        return torch.nn.functional.conv1d(mixture[:, None], taps, padding=63)[:, 0]


class Brightness:
    """Estimate the mixture times the brightness of the face.

    The brightness is that of the whole chunk or, with `moving`, of each frame.
    """

    def __init__(self, seconds: int = 2, moving: bool = False) -> None:
        self.spec = SeparationSpec(*chunk_lengths(seconds), crop="face", height=8, width=8)
        self.moving = moving

    def encode_video(self, frames):
        tokens = frames.mean((1, 3, 4))[..., None]
        return tokens if self.moving else tokens.mean(1, keepdim=True)

    def separate(self, mixture, tokens):
        steps = torch.arange(mixture.shape[1]) * tokens.shape[1] // mixture.shape[1]
        return mixture * tokens[:, steps, 0]


class FixedFaces:
    """Detect faces in the same boxes `(x0, y0, x1, y1)` in every frame."""

    name = "fixed"
    stride = 5

    def __init__(self, *boxes: tuple[int, int, int, int]) -> None:
        self.boxes = [np.array(box, float) for box in boxes]

    def __call__(self, image):
        return [Face(b, b[:2] + FACE_POINTS * (b[2:] - b[:2]), 0.9) for b in self.boxes]
