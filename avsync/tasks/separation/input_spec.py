"""Input spec of separation tasks: length and rate of the audio, and the face that conditions it."""

from dataclasses import dataclass
from typing import NamedTuple

from avsync.faces.crops import CropKind
from avsync.timing import FPS

# Of the Y-Net family. A video frame has 16384 / 25 samples, which is no whole number.
SAMPLE_RATE = 16384


@dataclass(frozen=True)
class SeparationSpec:
    """Input of a separation task, declared so that one command and one training loop serve all.

    Args:
        samples: audio samples of a training chunk, see `chunk_lengths`.
        frames: video frames of a training chunk.
        crop: as in `ClipSpec`; None for a task that uses no crop.
        height: of the crop given to `encode_video`, pixels.
        width: of that crop, pixels.
        lower_half: the crop is the lower half of a square of `width` pixels.
        landmarks: `encode_video` takes 68 face landmarks `(B, 2, T, 68)` instead of a crop.
        fps: video frames per second.
        sample_rate: audio samples per second.
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
    def uses_video(self) -> bool:
        """Whether the task is conditioned on a face."""
        return self.crop is not None or self.landmarks


class ChunkLengths(NamedTuple):
    """Lengths of a chunk of video: audio samples and video frames."""

    samples: int
    frames: int


def chunk_lengths(seconds: int) -> ChunkLengths:
    """Return the samples and video frames of a chunk for the Y-Net family.

    The audio is one sample shorter than whole seconds, which gives the spectrum exactly 64 columns
    a second.

    Args:
        seconds: duration, at least 1.
    """
    if seconds < 1:
        raise ValueError(f"seconds must be at least 1, got {seconds}")
    return ChunkLengths(seconds * SAMPLE_RATE - 1, seconds * FPS)
