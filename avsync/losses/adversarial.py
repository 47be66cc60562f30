"""Adversarial (GAN) loss of a discriminator and a generator.

Source: Goodfellow et al., Generative Adversarial Networks (2014), in the form of Wav2Lip and
TalkLip: binary cross-entropy on both sides, the generator's against the label `real`
(non-saturating).
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn


class AdversarialLoss(nn.Module):
    """Binary cross-entropy of a discriminator's logits, for the generator and the discriminator.

    `chance` is the loss per image on either side if the discriminator cannot tell generated images
    from real ones.
    """

    chance = math.log(2)

    def generator(self, generated: Tensor) -> Tensor:
        """Compute the generator's loss.

        Args:
            generated: the discriminator's logits `(B,)` of generated images.

        Returns:
            A scalar.
        """
        return F.softplus(-_check_logits("generated", generated)).mean()

    def discriminator(self, real: Tensor, generated: Tensor) -> Tensor:
        """Compute the discriminator's loss.

        Args:
            real: logits `(B,)` of real images.
            generated: logits `(B',)` of generated images, which must be detached from the
                generator.

        Returns:
            A scalar.
        """
        on_real = F.softplus(-_check_logits("real", real)).mean()
        return on_real + F.softplus(_check_logits("generated", generated)).mean()


def _check_logits(name: str, logits: Tensor) -> Tensor:
    if logits.ndim != 1 or not len(logits):
        raise ValueError(f"{name} must be (B,) logits, got {tuple(logits.shape)}")
    return logits
