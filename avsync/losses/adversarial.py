"""Adversarial loss: a critic that tells real from made, and a maker that is to deceive it.

Goodfellow et al., Generative Adversarial Networks (2014), in the form that Wav2Lip and TalkLip
have: binary cross-entropy on either side, the maker's against the label `real`.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn


class AdversarialLoss(nn.Module):
    """Binary cross-entropy of a critic's logits; `chance` is what either side pays for each picture
    where it cannot tell them apart.
    """

    chance = math.log(2)

    def maker(self, made: Tensor) -> Tensor:
        """Maps the critic's logits `(B,)` of what was made to what its maker pays."""
        return F.softplus(-_logits("made", made)).mean()

    def critic(self, real: Tensor, made: Tensor) -> Tensor:
        """Maps the critic's logits of real `(B,)` and of made `(B',)` to what the critic pays; made
        must come without a way back to its maker.
        """
        return F.softplus(-_logits("real", real)).mean() + F.softplus(_logits("made", made)).mean()


def _logits(name: str, logits: Tensor) -> Tensor:
    if logits.ndim != 1 or not len(logits):
        raise ValueError(f"{name} must be (B,) logits, got {tuple(logits.shape)}")
    return logits
