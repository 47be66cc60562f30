"""Perfect Match: SyncNet's two streams, trained by N-way matching within a clip.

Both streams run over the whole clip at once; training is to find the audio of a window among audio
of other times of the same clip.

Source: Chung, Chung and Kang, Perfect Match: Improved Cross-Modal Embeddings for Audio-Visual
Synchronisation (ICASSP 2019). The layers are those of SyncNet's released code, and its weights fit;
linear layers are applied to every token, as convolutions of width 1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.audio.fbank import Mfcc
from avsync.encoders.syncnet import CROP_SIZE, SyncNetAudioEncoder, SyncNetVisualEncoder
from avsync.faces.crops import CropKind
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLE_RATE

# Windows encoded at once: the first layer alone takes 5 MB for each of them.
LIP_WINDOWS = 16


@dataclass(frozen=True)
class PerfectMatchConfig:
    """Sizes of a Perfect Match model, by default the paper's.

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


class PerfectMatch(nn.Module):
    """Score how well windows of a face and of audio match: the cosine of embeddings.

    Args:
        visual: frames `(B, 3, T, H, W)` -> tokens `(B, T - 4, D)`.
        audio: MFCC `(B, 13, S)` -> tokens `(B, 1 + (S - 19) // 4, D)` by its method `dense`.
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
        hop, context = front_end.hop_length, audio.dense_context
        last = (audio.dense_columns + context - 1) * hop
        reach = last + front_end.win_length + front_end.samples_before
        self.spec = ClipSpec(
            crop=crop,
            height=visual.size,
            width=visual.size,
            window_frames=visual.window_frames,
            # Longer than the window of SyncNet: a token also depends on 80 ms on each side.
            audio_from_s=-context * hop / SAMPLE_RATE,
            audio_until_s=reach / SAMPLE_RATE,
        )

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to unit embeddings `(B, T - 4, D)`.

        There is one embedding for each window start.
        """
        if self.training:
            # All at once: batch norms need statistics of the whole batch, not of a block.
            return F.normalize(self.visual(frames), dim=-1)
        overlap = self.spec.window_frames - 1
        starts = range(0, max(1, frames.shape[2] - overlap), LIP_WINDOWS)
        blocks = [self.visual(frames[:, :, k : k + LIP_WINDOWS + overlap]) for k in starts]
        return F.normalize(torch.cat(blocks, dim=1), dim=-1)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Encode the audio of windows.

        The clip is encoded once for each phase of the starts within a token's step (40 ms): once
        for starts at frames, twice for starts 20 ms apart.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.
            starts_s: window starts `(S,)` in seconds; rounded to the hop (10 ms).

        Returns:
            Unit embeddings `(B, S, D)`.

        Raises:
            ValueError: a window's receptive field reaches outside the waveform.
        """
        mfcc, audio = self.front_end.columns(wav), self.audio
        mfcc = mfcc.to(next(audio.parameters()).dtype)
        starts = (starts_s * SAMPLE_RATE / self.front_end.hop_length).round().long()
        before, after = audio.dense_context, audio.dense_columns + audio.dense_context
        if not len(starts) or starts.min() < before or starts.max() + after > mfcc.shape[2]:
            spec, length_s = self.spec, wav.shape[1] / SAMPLE_RATE
            found = f"{starts_s.min():.3f} to {starts_s.max():.3f}" if len(starts) else "none"
            raise ValueError(
                "starts_s must leave each window's audio, "
                f"{spec.audio_from_s:+.3f} to {spec.audio_until_s:+.3f} s around its start, "
                f"inside wav of {length_s:.3f} s, got {found}"
            )
        phases, order, tokens = starts % audio.dense_step, [], []
        for phase in phases.unique().tolist():
            chosen = (phases == phase).nonzero()[:, 0]
            steps = (starts[chosen] - phase) // audio.dense_step
            order.append(chosen)
            tokens.append(audio.dense(mfcc[:, :, phase:])[:, steps])
        embeddings = torch.cat(tokens, dim=1)[:, torch.cat(order).argsort()]
        return F.normalize(embeddings, dim=-1)

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map embeddings `(..., D)` whose leading axes broadcast to cosines `(...)`."""
        precise = torch.promote_types(video.dtype, torch.float32)
        # Not einsum, which autocast would run in bfloat16.
        return (video.to(precise) * audio.to(precise)).sum(-1)


def build_perfect_match(config: PerfectMatchConfig) -> PerfectMatch:
    """Build a Perfect Match model with fresh weights."""
    return PerfectMatch(
        visual=SyncNetVisualEncoder(config.lip_channels, config.dim, config.size),
        audio=SyncNetAudioEncoder(config.mfcc_channels, config.dim),
        front_end=Mfcc(),
        crop=config.crop,
    )
