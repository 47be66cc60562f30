"""Perfect Match: SyncNet's two streams, run over a clip as a whole and trained to tell the right
audio from others of the same clip.

Chung, Chung and Kang, Perfect Match: Improved Cross-Modal Embeddings for Audio-Visual
Synchronisation (ICASSP 2019). The layers are those of SyncNet's released code, and its weights fit;
linear layers work on every token, as convolutions of width 1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.audio.features import Mfcc
from avsync.encoders.syncnet import CROP_SIZE, SyncNetAudioEncoder, SyncNetVisualEncoder
from avsync.faces.crops import CropKind
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLE_RATE

# Windows that are encoded together: the first layer alone holds 5 MB of each one's frame.
LIP_WINDOWS = 16


@dataclass(frozen=True)
class PerfectMatchConfig:
    """Sizes of a Perfect Match model; the paper's by default.

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


class PerfectMatch(nn.Module):
    """Scores how well windows of a face and of a voice belong together: cosines.

    Args:
        visual: frames `(B, 3, T, H, W)` -> tokens `(B, T - 4, D)`.
        audio: MFCC `(B, 13, S)` -> tokens `(B, 1 + (S - 19) // 4, D)` by its method `dense`.
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
        hop, beside = front_end.hop_length, audio.dense_context
        last = (audio.dense_columns + beside - 1) * hop
        reach = last + front_end.win_length + front_end.samples_before
        self.spec = ClipSpec(
            crop=crop,
            height=visual.size,
            width=visual.size,
            window_frames=visual.window_frames,
            # More than the window of SyncNet: a token sees 80 ms to either side as well.
            audio_from_s=-beside * hop / SAMPLE_RATE,
            audio_until_s=reach / SAMPLE_RATE,
        )

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to entries `(B, T - 4, D)` of length one, one
        for every window start.
        """
        if self.training:
            # Statistics of a block would be those of one part of the clips.
            return F.normalize(self.visual(frames), dim=-1)
        overlap = self.spec.window_frames - 1
        starts = range(0, max(1, frames.shape[2] - overlap), LIP_WINDOWS)
        blocks = [self.visual(frames[:, :, k : k + LIP_WINDOWS + overlap]) for k in starts]
        return F.normalize(torch.cat(blocks, dim=1), dim=-1)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Map a waveform `(B, N)` at 16 kHz and window starts `(S,)` in seconds to entries `(B, S,
        D)` of length one.

        Starts are rounded to the hop (10 ms). The audio is encoded once for every place in a frame
        that starts have: once for starts on frames, twice for starts 20 ms apart. ValueError where
        what a window sees reaches outside the waveform.
        """
        mfcc, audio = self.front_end.columns(wav), self.audio
        mfcc = mfcc.to(next(audio.parameters()).dtype)
        starts = (starts_s * SAMPLE_RATE / self.front_end.hop_length).round().long()
        beside, seen = audio.dense_context, audio.dense_columns + audio.dense_context
        if not len(starts) or starts.min() < beside or starts.max() + seen > mfcc.shape[2]:
            spec, length_s = self.spec, wav.shape[1] / SAMPLE_RATE
            span = f"{starts_s.min():.3f} to {starts_s.max():.3f}" if len(starts) else "none"
            raise ValueError(
                "starts_s must leave each window's audio, "
                f"{spec.audio_from_s:+.3f} to {spec.audio_until_s:+.3f} s around its start, "
                f"inside wav of {length_s:.3f} s, got {span}"
            )
        phases, order, tokens = starts % audio.dense_step, [], []
        for phase in phases.unique().tolist():
            chosen = (phases == phase).nonzero()[:, 0]
            places = (starts[chosen] - phase) // audio.dense_step
            order.append(chosen)
            tokens.append(audio.dense(mfcc[:, :, phase:])[:, places])
        embeddings = torch.cat(tokens, dim=1)[:, torch.cat(order).argsort()]
        return F.normalize(embeddings, dim=-1)

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map entries `(..., D)` whose leading axes broadcast to cosines `(...)`."""
        precise = torch.promote_types(video.dtype, torch.float32)
        # Not einsum, which autocast would take to bfloat16.
        return (video.to(precise) * audio.to(precise)).sum(-1)


def build(config: PerfectMatchConfig) -> PerfectMatch:
    """Return the model of that configuration, with fresh weights."""
    return PerfectMatch(
        visual=SyncNetVisualEncoder(config.lip_channels, config.dim, config.size),
        audio=SyncNetAudioEncoder(config.mfcc_channels, config.dim),
        front_end=Mfcc(),
        crop=config.crop,
    )
