"""Contrastive loss with a margin: pairs in sync come near, the others stay away.

Chung and Zisserman, Out of Time: Automated Lip Sync in the Wild (ACCV-W 2016), equation 1; first in
Hadsell, Chopra and LeCun, Dimensionality Reduction by Learning an Invariant Mapping (CVPR 2006).
"""

from torch import Tensor, nn


class MarginContrastiveLoss(nn.Module):
    """Squared distances of pairs in sync, and of the others what they lack to the margin, squared.

    `E = 1 / (2 N) sum_n y_n d_n^2 + (1 - y_n) max(margin - d_n, 0)^2`, where d is the Euclidean
    distance of a pair's embeddings and y is 1 where they are in sync.

    Args:
        margin: distance from which a pair out of sync costs nothing. It sets the unit that
            distances are learned in: nothing is normalised.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        if margin <= 0:
            raise ValueError(f"margin must be positive, got {margin}")
        self.margin = margin

    @property
    def chance(self) -> float:
        """The loss of a model that gives every pair the same distance, the best one for half of
        them in sync: half the margin.
        """
        return self.margin**2 / 8

    def forward(self, distance: Tensor, in_sync: Tensor) -> Tensor:
        """Maps distances `(B,)` and labels `(B,)`, 1 in sync and 0 not, to a scalar."""
        if in_sync.shape != distance.shape or not in_sync.is_floating_point():
            raise ValueError(
                f"in_sync must be floats of the shape of distance {tuple(distance.shape)}, "
                f"got {tuple(in_sync.shape)} of {in_sync.dtype}"
            )
        missing = (self.margin - distance).clamp(min=0)
        costs = in_sync * distance.square() + (1 - in_sync) * missing.square()
        return costs.mean() / 2
