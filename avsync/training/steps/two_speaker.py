"""Two faces and their mixed voices: batches, training step and validation of lip_mask."""

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
from avsync.training.engine.batches import BatchDataset, MakeBatch
from avsync.training.engine.early_stop import Watch

# Batches from which the chance level is computed, and shares of the mixture that are tried.
CHANCE_BATCHES, CHANCE_SHARES = 4, 20


class TwoSpeakerStep(nn.Module):
    """A separator conditioned on each of two faces of one mixture: a training step's forward pass.

    Both faces are in one step: the same audio with other lips must give another voice, and the
    mixture is encoded once.

    Args:
        model: the separator.
    """

    def __init__(self, model: LipMask) -> None:
        super().__init__()
        self.model, self.criterion = model, ThresholdedSnrLoss()

    def forward(self, tokens: Tensor, rest: Tensor, voices: Tensor) -> Tensor:
        """Map a batch of `two_speaker_batches` to the loss."""
        mixture = voices.sum(1) + rest
        loss: Tensor = self.criterion(self.separate(mixture, tokens), voices, mixture)
        return loss

    def separate(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map mixtures `(B, N)` and tokens `(2 B, T, D)` of the faces to voices `(B, 2, N)`."""
        voices: Tensor = self.model(mixture, rearrange(tokens, "(b v) t d -> b v t d", v=2))
        return voices


def two_speaker_batches(
    mixtures: TwoSpeakerMixtures, batch: int, augment: bool = True
) -> MakeBatch:
    """Make batches of two-speaker mixtures.

    A batch is tokens `(2 B, T, D)`, the rest of the mixture `(B, N)`, and voices `(B, 2, N)`.

    Args:
        mixtures: the mixtures that are drawn.
        batch: mixtures per batch.
        augment: augment voices with other rooms, microphones and noise.
    """

    def make_batch(rng: np.random.Generator, draws: Generator) -> tuple[Tensor, ...]:
        drawn = [mixtures.draw(rng) for _ in range(batch)]
        return collate_two_speakers(drawn, mixtures.spec.sample_rate, draws if augment else None)

    return make_batch


def collate_two_speakers(
    drawn: Sequence[TwoSpeakerMixture], sample_rate: int, draws: Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Collate mixtures as tokens, rest and voices, at their levels.

    Args:
        drawn: the mixtures.
        sample_rate: their sample rate.
        draws: of the augmentation with rooms, microphones and noise; None for none.
    """
    tokens = torch.from_numpy(np.concatenate([mixture.tokens for mixture in drawn]))
    voices = torch.from_numpy(np.stack([mixture.voices for mixture in drawn]))
    music = torch.from_numpy(np.stack([mixture.music for mixture in drawn]))
    if draws is not None:
        flat = reverberate(equalise(voices.flatten(0, 1), draws), sample_rate, draws)
        voices = flat.unflatten(0, voices.shape[:2])
        music = equalise(music, draws)
    levels = torch.tensor([(0.0, mixture.second_db) for mixture in drawn])
    voices = _at_level(voices, levels)
    rest = _at_level(music, torch.tensor([mixture.music_db for mixture in drawn]))
    if draws is not None:
        rest = rest + noise_floor(voices.sum(1) + rest, draws)
    return tokens, rest, voices


def _at_level(audio: Tensor, level_db: Tensor) -> Tensor:
    """Scale audio `(..., N)` to levels `(...)` over a power of 1; silence stays silent."""
    power = audio.square().mean(-1, keepdim=True)
    return torch.where(power > 0, audio * (power + 1e-20).rsqrt(), 0) * 10 ** (
        level_db[..., None] / 20
    )


@torch.no_grad()
def two_speaker_chance(task: TwoSpeakerStep, make_batch: MakeBatch, seed: int) -> float:
    """Compute the chance level: the loss of the best constant share of the mixture."""
    batches = BatchDataset(make_batch, seed, CHANCE_BATCHES)
    shares = torch.linspace(0, 1, CHANCE_SHARES + 1)
    losses = torch.zeros(len(shares))
    for number in range(CHANCE_BATCHES):
        _, rest, voices = batches[number].tensors
        mixture = voices.sum(1) + rest
        copies = mixture[:, None].expand_as(voices)
        losses += torch.stack([task.criterion(s * copies, voices, mixture) for s in shares])
    return float(losses.min()) / CHANCE_BATCHES


class TwoSpeakerValidation:
    """Measure the averaged `TwoSpeakerStep` of a run on sets of mixtures.

    For each set, `si_sdr_gain` is the gain in SI-SDR over the mixture in dB, the mean over voices,
    and `own_face` the share of the voices that are closer to their own face's voice than to the
    other's.

    Args:
        sets: mixtures, each collated as it is, by a suffix of the figures' names.
        batch: mixtures that are separated together.
    """

    def __init__(self, sets: Mapping[str, Sequence[TwoSpeakerMixture]], batch: int) -> None:
        self.sets, self.batch = sets, batch
        self.watch = Watch("si_sdr_gain")  # of the set whose suffix is empty

    @torch.no_grad()
    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Return the figures by name, none without mixtures; the model is put into eval mode."""
        step = cast(TwoSpeakerStep, task).eval()
        figures = {}
        for suffix, mixtures in self.sets.items():
            found = [
                self._figures(step, mixtures[k : k + self.batch])
                for k in range(0, len(mixtures), self.batch)
            ]
            gain, own = (torch.cat(values) for values in zip(*found, strict=True))
            figures[f"si_sdr_gain{suffix}"] = float(gain.nanmean())
            figures[f"own_face{suffix}"] = float(own.float().mean())
        return figures

    def _figures(
        self, step: TwoSpeakerStep, mixtures: Sequence[TwoSpeakerMixture]
    ) -> tuple[Tensor, Tensor]:
        """Return the gain of each voice `(B, 2)`, and whether it is its own face's."""
        device = next(step.parameters()).device
        tensors = collate_two_speakers(mixtures, step.model.spec.sample_rate, None)
        tokens, rest, voices = (tensor.to(device) for tensor in tensors)
        mixture = voices.sum(1) + rest
        found = step.separate(mixture, tokens)
        own = si_sdr(voices, found)
        gain = own - si_sdr(voices, mixture[:, None].expand_as(voices))
        return gain.cpu(), (own > si_sdr(voices.flip(1), found)).cpu()
