"""The lip expert: SyncNet on the lower half of a face and a mel spectrogram, trained on cosines.

Source: Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech
to Lip Generation In the Wild (ACM Multimedia 2020); the VocaLiST and Y-Net papers call it SyncNet*.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.features import DecibelMel
from avsync.encoders.wav2lip_expert import HEIGHT, WIDTH, Wav2LipAudioEncoder, Wav2LipVisualEncoder
from avsync.tasks.input_spec import ClipSpec, repeat_video
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME, exact_div

PREEMPHASIS = 0.97
# Windows encoded at once: the first layer alone takes 0.6 MB for each of them.
LIP_WINDOWS = 64
AUDIO_WINDOWS = 256


@dataclass(frozen=True)
class LipExpertConfig:
    """Sizes of a lip expert, by default those of the published weights.

    Args:
        channels: widths of both encoders; the last is that of the embeddings.
        window_frames: video frames of a window, a multiple of 5: 16 mel columns for every five.
    """

    channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    window_frames: int = 5


class LipExpert(nn.Module):
    """Score how well windows of lips and of audio match: the cosine of embeddings, never negative.

    Shapes below are those of windows of 5 frames.

    Args:
        visual: frames `(B, 3, T, 48, 96)` -> tokens `(B, T - 4, D)`.
        audio: mel `(B, 80, 16)` -> tokens `(B, D)`.
        front_end: waveform `(B, N)` -> mel `(B, 80, 1 + N // 200)`, with pre-emphasis.
    """

    def __init__(
        self, visual: Wav2LipVisualEncoder, audio: Wav2LipAudioEncoder, front_end: DecibelMel
    ) -> None:
        super().__init__()
        self.visual, self.audio, self.front_end = visual, audio, front_end
        hop, reach = front_end.hop_length, front_end.n_fft // 2
        self.spec = ClipSpec(
            crop="face",
            height=HEIGHT,
            width=WIDTH,
            window_frames=visual.window_frames,
            audio_from_s=-(reach + front_end.samples_before) / SAMPLE_RATE,
            audio_until_s=((audio.window_columns - 1) * hop + reach) / SAMPLE_RATE,
            lower_half=True,
        )

    def forward(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Map frames `(B, 3, 5, 48, 96)` in [0, 1] and mel `(B, 80, 16)` to scores `(B,)`.

        The mel may also be `(B, 1, 80, 16)`, and there may be several windows of it for each window
        of frames, see `repeat_video`.
        """
        video = self.visual(frames)
        if video.shape[1] != 1:
            wanted = f"(B, 3, {self.spec.window_frames}, H, W)"
            raise ValueError(f"frames must be {wanted}, got {tuple(frames.shape)}")
        audio = self.audio(mel[:, 0] if mel.ndim == 4 else mel)
        video = repeat_video(F.normalize(video[:, 0], dim=-1), audio)
        return self.compare(video, F.normalize(audio, dim=-1))

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, 48, 96)` in [0, 1] to unit embeddings `(B, T - 4, D)`.

        There is one embedding for each window start.
        """
        overlap = self.spec.window_frames - 1
        starts = range(0, max(1, frames.shape[2] - overlap), LIP_WINDOWS)
        blocks = [self.visual(frames[:, :, k : k + LIP_WINDOWS + overlap]) for k in starts]
        return F.normalize(torch.cat(blocks, dim=1), dim=-1)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Encode the audio of windows.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.
            starts_s: window starts `(S,)` in seconds; rounded to a sample.

        Returns:
            Unit embeddings `(B, S, D)`.

        Raises:
            ValueError: a window reaches outside the waveform.
        """
        windows = self.spec.cut_audio(wav, starts_s)
        mel = self.front_end.columns(rearrange(windows, "b s n -> (b s) n"))
        return rearrange(self.encode_features(mel), "(b s) d -> b s d", b=len(wav))

    def encode_features(self, features: Tensor) -> Tensor:
        """Map mel windows `(B, 80, 16)` to unit embeddings `(B, D)`."""
        features = features.to(next(self.audio.parameters()).dtype)
        tokens = [self.audio(block) for block in features.split(AUDIO_WINDOWS)]
        return F.normalize(torch.cat(tokens), dim=-1)

    def window_features(self, wav: Tensor, windows: int) -> Tensor:
        """Map a clip's waveform `(B, N)` to the mel of its windows `(B, windows, 80, 16)`.

        As in the public code, the window of frame k starts at column `int(3.2 k)` of the whole
        clip's.
        """
        return self.spec.cut_features(self.front_end, wav, windows, self.audio.window_columns)

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map embeddings `(..., D)` whose leading axes broadcast to cosines `(...)`."""
        precise = torch.promote_types(video.dtype, torch.float32)
        # Not einsum, which autocast would run in bfloat16.
        return (video.to(precise) * audio.to(precise)).sum(-1)


def build_lip_expert(config: LipExpertConfig) -> LipExpert:
    """Build a lip expert with fresh weights."""
    front_end = DecibelMel(preemphasis=PREEMPHASIS)
    columns = exact_div(config.window_frames * SAMPLES_PER_FRAME, front_end.hop_length)
    return LipExpert(
        visual=Wav2LipVisualEncoder(config.channels, config.window_frames),
        audio=Wav2LipAudioEncoder(config.channels, columns),
        front_end=front_end,
    )
