"""Label-smoothed cross-entropy, as fairseq defines it and AV-HuBERT's lip reading is trained with.

Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, Rethinking the Inception Architecture for Computer
Vision (CVPR 2016), section 7.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn


class LabelSmoothedCrossEntropy(nn.Module):
    """Of V symbols the right one is given the weight 1 - e, the others share e.

    torch's own `label_smoothing` gives the right one a share of e as well.

    Args:
        smoothing: e.
        reduction: `sum` over the symbols, as the published generators add it to their losses, or
            `mean`.
        ignored: target of places that do not count.
    """

    def __init__(
        self,
        smoothing: float = 0.1,
        reduction: Literal["sum", "mean"] = "mean",
        ignored: int = -100,
    ) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing must be in [0, 1), got {smoothing}")
        if reduction not in ("sum", "mean"):
            raise ValueError(f"reduction must be sum or mean, got {reduction!r}")
        self.smoothing, self.reduction, self.ignored = smoothing, reduction, ignored

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Maps logits `(B, L, V)` and targets `(B, L)` to a scalar."""
        if logits.shape[:-1] != targets.shape:
            shapes = f"{tuple(logits.shape)} and {tuple(targets.shape)}"
            raise ValueError(f"logits and targets must be (B, L, V) and (B, L), got {shapes}")
        counted = targets != self.ignored
        log_probs = F.log_softmax(logits[counted].float(), dim=-1)
        right = -log_probs.gather(-1, targets[counted][:, None])[:, 0]
        others = -log_probs.sum(-1) - right
        share = self.smoothing / (logits.shape[-1] - 1)
        costs = (1 - self.smoothing) * right + share * others
        return costs.sum() if self.reduction == "sum" else costs.mean()
