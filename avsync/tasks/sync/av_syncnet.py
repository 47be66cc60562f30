"""AV-SyncNet: a lip reader whose audio and video tokens are aligned frame by frame.

It is the expert that supervises SyncTalklip. docs/models/av_syncnet.md says what was published of
it, and what was not.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.av_hubert import AvHubertEncoder
from avsync.losses.frame_contrast import TEMPERATURE
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.lipreading.lip_reader import (
    LipReader,
    LipReaderConfig,
    build_lip_reader,
    to_grey,
)
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

# Windows that the transformer processes at once.
BATCH_WINDOWS = 256


@dataclass(frozen=True)
class AvSyncNetConfig:
    """Sizes of an AV-SyncNet.

    Args:
        reader: sizes of the lip reader whose encoder is aligned.
        window: tokens of a window; its embedding is that of its middle frame.
        conv_frames: frames of a convolution between the tokens and their comparison, odd; 0 for
            none.
    """

    reader: LipReaderConfig = field(default_factory=LipReaderConfig)
    window: int = 15
    conv_frames: int = 0


class AvSyncNet(nn.Module):
    """Score how well frames of a mouth and of audio match: the cosine of their tokens.

    The transformer processes a window of frames at a time, never the clip: a token that knew its
    position in the clip would match its partner by that alone.

    Args:
        reader: a lip reader; its encoder is shared.
        window: tokens of a window.
        conv_frames: frames of the convolution before the comparison, odd; 0 for none.
    """

    def __init__(self, reader: LipReader, window: int = 15, conv_frames: int = 0) -> None:
        super().__init__()
        if window < max(1, conv_frames) or (conv_frames and conv_frames % 2 == 0):
            raise ValueError(
                "conv_frames must be 0 or odd and no longer than window, "
                f"got {conv_frames} of {window}"
            )
        self.reader, self.window, self.conv_frames = reader, window, conv_frames
        dim, reach = reader.encoder.config.dim, conv_frames // 2
        self.audio_proj = nn.Linear(dim, dim)
        self.audio_conv = self.video_conv = None
        if conv_frames:
            self.audio_conv = nn.Conv1d(dim, dim, conv_frames, padding=reach)
            self.video_conv = nn.Conv1d(dim, dim, conv_frames, padding=reach)
        edge, front_end = reader.encoder.mouth.reach_frames, reader.front_end
        last = (window - 1) * SAMPLES_PER_FRAME + front_end.reach_samples
        self.spec = ClipSpec(
            crop="mouth",
            height=reader.spec.height,
            width=reader.spec.width,
            window_frames=window + 2 * edge,
            audio_from_s=edge / FPS - front_end.samples_before / SAMPLE_RATE,
            audio_until_s=edge / FPS + last / SAMPLE_RATE,
        )

    @property
    def encoder(self) -> AvHubertEncoder:
        """The lip reader's encoder: audio and grey mouth crops to tokens."""
        return self.reader.encoder

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to unit embeddings of every window.

        Embeddings are `(B, T - window_frames + 1, D)`, one for each window start.
        """
        if frames.ndim != 5 or frames.shape[2] < self.spec.window_frames:
            raise ValueError(
                f"frames must be (B, 3, T >= {self.spec.window_frames}, H, W), "
                f"got {tuple(frames.shape)}"
            )
        return self.encode_grey_mouths(to_grey(frames))

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
        bands = self.reader.front_end.columns(rearrange(windows, "b s n -> (b s) n"))
        embeddings = self.encode_fbank(self.reader.front_end.stack(bands))
        return rearrange(embeddings, "(b s) 1 d -> b s d", b=len(wav))

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map embeddings `(..., D)` whose leading axes broadcast to scores `(...)`.

        Scores are cosines divided by the temperature of training.
        """
        return (video.float() * audio.float()).sum(-1) / TEMPERATURE

    def encode_grey_mouths(self, grey: Tensor) -> Tensor:
        """Map grey mouth crops `(B, T, H, W)` to embeddings `(B, T - window_frames + 1, D)`.

        The visual front end processes every frame once.
        """
        edge = self.encoder.mouth.reach_frames
        features = self.encoder.encode_video(grey.to(self.audio_proj.weight.dtype))
        # Features near the ends depend on zero padding: no window has them.
        return self.encode_visual_features(features[:, edge : features.shape[1] - edge])

    def encode_visual_features(self, features: Tensor) -> Tensor:
        """Map visual front-end features `(B, T, D)` to embeddings `(B, T - window + 1, D)`."""
        return self._middle_token(self.embed_video(self._window_tokens(features, "video")))

    def encode_fbank(self, audio: Tensor) -> Tensor:
        """Map log filter-bank energies `(B, T, 104)` to embeddings `(B, T - window + 1, D)`."""
        features = self.encoder.encode_audio(audio.to(self.audio_proj.weight.dtype))
        return self._middle_token(self.embed_audio(self._window_tokens(features, "audio")))

    def embed_video(self, tokens: Tensor) -> Tensor:
        """Map the encoder's tokens of video `(..., T, D)` to unit embeddings."""
        return F.normalize(_convolve(self.video_conv, tokens), dim=-1)

    def embed_audio(self, tokens: Tensor) -> Tensor:
        """Map the encoder's tokens of audio `(..., T, D)` to unit embeddings."""
        unit = F.normalize(_convolve(self.audio_conv, tokens), dim=-1)
        return F.normalize(self.audio_proj(unit), dim=-1)

    def _window_tokens(self, features: Tensor, stream: Literal["audio", "video"]) -> Tensor:
        """Map features `(B, T, D)` to the K middle tokens of windows `(B, T - window + 1, K, D)`.

        K is the width of the convolution, or 1 without one.
        """
        windows = rearrange(features.unfold(1, self.window, 1), "b n d w -> (b n) w d")
        start = self.window // 2 - self.conv_frames // 2
        kept = slice(start, start + max(1, self.conv_frames))
        tokens = []
        for block in windows.split(BATCH_WINDOWS):
            audio, video = (block, None) if stream == "audio" else (None, block)
            tokens.append(self.encoder.fuse(audio, video, keep=kept))
        return rearrange(torch.cat(tokens), "(b n) k d -> b n k d", b=len(features))

    def _middle_token(self, embeddings: Tensor) -> Tensor:
        return embeddings[:, :, self.conv_frames // 2]


def _convolve(conv: nn.Conv1d | None, tokens: Tensor) -> Tensor:
    if conv is None:
        return tokens
    flat = tokens.reshape(-1, *tokens.shape[-2:])
    out: Tensor = conv(flat.mT).mT
    return out.reshape(tokens.shape)


def build_av_syncnet(config: AvSyncNetConfig) -> AvSyncNet:
    """Build an AV-SyncNet with fresh weights."""
    return AvSyncNet(build_lip_reader(config.reader), config.window, config.conv_frames)
