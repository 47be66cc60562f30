"""AV-SyncNet: a lip reader whose tokens of voice and of lips are aligned frame by frame.

The supervisor of SyncTalklip. What was published of it, and what was not, is in
docs/av_syncnet.md.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.av_hubert import AvHubertEncoder
from avsync.losses.frame_contrast import TEMPERATURE
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.lipreading import lip_reader
from avsync.tasks.lipreading.lip_reader import LipReader, LipReaderConfig, grey_of
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

# Windows that pass the transformer together.
BATCH_WINDOWS = 256


@dataclass(frozen=True)
class AvSyncNetConfig:
    """Sizes of an AV-SyncNet.

    Args:
        reader: of the lip reader whose encoder is aligned.
        window: tokens of a window; a window's entry is that of its middle frame.
        conv_frames: frames of a convolution between the tokens and what is compared, odd; 0 for
            none.
    """

    reader: LipReaderConfig = field(default_factory=LipReaderConfig)
    window: int = 15
    conv_frames: int = 0


class AvSyncNet(nn.Module):
    """Scores how well frames of a mouth and of a voice belong together: the cosine of their tokens.

    The transformer sees a window of frames at a time, never the clip: a token that knew where it
    stands in the clip would find its partner by that alone.

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
        """Audio and grey mouths -> tokens."""
        return self.reader.encoder

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to entries `(B, T - window_frames + 1, D)`,
        one per window start.
        """
        if frames.ndim != 5 or frames.shape[2] < self.spec.window_frames:
            raise ValueError(
                f"frames must be (B, 3, T >= {self.spec.window_frames}, H, W), "
                f"got {tuple(frames.shape)}"
            )
        return self.see_windows(grey_of(frames))

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Map a waveform `(B, N)` at 16 kHz and window starts `(S,)` in seconds to entries `(B, S,
        D)`.

        Starts are rounded to a sample. ValueError where a window reaches outside the waveform.
        """
        windows = self.spec.cut_audio(wav, starts_s)
        bands = self.reader.front_end.columns(rearrange(windows, "b s n -> (b s) n"))
        embeddings = self.hear_windows(self.reader.front_end.stack(bands))
        return rearrange(embeddings, "(b s) 1 d -> b s d", b=len(wav))

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map entries `(..., D)` whose leading axes broadcast to scores `(...)`: cosines over the
        temperature of training.
        """
        return (video.float() * audio.float()).sum(-1) / TEMPERATURE

    def see_windows(self, grey: Tensor) -> Tensor:
        """Map grey mouths `(B, T, H, W)` to entries `(B, T - window_frames + 1, D)`; every frame
        passes the front end once.
        """
        edge = self.encoder.mouth.reach_frames
        features = self.encoder.encode_video(grey.to(self.audio_proj.weight.dtype))
        # What the front end made with zeros beyond the ends belongs to no window.
        return self.seen_windows(features[:, edge : features.shape[1] - edge])

    def seen_windows(self, features: Tensor) -> Tensor:
        """Map what the encoder sees of each frame `(B, T, D)` to entries `(B, T - window + 1,
        D)`.
        """
        return self._middle(self.embed_video(self._middles(features, heard=False)))

    def hear_windows(self, audio: Tensor) -> Tensor:
        """Map log energies `(B, T, 104)` to entries `(B, T - window + 1, D)`."""
        features = self.encoder.encode_audio(audio.to(self.audio_proj.weight.dtype))
        return self._middle(self.embed_audio(self._middles(features, heard=True)))

    def embed_video(self, tokens: Tensor) -> Tensor:
        """Map the encoder's tokens of video `(..., T, D)` to what is compared, of length 1."""
        return F.normalize(_convolved(self.video_conv, tokens), dim=-1)

    def embed_audio(self, tokens: Tensor) -> Tensor:
        """Map the encoder's tokens of audio `(..., T, D)` to what is compared, of length 1."""
        unit = F.normalize(_convolved(self.audio_conv, tokens), dim=-1)
        return F.normalize(self.audio_proj(unit), dim=-1)

    def _middles(self, features: Tensor, heard: bool) -> Tensor:
        """Features `(B, T, D)` of one stream -> the middle tokens of every window, `(B, T - window
        + 1, K, D)`: as many as the convolution spans.
        """
        windows = rearrange(features.unfold(1, self.window, 1), "b n d w -> (b n) w d")
        start = self.window // 2 - self.conv_frames // 2
        kept = slice(start, start + max(1, self.conv_frames))
        found = []
        for part in windows.split(BATCH_WINDOWS):
            voice, lips = (part, None) if heard else (None, part)
            found.append(self.encoder.fuse(voice, lips, keep=kept))
        return rearrange(torch.cat(found), "(b n) k d -> b n k d", b=len(features))

    def _middle(self, embeddings: Tensor) -> Tensor:
        return embeddings[:, :, self.conv_frames // 2]


def _convolved(conv: nn.Conv1d | None, tokens: Tensor) -> Tensor:
    if conv is None:
        return tokens
    flat = tokens.reshape(-1, *tokens.shape[-2:])
    out: Tensor = conv(flat.mT).mT
    return out.reshape(tokens.shape)


def build(config: AvSyncNetConfig) -> AvSyncNet:
    """Return the model of that configuration, with fresh weights."""
    return AvSyncNet(lip_reader.build(config.reader), config.window, config.conv_frames)
