"""SyncNet: lips and cepstra as points in one space, near where they are in sync.

Chung and Zisserman, Out of Time: Automated Lip Sync in the Wild (ACCV-W 2016); the network of the
released code, which LSE-D and LSE-C are defined by.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.features import Mfcc
from avsync.encoders.syncnet import CROP_SIZE, SyncNetAudioEncoder, SyncNetVisualEncoder
from avsync.faces.crops import CropKind
from avsync.tasks.input_spec import ClipSpec, meeting
from avsync.timing import SAMPLE_RATE

# Windows that are encoded together: the first layer alone holds 5 MB of each one's frame.
LIP_WINDOWS = 16
SOUND_WINDOWS = 256


@dataclass(frozen=True)
class SyncNetConfig:
    """Sizes of a SyncNet; those of the published weights by default.

    Args:
        lip_channels: widths of the lip stream.
        mfcc_channels: widths of the audio stream.
        dim: width of the space that both are compared in.
        size: height and width of the crops.
        crop: what it looks at; `face` is in every store of prepared clips, `head` in those made
            with `--crops head`.
    """

    lip_channels: tuple[int, int, int] = (96, 256, 512)
    mfcc_channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 512)
    dim: int = 1024
    size: int = CROP_SIZE
    crop: CropKind = "head"


class SyncNet(nn.Module):
    """Scores how well windows of a face and of a voice belong together: minus their distance.

    Args:
        visual: frames `(B, 3, T, 224, 224)` -> tokens `(B, T - 4, D)`.
        audio: MFCC `(B, 13, 20)` -> tokens `(B, D)`.
        front_end: waveform `(B, N)` -> MFCC `(B, 13, S)`.
        crop: what the frames show.
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
        """Map windows of frames `(B, 3, 5, 224, 224)` in [0, 1] and of MFCC `(B, 13, 20)` to
        scores `(B,)`; the MFCC may be `(B, 1, 13, 20)` as well, and several for each window.
        """
        video = self.visual(frames)
        if video.shape[1] != 1:
            raise ValueError(f"frames must be (B, 3, 5, H, W), got {tuple(frames.shape)}")
        audio = self.audio(mel[:, 0] if mel.ndim == 4 else mel)
        return self.compare(meeting(video[:, 0], audio), audio)

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, 224, 224)` in [0, 1] to entries `(B, T - 4, D)`, one for every
        window start.
        """
        overlap = self.spec.window_frames - 1
        starts = range(0, max(1, frames.shape[2] - overlap), LIP_WINDOWS)
        blocks = [self.visual(frames[:, :, k : k + LIP_WINDOWS + overlap]) for k in starts]
        return torch.cat(blocks, dim=1)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Map a waveform `(B, N)` at 16 kHz and window starts `(S,)` in seconds to entries `(B, S,
        D)`.

        Starts are rounded to a sample. ValueError where a window reaches outside the waveform.
        """
        windows = self.spec.cut_audio(wav, starts_s)
        mfcc = self.front_end.columns(rearrange(windows, "b s n -> (b s) n"))
        return rearrange(self.encode_features(mfcc), "(b s) d -> b s d", b=len(wav))

    def encode_features(self, features: Tensor) -> Tensor:
        """Map MFCC windows `(B, 13, 20)` to entries `(B, D)`."""
        features = features.to(next(self.audio.parameters()).dtype)
        return torch.cat([self.audio(block) for block in features.split(SOUND_WINDOWS)])

    def window_features(self, wav: Tensor, windows: int) -> Tensor:
        """Map a clip's waveform `(B, N)` to the MFCC of its windows `(B, windows, 13, 20)`, as the
        public evaluation cuts them: from column 4 k of the whole clip's for frame k.
        """
        return self.spec.cut_features(self.front_end, wav, windows, self.audio.window_columns)

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map entries `(..., D)` whose leading axes broadcast to minus their distances `(...)`.

        As upstream, with a millionth added to every difference.
        """
        # Distances are about 10, where bfloat16 goes in steps of a sixteenth.
        precise = torch.promote_types(video.dtype, torch.float32)
        return -F.pairwise_distance(video.to(precise), audio.to(precise), eps=1e-6)


def build(config: SyncNetConfig) -> SyncNet:
    """Return the model of that configuration, with fresh weights."""
    return SyncNet(
        visual=SyncNetVisualEncoder(config.lip_channels, config.dim, config.size),
        audio=SyncNetAudioEncoder(config.mfcc_channels, config.dim),
        front_end=Mfcc(),
        crop=config.crop,
    )
