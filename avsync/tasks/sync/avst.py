"""AVST: convolutions for each stream, one transformer over the tokens of both, one score.

Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild (BMVC
2021). No official code is known; what the paper leaves open follows a public relative of it, see
docs/avst.md.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.features import LogMel
from avsync.encoders.avst import AvstAudioEncoder, AvstVisualEncoder
from avsync.faces.crops import CropKind
from avsync.fusion.joint_transformer import JointTransformer
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FRAME_MS, SAMPLE_RATE, SAMPLES_PER_FRAME, exact_div

# Pairs that go through the transformer together, and windows of audio through its encoder.
COMPARED_PAIRS = 256
SOUND_WINDOWS = 64


@dataclass(frozen=True)
class AvstConfig:
    """Sizes of an AVST model; the paper's 42.4 M parameters, all but, by default.

    Args:
        visual_channels: widths of the visual encoder; the last is that of the tokens.
        audio_channels: widths of the audio encoder; the last is that of the tokens.
        depth: layers of the transformer.
        heads: attention heads.
        window_frames: video frames of a window; a model is trained for one length.
        size: height and width of the crops.
        crop: what it looks at; `face` and `mouth` are in every store of prepared clips.
    """

    visual_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    audio_channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 512)
    depth: int = 3
    heads: int = 8
    window_frames: int = 5
    size: int = 96
    crop: CropKind = "face"


class Avst(nn.Module):
    """Scores how well a window of a face and a window of voice belong together: logits, higher =
    better in sync, trained against the other windows (InfoNCE).

    Args:
        visual: frames `(B, 3, T, H, W)` -> tokens `(B, T, D)`.
        audio: log-mel `(B, 80, S)` -> tokens `(B, L, D)`.
        front_end: waveform `(B, N)` -> log-mel `(B, 80, S)`.
        joint: tokens of both -> one `(B, D)`.
        dim: width of the tokens.
        window_frames: video frames of a window.
        crop: what the frames show.
    """

    def __init__(
        self,
        visual: AvstVisualEncoder,
        audio: AvstAudioEncoder,
        front_end: LogMel,
        joint: JointTransformer,
        dim: int = 512,
        window_frames: int = 5,
        crop: CropKind = "face",
    ) -> None:
        super().__init__()
        self.visual, self.audio, self.front_end, self.joint = visual, audio, front_end, joint
        self.head = nn.Linear(dim, 1)
        last = (columns_of(front_end, window_frames) - 1) * front_end.hop_length
        self.spec = ClipSpec(
            crop=crop,
            height=visual.size,
            width=visual.size,
            window_frames=window_frames,
            audio_from_s=0.0,
            audio_until_s=(last + front_end.n_fft) / SAMPLE_RATE,
            # Pairs are dear here.
            step_ms=FRAME_MS,
            far_s=0.0,
        )

    def forward(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Map windows of frames `(B, 3, T, H, W)` in [0, 1] and of log-mel `(B, 80, S)` to scores
        `(B,)`.
        """
        return self._score(self.visual(frames), self.audio(mel))

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to entries `(B, T - window_frames + 1,
        window_frames, D)`, the tokens of every window.
        """
        return self.visual.windows(frames, self.spec.window_frames)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Map a waveform `(B, N)` at 16 kHz and window starts `(S,)` in seconds to entries `(B, S,
        L, D)`, the tokens of every window.

        Starts are rounded to a sample. ValueError where a window reaches outside the waveform.
        """
        windows = self.spec.cut_audio(wav, starts_s)
        mel = self.front_end(rearrange(windows, "b s n -> (b s) n"))
        mel = mel.to(self.head.weight.dtype)
        # Statistics of a part would be those of one clip: training takes them of the whole batch.
        batches = (mel,) if self.training else mel.split(SOUND_WINDOWS)
        tokens = torch.cat([self.audio(batch) for batch in batches])
        return rearrange(tokens, "(b s) l d -> b s l d", b=len(wav))

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map entries `(..., T, D)` and `(..., L, D)` whose leading axes broadcast to scores
        `(...)`.
        """
        lead = torch.broadcast_shapes(video.shape[:-2], audio.shape[:-2])
        pairs = (
            embeddings.expand(*lead, *embeddings.shape[-2:]).reshape(-1, *embeddings.shape[-2:])
            for embeddings in (video, audio)
        )
        blocks = zip(*(embeddings.split(COMPARED_PAIRS) for embeddings in pairs), strict=True)
        return torch.cat([self._score(*block) for block in blocks]).reshape(lead)

    def _score(self, video: Tensor, audio: Tensor) -> Tensor:
        tokens = self.joint(video, audio)
        # Whole under autocast too: candidates differ by less than bfloat16 resolves.
        with torch.autocast(tokens.device.type, enabled=False):
            scores: Tensor = self.head(tokens.to(self.head.weight.dtype))[:, 0]
        return scores


def columns_of(front_end: LogMel, frames: int) -> int:
    """Columns of log-mel that start within so many frames."""
    return exact_div(frames * SAMPLES_PER_FRAME, front_end.hop_length)


def build(config: AvstConfig) -> Avst:
    """Return the model of that configuration, with fresh weights."""
    dim = config.visual_channels[-1]
    if config.audio_channels[-1] != dim:
        raise ValueError(
            "the last of visual_channels and audio_channels must be the same width, "
            f"got {dim} and {config.audio_channels[-1]}"
        )
    front_end = LogMel(n_mels=AvstAudioEncoder.n_mels, win_length=320)
    audio = AvstAudioEncoder(config.audio_channels)
    heard = audio.token_count(columns_of(front_end, config.window_frames))
    return Avst(
        visual=AvstVisualEncoder(config.visual_channels, config.size),
        audio=audio,
        front_end=front_end,
        joint=JointTransformer(config.window_frames, heard, dim, config.depth, config.heads),
        dim=dim,
        window_frames=config.window_frames,
        crop=config.crop,
    )
