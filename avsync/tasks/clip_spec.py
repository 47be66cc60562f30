"""What a task eats: which part of the face, at what size and rates, and how much of it at once."""

from dataclasses import dataclass

from avsync.media.crops import CropKind
from avsync.timing import FPS, SAMPLE_RATE


@dataclass(frozen=True)
class ClipSpec:
    """Declares a sync task's input, so that one engine can feed every task.

    Args:
        crop: `mouth` (centred on the mouth, upright) or `face` (the S3FD-like face box).
        height: pixels of the crop given to `encode_video`.
        width: pixels.
        fps: video frames a second.
        sample_rate: audio samples a second.
        window_frames: video frames one window sees; window k starts at frame k.
        audio_from_s: where the audio of a window begins, in seconds from the window's start; may be
            negative.
        audio_until_s: where it ends, in seconds from the window's start.
        lower_half: the crop is the lower half of a square of `width` pixels.
    """

    crop: CropKind
    height: int
    width: int
    window_frames: int
    audio_from_s: float
    audio_until_s: float
    fps: int = FPS
    sample_rate: int = SAMPLE_RATE
    lower_half: bool = False
