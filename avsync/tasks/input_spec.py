"""Input spec of sync tasks: crop of the face, rates, and the audio and video of a window."""

from dataclasses import dataclass

import torch
from torch import Tensor

from avsync.audio.fbank import Mfcc
from avsync.audio.features import DecibelMel
from avsync.faces.crops import CropKind
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME


@dataclass(frozen=True)
class ClipSpec:
    """Input of a sync task, declared so that one engine can feed every task.

    Args:
        crop: `mouth` (centred on the mouth, upright), `face` (the S3FD-like face box), `head`
            (that box with a margin, as the SyncNet pipeline cuts it) or `mesh` (the upright square
            of 256 pixels that the face mesh network takes).
        height: of the crop given to `encode_video`, pixels.
        width: of that crop, pixels.
        window_frames: video frames of a window; window k starts at frame k.
        audio_from_s: start of a window's audio, in seconds from the window's start; may be
            negative.
        audio_until_s: end of a window's audio, in seconds from the window's start.
        fps: video frames per second.
        sample_rate: audio samples per second.
        lower_half: the crop is the lower half of a square of `width` pixels.
        step_ms: distance between the offsets of a search; divides a frame.
        out_of_range_s: where larger than the search, offsets up to this are scored as well, to
            report that the true offset is out of range; 0 where comparing is expensive.
        context_frames: frames before and after a window that `encode_video` makes use of where it
            gets them, such as those over which a running mean is taken.
        audio_context_s: seconds of audio before and after a window's that `encode_audio` makes use
            of likewise.
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
    out_of_range_s: float = 5.0
    context_frames: int = 0
    audio_context_s: float = 0.0

    def cut_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Cut the audio of windows out of waveforms.

        Args:
            wav: waveforms `(B, N)`.
            starts_s: window starts `(S,)` in seconds; rounded to a sample.

        Returns:
            Audio `(B, S, n)`.

        Raises:
            ValueError: a window reaches outside the waveform.
        """
        starts = ((starts_s + self.audio_from_s) * self.sample_rate).round().long()
        length = round((self.audio_until_s - self.audio_from_s) * self.sample_rate)
        if not len(starts) or starts.min() < 0 or starts.max() + length > wav.shape[1]:
            found = f"{starts_s.min():.3f} to {starts_s.max():.3f}" if len(starts_s) else "none"
            raise ValueError(
                "starts_s must leave each window's audio, "
                f"{self.audio_from_s:+.3f} to {self.audio_until_s:+.3f} s around its start, "
                f"inside wav of {wav.shape[1] / self.sample_rate:.3f} s, got {found}"
            )
        return wav[:, starts.to(wav.device)[:, None] + torch.arange(length, device=wav.device)]

    def cut_features(
        self, front_end: DecibelMel | Mfcc, wav: Tensor, windows: int, columns: int
    ) -> Tensor:
        """Cut the features of windows out of a whole clip's, as the public evaluations do.

        The window of frame k starts at the last column that does not start after the frame.

        Args:
            front_end: waveform to features.
            wav: waveform of the clip `(B, N)`, from frame 0.
            windows: number of windows, which start at frames 0, 1, ...
            columns: feature columns of a window.

        Returns:
            Features `(B, windows, M, columns)`.

        Raises:
            ValueError: the clip is too short.
        """
        features = front_end(wav)
        starts = [k * SAMPLES_PER_FRAME // front_end.hop_length for k in range(windows)]
        if not starts or starts[-1] + columns > features.shape[-1]:
            raise ValueError(
                f"wav must hold {windows} windows of {self.window_frames} frames, "
                f"got {wav.shape[-1] / self.sample_rate:.3f} s"
            )
        return torch.stack([features[..., k : k + columns] for k in starts], dim=1)


def repeat_video(video: Tensor, audio: Tensor) -> Tensor:
    """Repeat the embeddings of video windows to pair them with their audio candidates.

    Args:
        video: embeddings or tokens of windows `(B, ...)`.
        audio: those of audio `(B K, ...)`: K consecutive candidates for each window.

    Returns:
        Video `(B K, ...)`, each window K times in a row.

    Raises:
        ValueError: the candidates cannot be divided evenly among the windows.
    """
    candidates, rest = divmod(len(audio), max(len(video), 1))
    if rest or not candidates:
        raise ValueError(
            f"there must be the same number of audio windows for each of {len(video)} windows of "
            f"frames, got {len(audio)}"
        )
    return video if candidates == 1 else video.repeat_interleave(candidates, 0)
