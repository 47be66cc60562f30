"""AVST: a convolutional encoder for each stream, and one transformer over the tokens of both.

Source: Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild
(BMVC 2021). No official code is known; what the paper leaves open follows a public relative of it,
see docs/models/avst.md.
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

# Pairs that the transformer, and windows that the audio encoder, process at once.
COMPARED_PAIRS = 256
AUDIO_WINDOWS = 64


@dataclass(frozen=True)
class AvstConfig:
    """Sizes of an AVST model, by default 42.2 M parameters; the paper's has 42.4 M.

    Args:
        visual_channels: widths of the visual encoder; the last is that of the tokens.
        audio_channels: widths of the audio encoder; the last is that of the tokens.
        depth: layers of the transformer.
        heads: attention heads.
        window_frames: video frames of a window; a model is trained for one length.
        size: height and width of the crops, pixels.
        crop: kind of crop; every store of prepared clips has `face` and `mouth`.
    """

    visual_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    audio_channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 512)
    depth: int = 3
    heads: int = 8
    window_frames: int = 5
    size: int = 96
    crop: CropKind = "face"


class Avst(nn.Module):
    """Score how well a window of a face and a window of audio match: logits.

    A higher logit means better in sync; training is against other windows (InfoNCE).

    Args:
        visual: frames `(B, 3, T, H, W)` -> tokens `(B, T, D)`.
        audio: log-mel `(B, 80, S)` -> tokens `(B, L, D)`.
        front_end: waveform `(B, N)` -> log-mel `(B, 80, S)`.
        joint: tokens of both -> one `(B, D)`.
        dim: width of the tokens.
        window_frames: video frames of a window.
        crop: kind of crop.
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
        last = (log_mel_columns(front_end, window_frames) - 1) * front_end.hop_length
        self.spec = ClipSpec(
            crop=crop,
            height=visual.size,
            width=visual.size,
            window_frames=window_frames,
            audio_from_s=0.0,
            audio_until_s=(last + front_end.n_fft) / SAMPLE_RATE,
            # Comparing a pair is expensive.
            step_ms=FRAME_MS,
            out_of_range_s=0.0,
        )

    def forward(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Map frames `(B, 3, T, H, W)` in [0, 1] and log-mel `(B, 80, S)` to scores `(B,)`."""
        return self._score(self.visual(frames), self.audio(mel))

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to the tokens of every window.

        Tokens are `(B, T - window_frames + 1, window_frames, D)`.
        """
        return self.visual.windows(frames, self.spec.window_frames)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Encode the audio of windows.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.
            starts_s: window starts `(S,)` in seconds; rounded to a sample.

        Returns:
            Tokens of every window `(B, S, L, D)`.

        Raises:
            ValueError: a window reaches outside the waveform.
        """
        windows = self.spec.cut_audio(wav, starts_s)
        mel = self.front_end(rearrange(windows, "b s n -> (b s) n"))
        mel = mel.to(self.head.weight.dtype)
        # Training runs all at once: batch norms need statistics of the whole batch, not of a part.
        batches = (mel,) if self.training else mel.split(AUDIO_WINDOWS)
        tokens = torch.cat([self.audio(batch) for batch in batches])
        return rearrange(tokens, "(b s) l d -> b s l d", b=len(wav))

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map tokens `(..., T, D)` and `(..., L, D)` to scores `(...)`; leading axes broadcast."""
        lead = torch.broadcast_shapes(video.shape[:-2], audio.shape[:-2])
        pairs = (
            tokens.expand(*lead, *tokens.shape[-2:]).reshape(-1, *tokens.shape[-2:])
            for tokens in (video, audio)
        )
        blocks = zip(*(tokens.split(COMPARED_PAIRS) for tokens in pairs), strict=True)
        return torch.cat([self._score(*block) for block in blocks]).reshape(lead)

    def _score(self, video: Tensor, audio: Tensor) -> Tensor:
        tokens = self.joint(video, audio)
        # In full precision under autocast too: candidates differ by less than bfloat16 resolves.
        with torch.autocast(tokens.device.type, enabled=False):
            scores: Tensor = self.head(tokens.to(self.head.weight.dtype))[:, 0]
        return scores


def log_mel_columns(front_end: LogMel, frames: int) -> int:
    """Return the number of log-mel columns that start within a number of frames."""
    return exact_div(frames * SAMPLES_PER_FRAME, front_end.hop_length)


def build_avst(config: AvstConfig) -> Avst:
    """Build an AVST model with fresh weights."""
    dim = config.visual_channels[-1]
    if config.audio_channels[-1] != dim:
        raise ValueError(
            "the last of visual_channels and audio_channels must be the same width, "
            f"got {dim} and {config.audio_channels[-1]}"
        )
    front_end = LogMel(n_mels=AvstAudioEncoder.n_mels, win_length=320)
    audio = AvstAudioEncoder(config.audio_channels)
    audio_tokens = audio.token_count(log_mel_columns(front_end, config.window_frames))
    return Avst(
        visual=AvstVisualEncoder(config.visual_channels, config.size),
        audio=audio,
        front_end=front_end,
        joint=JointTransformer(config.window_frames, audio_tokens, dim, config.depth, config.heads),
        dim=dim,
        window_frames=config.window_frames,
        crop=config.crop,
    )
