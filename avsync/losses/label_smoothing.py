"""Label-smoothed cross-entropy as defined by fairseq, which trains AV-HuBERT's lip reading.

Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, Rethinking the Inception Architecture for
Computer Vision (CVPR 2016), section 7.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn


class LabelSmoothedCrossEntropy(nn.Module):
    """Cross-entropy with target probability 1 - e for the right symbol and e shared by the others.

    torch's own `label_smoothing` gives the right symbol a share of e as well.

    Args:
        smoothing: e.
        reduction: `sum` over the symbols, as in the losses of the published generators, or `mean`.
        ignored: target of positions to ignore.
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
        """Map logits `(B, L, V)` and targets `(B, L)` to a scalar.

        Args:
            logits: logits of V symbols.
            targets: the right symbols, or `ignored`.

        Returns:
            A scalar, computed in float32.

        Raises:
            ValueError: logits and targets differ in batch size or length.
        """
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
