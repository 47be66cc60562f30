"""Speech tokens of 20 ms for ablations of face_sync: log-mel, and Whisper without and with layers.

All of them ask for the audio that the widest one needs, and leave out what they do not need, so
that models with different tokens are trained on the same batches.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor, nn

from avsync.audio.features import WhisperMel
from avsync.encoders.pretrained.whisper import (
    LocalWhisperEncoder,
    WhisperEncoder,
    WhisperLayer,
    attend_locally,
)
from avsync.tasks.sync.face_sync import CONTEXT_TOKENS, load_local_whisper

# The layers of the widest tokens; each attends to `CONTEXT_TOKENS` before and after a token.
MOST_LAYERS = 2
HOP = LocalWhisperEncoder.hop_samples
# Of the variance of all mel bands: less than this in a direction is taken for this.
LEAST_VARIANCE = 1e-5


class SpeechTokens(nn.Module):
    """Maps waveforms to tokens, with the audio around them that the widest tokens need.

    It has what face_sync uses of a `LocalWhisperEncoder`: `hop_samples`, `margin_samples` and
    `forward`.

    Args:
        encoder: maps waveforms `(B, N)` to tokens `(B, 1 + (N - 2 reach) // 320, D)`, of which
            token k is centred on sample `reach + 320 k`; `reach` is its `reach_samples`.
    """

    hop_samples = HOP
    margin_samples = LocalWhisperEncoder.stem_samples + MOST_LAYERS * CONTEXT_TOKENS * HOP

    def __init__(self, encoder: "MelTokens | StemTokens | LayerTokens") -> None:
        super().__init__()
        self.encoder, self.reach_samples = encoder, encoder.reach_samples
        if self.reach_samples > self.margin_samples:
            raise ValueError(
                f"encoder must reach {self.margin_samples} samples at most, "
                f"got {self.reach_samples}"
            )

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms `(B, N)` to tokens `(B, 1 + (N - 2 margin_samples) // 320, D)`."""
        unused = self.margin_samples - self.reach_samples
        tokens: Tensor = self.encoder(wav[:, unused : wav.shape[1] - unused])
        return tokens


class MelTokens(nn.Module):
    """Two columns of 80 mel bands, 10 ms apart, as one whitened token of 160 numbers.

    The columns are those that Whisper's stem sees, see `WhisperMel.columns`.
    """

    # The first column is centred 80 samples before the token, and sees 200 samples on either side.
    reach_samples = 280
    mean: Tensor
    matrix: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mel = WhisperMel()
        dim = 2 * self.mel.n_mels
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("matrix", torch.eye(dim))

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms `(B, N)` to whitened tokens `(B, L, 160)`."""
        return (self._columns(wav) - self.mean) @ self.matrix

    def fit(self, wav: Tensor) -> None:
        """Whiten by the principal components of the columns of waveforms `(B, N)`."""
        columns = self._columns(wav).flatten(0, 1).double()
        variance, directions = torch.linalg.eigh(columns.T.cov())
        spread = variance.clamp_min(LEAST_VARIANCE * float(variance.sum())).sqrt()
        self.mean = columns.mean(0).float()
        self.matrix = (directions / spread).float()

    def _columns(self, wav: Tensor) -> Tensor:
        columns = self.mel.columns(wav)
        pairs = columns[..., : columns.shape[-1] // 2 * 2]
        return rearrange(pairs, "b m (l two) -> b l (m two)", two=2)


class StemTokens(nn.Module):
    """Whisper's two convolutions without a layer and without positions.

    Args:
        encoder: Whisper's encoder.
    """

    reach_samples = LocalWhisperEncoder.stem_samples

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms `(B, N)` to tokens `(B, L, 384)`."""
        conv1, conv2 = self.encoder.conv1, self.encoder.conv2
        x = F.gelu(F.conv1d(self.encoder.mel.columns(wav), conv1.weight, conv1.bias))
        x = F.gelu(F.conv1d(x, conv2.weight, conv2.bias, stride=2))
        return rearrange(x, "b d l -> b l d")


class LayerTokens(nn.Module):
    """Whisper's first layer on a stream, and further layers on its tokens.

    A token of a further layer attends to the tokens around it, moved to the positions of a window
    as those of the stem are for the first layer. What the first layer computed of them remains that
    of the middle position: tokens of their own for every window would cost as many times more as a
    window is long.

    Args:
        first: stem and first layer.
        further: the layers that follow.
    """

    def __init__(self, first: LocalWhisperEncoder, *further: WhisperLayer) -> None:
        super().__init__()
        self.first, self.further = first, nn.ModuleList(further)
        context = first.context_tokens
        self.reach_samples = first.margin_samples + len(further) * context * HOP

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms `(B, N)` to tokens `(B, L, 384)`."""
        tokens: Tensor = self.first(wav)
        context, position = self.first.context_tokens, self.first.position
        table = self.first.encoder.positions.to(tokens)
        around = table[position - context : position + context + 1]
        for layer in self.further:
            assert isinstance(layer, WhisperLayer)
            middle = tokens[:, context : tokens.shape[1] - context]
            attended = attend_locally(layer, tokens - table[position], middle, around)
            tokens = layer.finish(middle, attended)
        return tokens


def load_two_layers(path: Path) -> LayerTokens:
    """Load both layers from a file of `WhisperEncoder(layers=2)` with a table of positions."""
    state = {name: value.float() for name, value in load_file(path).items()}
    state.pop("positions")
    encoder = WhisperEncoder(layers=2)
    encoder.load_state_dict(state)
    second = encoder.layers[1]
    assert isinstance(second, WhisperLayer)
    encoder.layers = encoder.layers[:1]
    return LayerTokens(LocalWhisperEncoder(encoder, CONTEXT_TOKENS), second).eval()


def load_one_layer() -> LayerTokens:
    """Load the tokens that face_sync uses."""
    return LayerTokens(load_local_whisper())
