"""Two faces and their mixed voices: batches, a training step, and how well the voices are told."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from einops import rearrange
from torch import Generator, Tensor, nn

from avsync.data.augment_audio import equalise, noise_floor, reverberate
from avsync.data.sampling.two_speaker_mixtures import TwoSpeakerMixture, TwoSpeakerMixtures
from avsync.losses.thresholded_snr import ThresholdedSnrLoss
from avsync.metrics.separation import si_sdr
from avsync.tasks.separation.lip_mask import LipMask
from avsync.training.engine.batches import MakeBatch, Parts
from avsync.training.engine.loop import Watch

# Batches, and shares of the mixture, that chance is worked out from.
CHANCE_BATCHES, CHANCE_SHARES = 4, 20


class TwoSpeakerStep(nn.Module):
    """What `fit` trains: a model that is told by two faces of one mixture.

    Both faces in one step: the same audio with other lips must give another voice, and what is
    heard of the mixture is worked out once.

    Args:
        model: a separation task.
    """

    def __init__(self, model: LipMask) -> None:
        super().__init__()
        self.model, self.criterion = model, ThresholdedSnrLoss()

    def forward(self, tokens: Tensor, rest: Tensor, voices: Tensor) -> Tensor:
        """Map a batch of `pair_batches` to the loss."""
        mixture = voices.sum(1) + rest
        loss: Tensor = self.criterion(self.separate(mixture, tokens), voices, mixture)
        return loss

    def separate(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map mixtures `(B, N)` and tokens `(2 B, T, D)` of the faces to voices `(B, 2, N)`."""
        voices: Tensor = self.model(mixture, rearrange(tokens, "(b v) t d -> b v t d", v=2))
        return voices


def pair_batches(pairs: TwoSpeakerMixtures, batch: int, augment: bool = True) -> MakeBatch:
    """Make batches for `fit`: tokens `(2 B, T, D)`, all else than voices `(B, N)`, and voices `(B,
    2, N)`.

    Args:
        pairs: what to draw.
        batch: mixtures together.
        augment: voices stand in other rooms, before other microphones, and there is noise.
    """

    def make_batch(rng: np.random.Generator, draws: Generator) -> tuple[Tensor, ...]:
        drawn = [pairs.draw(rng) for _ in range(batch)]
        return mixed(drawn, pairs.spec.sample_rate, draws if augment else None)

    return make_batch


def mixed(
    drawn: Sequence[TwoSpeakerMixture], sample_rate: int, draws: Generator | None
) -> tuple[Tensor, ...]:
    """Pairs as a batch, with their levels; altered where there is a generator to draw from."""
    tokens = torch.from_numpy(np.concatenate([each.tokens for each in drawn]))
    voices = torch.from_numpy(np.stack([each.voices for each in drawn]))
    music = torch.from_numpy(np.stack([each.music for each in drawn]))
    if draws is not None:
        flat = reverberate(equalise(voices.flatten(0, 1), draws), sample_rate, draws)
        voices = flat.unflatten(0, voices.shape[:2])
        music = equalise(music, draws)
    levels = torch.tensor([(0.0, each.second_db) for each in drawn])
    voices = _at(voices, levels)
    rest = _at(music, torch.tensor([each.music_db for each in drawn]))
    if draws is not None:
        rest = rest + noise_floor(voices.sum(1) + rest, draws)
    return tokens, rest, voices


@torch.no_grad()
def chance(task: TwoSpeakerStep, make_batch: MakeBatch, seed: int) -> float:
    """Return the loss of a model that knows nothing: of the share of the mixture that costs least."""
    parts = Parts(make_batch, seed, CHANCE_BATCHES)
    shares = torch.linspace(0, 1, CHANCE_SHARES + 1)
    losses = torch.zeros(len(shares))
    for number in range(CHANCE_BATCHES):
        _, rest, voices = parts[number].tensors
        mixture = voices.sum(1) + rest
        alike = mixture[:, None].expand_as(voices)
        losses += torch.stack([task.criterion(each * alike, voices, mixture) for each in shares])
    return float(losses.min()) / CHANCE_BATCHES


class PairValidation:
    """Separates pairs by the averaged `TwoSpeakerStep` of a run.

    For each set of pairs, what was gained over the mixture in SI-SDR, in dB, the mean over voices,
    and which share of them is closer to its own face's voice than to the other's.

    Args:
        sets: a name, which is put behind the figures', and the pairs, each mixed as it is.
        batch: mixtures that are separated together.
    """

    def __init__(self, sets: Mapping[str, Sequence[TwoSpeakerMixture]], batch: int) -> None:
        self.sets, self.batch = sets, batch
        self.watch = Watch("si_sdr_gain")  # of the set whose name is empty

    @torch.no_grad()
    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Figures by name, none without pairs; the model is put into eval mode."""
        step = cast(TwoSpeakerStep, task).eval()
        figures = {}
        for name, pairs in self.sets.items():
            found = [
                self._figures(step, pairs[k : k + self.batch])
                for k in range(0, len(pairs), self.batch)
            ]
            gain, own = (torch.cat(each) for each in zip(*found, strict=True))
            figures[f"si_sdr_gain{name}"] = float(gain.nanmean())
            figures[f"own_face{name}"] = float(own.float().mean())
        return figures

    def _figures(
        self, step: TwoSpeakerStep, pairs: Sequence[TwoSpeakerMixture]
    ) -> tuple[Tensor, Tensor]:
        """Return the gain of each voice `(B, 2)`, and whether it is its own face's."""
        device = next(step.parameters()).device
        tokens, rest, voices = (
            each.to(device) for each in mixed(pairs, step.model.spec.sample_rate, None)
        )
        mixture = voices.sum(1) + rest
        found = step.separate(mixture, tokens)
        own = si_sdr(voices, found)
        gain = own - si_sdr(voices, mixture[:, None].expand_as(voices))
        return gain.cpu(), (own > si_sdr(voices.flip(1), found)).cpu()


def _at(audio: Tensor, level_db: Tensor) -> Tensor:
    """Sounds `(..., N)` at levels `(...)` over a power of 1; silence stays it."""
    power = audio.square().mean(-1, keepdim=True)
    return torch.where(power > 0, audio * (power + 1e-20).rsqrt(), 0) * 10 ** (
        level_db[..., None] / 20
    )
