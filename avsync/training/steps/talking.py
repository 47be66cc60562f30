"""Training step and validation of talking faces: generator, discriminator and expert losses.

The public code has two optimisers, which step one after the other. Both use gradients of the
networks before either stepped, since the frames that the discriminator judges were generated
before; both are Adam with one learning rate. One optimiser over both networks therefore takes the
same steps, and `fit` needs no special case.
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
from avsync.training.engine.batches import BatchDataset, MakeBatch, as_floats
from avsync.training.engine.early_stop import Watch

# Batches from which the chance level is computed.
CHANCE_BATCHES = 4
# Every fifth frame of a held-out clip is generated.
EVERY = 5


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; the defaults are those of SyncTalklip's public code.

    Its supplement has the weights of reconstruction and reading the other way round, see
    `SUPPLEMENT`.

    Args:
        gan: of the adversarial loss; 0 for no discriminator.
        lip: of the lip-reading loss, a sum over symbols.
        contrast: of the contrastive loss of lips and voice; 1e-3 in TalkLip.
        reconstruction: of the L1 distance to the true frame; by default what `gan` and `lip` leave
            of 1.
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


class ExpertTerms(NamedTuple):
    """Losses of a frozen expert on generated frames, scalars: lip reading, and lips with voice."""

    lip: Tensor
    contrast: Tensor


class ExpertLoss(Protocol):
    """Loss of a frozen model on generated frames: `SpeechExpertLoss` or `LipExpertLoss`."""

    def __call__(
        self,
        model: SyncTalklip | Wav2Lip,
        generated: Tensor,
        tokens: Tensor,
        audio: Tensor,
        indices: Tensor,
        expert_inputs: tuple[Tensor, ...],
    ) -> ExpertTerms:
        """Return the losses of generated frames.

        Args:
            model: the model that generated them.
            generated: the frames `(B, 3, P, 96, 96)`.
            tokens: audio tokens that they were generated from `(B, P, D)`.
            audio: features of the whole clips: filterbank energies `(B, T, 104)` of SyncTalklip,
                mel `(B, 80, S)` of Wav2Lip.
            indices: index of each frame in its clip `(B, P)`.
            expert_inputs: the first tensors of a batch of `talking_batches`.
        """


class TalkingStep(nn.Module):
    """A talking face with its discriminator and expert: a training step's forward pass.

    The value is the L1 distance to the true frames; the gradient is that of all losses.

    Args:
        model: the generator.
        weights: weights of the losses.
        critic: discriminator of real and generated frames; needed if `weights.gan` is not 0.
        expert: loss of a frozen expert; without it `lip` and `contrast` have no effect.

    Raises:
        ValueError: `critic` is missing or superfluous.
    """

    def __init__(
        self,
        model: SyncTalklip | Wav2Lip,
        weights: LossWeights,
        critic: FaceDiscriminator | None = None,
        expert: ExpertLoss | None = None,
    ) -> None:
        super().__init__()
        if (critic is None) != (weights.gan == 0):
            raise ValueError("critic must be given where weights.gan is not 0, and only there")
        self.model, self.critic, self.weights, self.expert = model, critic, weights, expert
        self.adversarial = AdversarialLoss()

    def forward(self, *batch: Tensor) -> Tensor:
        """Map a batch of `talking_batches` to the loss."""
        *expert_inputs, identity, pose, indices, wav = batch
        audio = self.model.front_end(wav)
        tokens = self.model.encode_at_frames(audio, indices)
        generated = self.generate(tokens, identity, pose)
        l1 = F.l1_loss(generated, pose)
        total = self.weights.l1 * l1
        if self.critic is not None:
            total = total + self._adversarial_loss(self.critic, generated, pose)
        if self.expert is not None:
            terms = self.expert(self.model, generated, tokens, audio, indices, tuple(expert_inputs))
            total = total + self.weights.lip * terms.lip + self.weights.contrast * terms.contrast
        return l1.detach() + (total - total.detach())

    def generate(self, tokens: Tensor, identity: Tensor, pose: Tensor) -> Tensor:
        """Map tokens `(B, P, D)` and frames `(B, 3, P, 96, 96)` to frames of the same shape."""
        faces = face_pair(_flatten_frames(pose), _flatten_frames(identity))
        generated = self.model(tokens.flatten(0, 1), faces)
        return rearrange(generated, "(b p) c h w -> b c p h w", b=len(pose))

    def _adversarial_loss(
        self, critic: FaceDiscriminator, generated: Tensor, real: Tensor
    ) -> Tensor:
        """Return the losses of both sides, each without a gradient for the other's weights.

        TalkLip's public code leaves the generator's gradient in the critic's weights, Wav2Lip's
        does not.
        """
        frozen = {name: parameter.detach() for name, parameter in critic.named_parameters()}
        fooled = functional_call(critic, frozen, (_flatten_frames(generated),))
        logits = critic(_flatten_frames(torch.cat([real, generated.detach()])))
        discriminator_loss = self.adversarial.discriminator(*logits.chunk(2))
        return self.weights.gan * self.adversarial.generator(fooled) + discriminator_loss


@torch.no_grad()
def talking_chance(make_batch: MakeBatch, seed: int) -> float:
    """Compute the chance level: the L1 distance of another frame of the same person."""
    batches = BatchDataset(make_batch, seed, CHANCE_BATCHES)
    losses = []
    for number in range(CHANCE_BATCHES):
        *_, identity, pose, _, _ = as_floats(batches[number].tensors)
        losses.append(float(F.l1_loss(identity, pose)))
    return sum(losses) / len(losses)


def _flatten_frames(frames: Tensor) -> Tensor:
    return rearrange(frames, "b c p h w -> (b p) c h w")


class TalkingValidation:
    """Measure generated frames of held-out clips, with each clip's first frame as identity.

    `psnr` is that of the lower half in dB, over all clips, and `l1` that of the whole frame.

    Args:
        clips: clips of the recipe; nothing is measured without splits.
    """

    def __init__(self, clips: ClipData) -> None:
        offset_ms = clips.corpus_offset_ms[0] if clips.corpus_offset_ms else 0.0
        self.lead = round(offset_ms * SAMPLE_RATE / 1000)
        self.watch = Watch("psnr")
        self.clips = held_out_clips(clips)

    @torch.no_grad()
    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Return the figures by name, none without clips; the model is put into eval mode."""
        if not self.clips:
            return {}
        model = task.get_submodule("model").eval()
        l1, square = np.array([self._errors(model, clip) for clip in self.clips]).mean(0)
        return {"psnr": float(-10 * np.log10(square)), "l1": float(l1)}

    def _errors(self, module: nn.Module, clip: PreparedClip) -> tuple[float, float]:
        """Return the mean absolute error of a clip, and the mean squared one of its lower half."""
        model = cast(TalkingFace, module)
        device = next(module.parameters()).device
        (frames,) = as_floats((as_frames([crops_for(FACE_SPEC, clip)])[0].transpose(0, 1),))
        wav = torch.from_numpy(np.roll(clip.wav_16k, self.lead)).to(device)
        tokens = model.encode_speech(wav[None], len(frames))[0, ::EVERY]
        frames = frames.to(device)
        true = frames[::EVERY]
        generated = model(tokens, face_pair(true, frames[:1].expand_as(true)))
        error = generated - true
        lower = error[:, :, error.shape[2] // 2 :]
        return float(error.abs().mean()), float(lower.square().mean())
