"""Contrastive loss with a margin on the distances of pairs, the loss of SyncNet.

Source: Chung and Zisserman, Out of Time: Automated Lip Sync in the Wild (ACCV-W 2016), equation 1;
first in Hadsell, Chopra and LeCun, Dimensionality Reduction by Learning an Invariant Mapping (CVPR
2006).
"""

from torch import Tensor, nn


class MarginContrastiveLoss(nn.Module):
    """Contrastive loss: pairs in sync are pulled together, the others pushed apart to a margin.

    `E = 1 / (2 N) sum_n y_n d_n^2 + (1 - y_n) max(margin - d_n, 0)^2`, where d is the Euclidean
    distance of a pair's embeddings and y is 1 if they are in sync.

    Args:
        margin: distance from which a pair out of sync costs nothing. It sets the unit in which
            distances are learned, as nothing is normalised.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        if margin <= 0:
            raise ValueError(f"margin must be positive, got {margin}")
        self.margin = margin

    @property
    def chance(self) -> float:
        """Loss at chance level: every pair at half the margin, half of the pairs in sync."""
        # Half the margin is the best constant distance for balanced pairs.
        return self.margin**2 / 8

    def forward(self, distance: Tensor, in_sync: Tensor) -> Tensor:
        """Compute the loss of a batch of pairs.

        Args:
            distance: Euclidean distances `(B,)`.
            in_sync: float labels `(B,)`, 1 for pairs in sync and 0 for the others.

        Returns:
            A scalar.
        """
        if in_sync.shape != distance.shape or not in_sync.is_floating_point():
            raise ValueError(
                f"in_sync must be floats of the shape of distance {tuple(distance.shape)}, "
                f"got {tuple(in_sync.shape)} of {in_sync.dtype}"
            )
        missing = (self.margin - distance).clamp(min=0)
        costs = in_sync * distance.square() + (1 - in_sync) * missing.square()
        return costs.mean() / 2
