"""Lip reading: AV-HuBERT's encoder and a decoder that transcribes speech from lips, audio or both.

Source: Shi, Hsu, Lakhotia and Mohamed, Learning Audio-Visual Speech Representation by Masked
Multimodal Cluster Prediction (ICLR 2022), section 4; the decoder of Vaswani et al., Attention Is
All You Need (2017).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.audio.fbank import StackedFbank
from avsync.encoders.av_hubert import AvHubertConfig, AvHubertEncoder
from avsync.encoders.dense_sync import LUMA
from avsync.fusion.cross_modal import sinusoidal_positions
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.lipreading.vocabulary import END, Unit, Vocabulary
from avsync.timing import FPS

# Maps texts so far `(K, L)`, which start with END, to log probabilities `(K, V)` of the next
# symbol.
NextSymbol = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LipReaderConfig:
    """Sizes of a lip reader, and its vocabulary.

    Args:
        encoder: sizes of the encoder; the decoder has the same width.
        decoder_depth: layers of the decoder; published are 6 for the base model, 9 for the large.
        unit: kind of symbols: characters or words.
        symbols: vocabulary; if empty, the characters of English.
        crop_size: height and width of the mouth crop, pixels.
    """

    encoder: AvHubertConfig = field(default_factory=AvHubertConfig)
    decoder_depth: int = 6
    unit: Unit = "characters"
    symbols: tuple[str, ...] = ()
    crop_size: int = 88


class LipReader(nn.Module):
    """Transcribe speech.

    Args:
        encoder: audio and grey mouth crops to tokens `(B, T, D)`.
        front_end: waveform `(B, N)` to log filter-bank energies `(B, T, 104)`.
        vocabulary: symbols of the texts.
        depth: layers of the decoder.
        crop_size: height and width of the mouth crop, pixels.
    """

    def __init__(
        self,
        encoder: AvHubertEncoder,
        front_end: StackedFbank,
        vocabulary: Vocabulary,
        depth: int = 6,
        crop_size: int = 88,
    ) -> None:
        super().__init__()
        sizes = encoder.config
        self.encoder, self.front_end, self.vocabulary = encoder, front_end, vocabulary
        self.embedding = nn.Embedding(len(vocabulary), sizes.dim)
        nn.init.normal_(self.embedding.weight, std=sizes.dim**-0.5)
        layer = nn.TransformerDecoderLayer(
            sizes.dim,
            sizes.heads,
            sizes.ffn,
            sizes.dropout,
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        self.decoder = nn.TransformerDecoder(layer, depth, nn.LayerNorm(sizes.dim))
        self.dropout = nn.Dropout(sizes.dropout)
        self.classifier = nn.Linear(sizes.dim, len(vocabulary))
        self.spec = ClipSpec(
            crop="mouth",
            height=crop_size,
            width=crop_size,
            window_frames=1,
            audio_from_s=0.0,
            audio_until_s=1 / FPS,
        )

    def forward(
        self,
        audio: Tensor | None,
        video: Tensor | None,
        inputs: Tensor,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Map audio and video and the symbols so far to logits `(B, L, V)` of the next symbols.

        Args:
            audio: log filter-bank energies `(B, T, 104)`, or None.
            video: grey mouth crops `(B, T, H, W)` in [0, 1], or None.
            inputs: symbols so far `(B, L)`.
            lengths: frames of each clip `(B,)`; by default all T.
        """
        return self.decode(self.encoder(audio, video, lengths), inputs, lengths)

    def decode(self, tokens: Tensor, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map encoder tokens `(B, T, D)` and the symbols so far `(B, L)` to logits `(B, L, V)`.

        Logits at index i are of the symbol after `inputs[:, i]`; `lengths` as in `forward`.
        """
        count, dim = inputs.shape[1], tokens.shape[2]
        positions = sinusoidal_positions(count, dim, tokens.device).to(tokens.dtype)
        x = self.dropout(math.sqrt(dim) * self.embedding(inputs) + positions)
        later = torch.ones(count, count, dtype=torch.bool, device=x.device).triu(1)
        hidden = None
        if lengths is not None:
            hidden = torch.arange(tokens.shape[1], device=x.device) >= lengths[:, None]
        x = self.decoder(x, tokens, tgt_mask=later, memory_key_padding_mask=hidden)
        logits: Tensor = self.classifier(x)
        return logits

    @torch.no_grad()
    def read(
        self,
        frames: Tensor | None = None,
        wav: Tensor | None = None,
        beam: int = 1,
        longest: int = 100,
    ) -> list[str]:
        """Transcribe clips from mouth crops, audio, or both, which are then of equal length.

        Args:
            frames: mouth crops `(B, 3, T, H, W)`, RGB in [0, 1].
            wav: audio `(B, N)` at 16 kHz.
            beam: width of the beam search; 1 is greedy.
            longest: maximum number of symbols of a text.
        """
        video = None if frames is None else to_grey(frames)
        count = None if video is None else video.shape[1]
        audio = None if wav is None else self.front_end(wav, count)
        tokens = self.encoder(audio, video)

        def transcribe(clip: Tensor) -> str:
            def next_symbol(texts: Tensor) -> Tensor:
                memory = clip.expand(len(texts), -1, -1)
                return F.log_softmax(self.decode(memory, texts.to(clip.device))[:, -1], dim=-1)

            return self.vocabulary.decode(beam_search(next_symbol, beam, longest))

        return [transcribe(clip[None]) for clip in tokens]


def to_grey(frames: Tensor) -> Tensor:
    """Convert RGB frames `(B, 3, T, H, W)` to grey `(B, T, H, W)`."""
    if frames.ndim != 5 or frames.shape[1] != 3:
        raise ValueError(f"frames must be (B, 3, T, H, W), got {tuple(frames.shape)}")
    return torch.einsum("bcthw,c->bthw", frames, frames.new_tensor(LUMA))


def build_lip_reader(config: LipReaderConfig) -> LipReader:
    """Build a lip reader with fresh weights."""
    return LipReader(
        encoder=AvHubertEncoder(config.encoder),
        front_end=StackedFbank(),
        vocabulary=Vocabulary(config.unit, config.symbols),
        depth=config.decoder_depth,
        crop_size=config.crop_size,
    )


def beam_search(follows: NextSymbol, beam: int = 1, longest: int = 100) -> list[int]:
    """Return the text with the highest mean log probability per symbol, without END.

    END counts as a symbol. A beam of 1 is greedy: the most probable symbol at each step. A text
    that has not ended after `longest` symbols is returned only if no other text has ended.

    Args:
        follows: the model.
        beam: number of texts that are extended at each step.
        longest: maximum number of symbols.
    """
    if beam < 1 or longest < 1:
        raise ValueError(f"beam and longest must be 1 or more, got {beam} and {longest}")
    texts, sums = torch.full((1, 1), END), torch.zeros(1)
    ended: list[tuple[float, list[int]]] = []
    for _ in range(longest):
        totals = sums[:, None] + follows(texts).float().cpu()
        best = totals.flatten().topk(min(beam, totals.numel()))
        rows = best.indices.div(totals.shape[1], rounding_mode="floor")
        texts = torch.cat([texts[rows], (best.indices % totals.shape[1])[:, None]], dim=1)
        finished = texts[:, -1] == END
        # All texts that end at this step have the same number of symbols.
        count = texts.shape[1] - 1
        pairs = zip(best.values[finished], texts[finished], strict=True)
        ended += [(float(total) / count, text[1:-1].tolist()) for total, text in pairs]
        texts, sums = texts[~finished], best.values[~finished]
        if len(ended) >= beam or not len(texts):
            break
    if not ended:
        return texts[int(sums.argmax()), 1:].tolist()
    return max(ended)[1]
