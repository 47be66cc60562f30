"""SyncNet: embeddings of lips and of audio (MFCC), close to each other where they are in sync.

Source: Chung and Zisserman, Out of Time: Automated Lip Sync in the Wild (ACCV-W 2016); the network
of the released code, which LSE-D and LSE-C are defined by.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.fbank import Mfcc
from avsync.encoders.syncnet import CROP_SIZE, SyncNetAudioEncoder, SyncNetVisualEncoder
from avsync.faces.crops import CropKind
from avsync.tasks.input_spec import ClipSpec, repeat_video
from avsync.timing import SAMPLE_RATE

# Windows encoded at once: the first layer alone takes 5 MB for each of them.
LIP_WINDOWS = 16
AUDIO_WINDOWS = 256


@dataclass(frozen=True)
class SyncNetConfig:
    """Sizes of a SyncNet, by default those of the published weights.

    Args:
        lip_channels: widths of the lip stream.
        mfcc_channels: widths of the audio stream.
        dim: width of the embeddings.
        size: height and width of the crops, pixels.
        crop: kind of crop; every store of prepared clips has `face`, those made with
            `--crops head mesh` have `head` and `mesh`.
    """

    lip_channels: tuple[int, int, int] = (96, 256, 512)
    mfcc_channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 512)
    dim: int = 1024
    size: int = CROP_SIZE
    crop: CropKind = "head"


class SyncNet(nn.Module):
    """Score how well windows of a face and of audio match: minus the distance of embeddings.

    Args:
        visual: frames `(B, 3, T, 224, 224)` -> tokens `(B, T - 4, D)`.
        audio: MFCC `(B, 13, 20)` -> tokens `(B, D)`.
        front_end: waveform `(B, N)` -> MFCC `(B, 13, S)`.
        crop: kind of crop.
    """

    def __init__(
        self,
        visual: SyncNetVisualEncoder,
        audio: SyncNetAudioEncoder,
        front_end: Mfcc,
        crop: CropKind = "head",
    ) -> None:
        super().__init__()
        self.visual, self.audio, self.front_end = visual, audio, front_end
        # A window's 20 columns reach 15 ms beyond its fifth frame.
        reach = (audio.window_columns - 1) * front_end.hop_length + front_end.win_length
        self.spec = ClipSpec(
            crop=crop,
            height=visual.size,
            width=visual.size,
            window_frames=visual.window_frames,
            audio_from_s=-front_end.samples_before / SAMPLE_RATE,
            audio_until_s=reach / SAMPLE_RATE,
        )

    def forward(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Map frames `(B, 3, 5, 224, 224)` in [0, 1] and MFCC `(B, 13, 20)` to scores `(B,)`.

        The MFCC may also be `(B, 1, 13, 20)`, and there may be several windows of it for each
        window of frames, see `repeat_video`.
        """
        video = self.visual(frames)
        if video.shape[1] != 1:
            raise ValueError(f"frames must be (B, 3, 5, H, W), got {tuple(frames.shape)}")
        audio = self.audio(mel[:, 0] if mel.ndim == 4 else mel)
        return self.compare(repeat_video(video[:, 0], audio), audio)

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, 224, 224)` in [0, 1] to embeddings `(B, T - 4, D)`.

        There is one embedding for each window start.
        """
        overlap = self.spec.window_frames - 1
        starts = range(0, max(1, frames.shape[2] - overlap), LIP_WINDOWS)
        blocks = [self.visual(frames[:, :, k : k + LIP_WINDOWS + overlap]) for k in starts]
        return torch.cat(blocks, dim=1)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Encode the audio of windows.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.
            starts_s: window starts `(S,)` in seconds; rounded to a sample.

        Returns:
            Embeddings `(B, S, D)`.

        Raises:
            ValueError: a window reaches outside the waveform.
        """
        windows = self.spec.cut_audio(wav, starts_s)
        mfcc = self.front_end.columns(rearrange(windows, "b s n -> (b s) n"))
        return rearrange(self.encode_features(mfcc), "(b s) d -> b s d", b=len(wav))

    def encode_features(self, features: Tensor) -> Tensor:
        """Map MFCC windows `(B, 13, 20)` to embeddings `(B, D)`."""
        features = features.to(next(self.audio.parameters()).dtype)
        return torch.cat([self.audio(block) for block in features.split(AUDIO_WINDOWS)])

    def window_features(self, wav: Tensor, windows: int) -> Tensor:
        """Map a clip's waveform `(B, N)` to the MFCC of its windows `(B, windows, 13, 20)`.

        As in the public evaluation, the window of frame k starts at column 4 k of the whole clip's.
        """
        return self.spec.cut_features(self.front_end, wav, windows, self.audio.window_columns)

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map embeddings `(..., D)` whose leading axes broadcast to minus their distances `(...)`.

        As upstream, 1e-6 is added to every difference.
        """
        # Distances are about 10, where the resolution of bfloat16 is a sixteenth.
        precise = torch.promote_types(video.dtype, torch.float32)
        return -F.pairwise_distance(video.to(precise), audio.to(precise), eps=1e-6)


def build_syncnet(config: SyncNetConfig) -> SyncNet:
    """Build a SyncNet with fresh weights."""
    return SyncNet(
        visual=SyncNetVisualEncoder(config.lip_channels, config.dim, config.size),
        audio=SyncNetAudioEncoder(config.mfcc_channels, config.dim),
        front_end=Mfcc(),
        crop=config.crop,
    )
