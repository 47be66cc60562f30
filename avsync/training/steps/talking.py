"""A talking face with its losses and its critic: one training step's forward pass.

The public code has two optimisers, which step one after the other. Both use gradients of the
networks as they were before either stepped, for the frames that the critic judges were drawn
before; both are Adam at one rate. So one optimiser over both networks takes the same steps, and
`fit` needs to know nothing of it.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.func import functional_call

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip
from avsync.losses.adversarial import AdversarialLoss
from avsync.tasks.talking.discriminator import FaceDiscriminator
from avsync.tasks.talking.generator import FACE_SPEC, TalkingFace, face_pair
from avsync.tasks.talking.synctalklip import SyncTalklip
from avsync.tasks.talking.wav2lip import Wav2Lip
from avsync.timing import SAMPLE_RATE
from avsync.training.data.sync import ClipData, as_frames, held_out_clips
from avsync.training.engine.batches import MakeBatch, Parts, as_floats
from avsync.training.engine.loop import Watch

# Batches that chance is worked out from.
CHANCE_BATCHES = 4


@dataclass(frozen=True)
class LossWeights:
    """What each loss counts. The defaults are those of SyncTalklip's public code; its supplement's
    weights of reconstruction and reading are the other way round, see `SUPPLEMENT`.

    Args:
        gan: of deceiving the critic; 0 for no critic.
        lip: of reading, a sum over symbols.
        contrast: of lips and voice; 1e-3 in TalkLip.
        reconstruction: of the L1 distance to the true frame; what `gan` and `lip` leave of 1 where
            it is not given.
    """

    gan: float = 0.07
    lip: float = 1e-5
    contrast: float = 1e-4
    reconstruction: float | None = None

    def __post_init__(self) -> None:
        if min(self.gan, self.lip, self.contrast, self.l1) < 0:
            raise ValueError(f"weights must be 0 or more and gan + lip at most 1, got {self}")

    @property
    def l1(self) -> float:
        """The weight of the reconstruction."""
        if self.reconstruction is not None:
            return self.reconstruction
        return 1 - self.gan - self.lip


SUPPLEMENT = LossWeights(gan=7e-2, lip=1 - 7e-2 - 1e-5 - 1e-3, contrast=1e-3, reconstruction=1e-5)


class Costs(NamedTuple):
    """What a frozen model asks of the frames that are drawn, scalars."""

    lip: Tensor
    contrast: Tensor


class Guide(Protocol):
    """A frozen model that judges the frames that are drawn; see `SpeechExpertLoss` and `LipExpertLoss`."""

    def __call__(
        self,
        model: SyncTalklip | Wav2Lip,
        made: Tensor,
        tokens: Tensor,
        audio: Tensor,
        places: Tensor,
        guided: tuple[Tensor, ...],
    ) -> Costs: ...


class TalkingStep(nn.Module):
    """What `fit` trains: a model that draws frames, and the critic of its frames.

    The value is the L1 distance to the true frames; the gradient is that of all losses.

    Args:
        model: draws.
        weights: of the losses.
        critic: tells real frames from drawn ones; needed where `weights.gan` is not 0.
        guide: judges what is drawn; without it `lip` and `contrast` count nothing.
    """

    def __init__(
        self,
        model: SyncTalklip | Wav2Lip,
        weights: LossWeights,
        critic: FaceDiscriminator | None = None,
        guide: Guide | None = None,
    ) -> None:
        super().__init__()
        if (critic is None) != (weights.gan == 0):
            raise ValueError("critic must be given where weights.gan is not 0, and only there")
        self.model, self.critic, self.weights, self.guide = model, critic, weights, guide
        self.adversarial = AdversarialLoss()

    def forward(self, *batch: Tensor) -> Tensor:
        """Map a batch of `talking_batches` to the loss."""
        *guided, identity, pose, places, wav = batch
        audio = self.model.front_end(wav)
        tokens = self.model.encode_at_frames(audio, places)
        made = self.draw(tokens, identity, pose)
        l1 = F.l1_loss(made, pose)
        total = self.weights.l1 * l1
        if self.critic is not None:
            total = total + self._against_critic(self.critic, made, pose)
        if self.guide is not None:
            costs = self.guide(self.model, made, tokens, audio, places, tuple(guided))
            total = total + self.weights.lip * costs.lip + self.weights.contrast * costs.contrast
        return l1.detach() + (total - total.detach())

    def draw(self, tokens: Tensor, identity: Tensor, pose: Tensor) -> Tensor:
        """Map tokens `(B, P, D)` and frames `(B, 3, P, 96, 96)` to frames `(B, 3, P, 96,
        96)`.
        """
        flat = face_pair(_pictures(pose), _pictures(identity))
        made = self.model(tokens.flatten(0, 1), flat)
        return rearrange(made, "(b p) c h w -> b c p h w", b=len(pose))

    def _against_critic(self, critic: FaceDiscriminator, made: Tensor, real: Tensor) -> Tensor:
        """Return what both sides pay; neither pays through the other's weights. TalkLip's public code
        leaves the maker's gradient in the critic's weights, Wav2Lip's does not.
        """
        judge = {name: each.detach() for name, each in critic.named_parameters()}
        deceived = functional_call(critic, judge, (_pictures(made),))
        logits = critic(_pictures(torch.cat([real, made.detach()])))
        pays = self.adversarial.discriminator(*logits.chunk(2))
        return self.weights.gan * self.adversarial.generator(deceived) + pays


@torch.no_grad()
def chance(make_batch: MakeBatch, seed: int) -> float:
    """Return what it costs to show another frame of the same person in place of the true one."""
    parts = Parts(make_batch, seed, CHANCE_BATCHES)
    losses = []
    for number in range(CHANCE_BATCHES):
        *_, identity, pose, _, _ = as_floats(parts[number].tensors)
        losses.append(float(F.l1_loss(identity, pose)))
    return sum(losses) / len(losses)


def _pictures(frames: Tensor) -> Tensor:
    return rearrange(frames, "b c p h w -> (b p) c h w")


# One frame in so many is drawn.
EVERY = 5


class TalkingValidation:
    """Draws frames of held-out clips, their first frame telling who it is: `psnr` of the lower half
    in dB, over all of them, and `l1` of the whole frame.

    Args:
        clips: of the recipe; nothing is measured where it has no splits.
    """

    def __init__(self, clips: ClipData) -> None:
        offset_ms = clips.corpus_offset_ms[0] if clips.corpus_offset_ms else 0.0
        self.lead = round(offset_ms * SAMPLE_RATE / 1000)
        self.watch = Watch("psnr")
        self.clips = held_out_clips(clips)

    @torch.no_grad()
    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Figures by name; the model is put into eval mode."""
        if not self.clips:
            return {}
        model = task.get_submodule("model").eval()
        found = np.array([self._errors(model, clip) for clip in self.clips])
        l1, square = found.mean(0)
        return {"psnr": float(-10 * np.log10(square)), "l1": float(l1)}

    def _errors(self, module: nn.Module, clip: PreparedClip) -> tuple[float, float]:
        """Return the mean error of a clip, and the mean squared one of its lower half."""
        model = cast(TalkingFace, module)
        device = next(module.parameters()).device
        (frames,) = as_floats((as_frames([crops_for(FACE_SPEC, clip)])[0].transpose(0, 1),))
        wav = torch.from_numpy(np.roll(clip.wav_16k, self.lead)).to(device)
        tokens = model.encode_speech(wav[None], len(frames))[0, ::EVERY]
        frames = frames.to(device)
        true = frames[::EVERY]
        made = model(tokens, face_pair(true, frames[:1].expand_as(true)))
        error = made - true
        lower = error[:, :, error.shape[2] // 2 :]
        return float(error.abs().mean()), float(lower.square().mean())
