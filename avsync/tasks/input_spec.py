"""What a task eats: which part of the face, at what size and rates, and how much of it at once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from avsync.audio.features import DecibelMel, Mfcc
from avsync.faces.crops import CropKind
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME


@dataclass(frozen=True)
class ClipSpec:
    """Declares a sync task's input, so that one engine can feed every task.

    Args:
        crop: `mouth` (centred on the mouth, upright), `face` (the S3FD-like face box) or `head`
            (that box and what is around it, as the SyncNet pipeline cuts it).
        height: pixels of the crop given to `encode_video`.
        width: pixels.
        fps: video frames a second.
        sample_rate: audio samples a second.
        window_frames: video frames one window sees; window k starts at frame k.
        audio_from_s: where the audio of a window begins, in seconds from the window's start; may be
            negative.
        audio_until_s: where it ends, in seconds from the window's start.
        lower_half: the crop is the lower half of a square of `width` pixels.
        step_ms: distance between the offsets that are tried in a search; divides a frame.
        far_s: offsets are tried this far beyond the search too, to say that the voice lies out of
            range; 0 where comparing is dear.
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
    step_ms: int = 20
    far_s: float = 5.0

    def cut_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Return the audio of the windows that start at `starts_s` `(S,)` seconds of `wav` `(B, N)`: `(B,
        S, n)`.

        Starts are rounded to a sample. ValueError where a window reaches outside the waveform.
        """
        starts = ((starts_s + self.audio_from_s) * self.sample_rate).round().long()
        length = round((self.audio_until_s - self.audio_from_s) * self.sample_rate)
        if not len(starts) or starts.min() < 0 or starts.max() + length > wav.shape[1]:
            span = f"{starts_s.min():.3f} to {starts_s.max():.3f}" if len(starts_s) else "none"
            raise ValueError(
                "starts_s must leave each window's audio, "
                f"{self.audio_from_s:+.3f} to {self.audio_until_s:+.3f} s around its start, "
                f"inside wav of {wav.shape[1] / self.sample_rate:.3f} s, got {span}"
            )
        return wav[:, starts.to(wav.device)[:, None] + torch.arange(length, device=wav.device)]

    def cut_features(
        self, front_end: DecibelMel | Mfcc, wav: Tensor, windows: int, columns: int
    ) -> Tensor:
        """Return the features of windows that start at frames 0 to `windows` - 1 of a clip `wav` `(B, N)`:
        `(B, windows, M, columns)`, cut as the public evaluations do out of the whole clip's.

        Frame k starts at the last column that does not come after it. ValueError where the clip is
        too short.
        """
        features = front_end(wav)
        starts = [k * SAMPLES_PER_FRAME // front_end.hop_length for k in range(windows)]
        if not starts or starts[-1] + columns > features.shape[-1]:
            raise ValueError(
                f"wav must hold {windows} windows of {self.window_frames} frames, "
                f"got {wav.shape[-1] / self.sample_rate:.3f} s"
            )
        return torch.stack([features[..., k : k + columns] for k in starts], dim=1)


def meeting(video: Tensor, audio: Tensor) -> Tensor:
    """Entries of frames `(B, ...)`, each as often as it meets an audio of `(B K, ...)`, one after
    the other: `(B K, ...)`. ValueError where audio streams are left over.
    """
    sounds, rest = divmod(len(audio), max(len(video), 1))
    if rest or not sounds:
        raise ValueError(
            f"there must be as many audio streams for each of {len(video)} windows of frames, "
            f"got {len(audio)}"
        )
    return video if sounds == 1 else video.repeat_interleave(sounds, 0)
