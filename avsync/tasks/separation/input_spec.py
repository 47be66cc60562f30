"""What a separation task eats: how much audio at what rate, and which part of which face."""

from dataclasses import dataclass

from avsync.faces.crops import CropKind
from avsync.timing import FPS

# What the Y-Net family hears; 16384 / 25 samples a video frame are no whole number.
SAMPLE_RATE = 16384


@dataclass(frozen=True)
class SeparationSpec:
    """Declares a separation task's input, so that one command and one loop serve every task.

    Args:
        samples: of the chunk that the task is trained on; see `chunk`.
        frames: video frames of such a chunk.
        crop: as in `ClipSpec`; None where the task looks at no frame.
        height: pixels of the crop given to `encode_video`.
        width: pixels.
        lower_half: the crop is the lower half of a square of `width` pixels.
        landmarks: `encode_video` takes 68 points of the face, `(B, 2, T, 68)`, not a crop.
        fps: video frames a second.
        sample_rate: audio samples a second.
    """

    samples: int
    frames: int
    crop: CropKind | None = None
    height: int = 0
    width: int = 0
    lower_half: bool = False
    landmarks: bool = False
    fps: int = FPS
    sample_rate: int = SAMPLE_RATE

    @property
    def sees(self) -> bool:
        """Whether the task looks at a face at all."""
        return self.crop is not None or self.landmarks


def chunk(seconds: int) -> tuple[int, int]:
    """Sample and video frames of a chunk of so many seconds.

    One sample short of whole seconds: then the spectrum has 64 columns a second, and not one more.
    """
    if seconds < 1:
        raise ValueError(f"seconds must be at least 1, got {seconds}")
    return seconds * SAMPLE_RATE - 1, seconds * FPS
