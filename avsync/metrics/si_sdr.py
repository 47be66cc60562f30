"""SI-SDR: how far an estimate is from any multiple of its reference, in dB.

Le Roux, Wisdom, Erdogan and Hershey, SDR - Half-baked or Well Done? (ICASSP 2019).
"""

import torch
from torch import Tensor


def si_sdr(references: Tensor, estimates: Tensor) -> Tensor:
    """Maps references and estimates `(..., N)` to dB `(...)`, in float64.

    The means are left as they are. NaN where a reference or an estimate is silent.
    """
    if references.shape != estimates.shape:
        raise ValueError(
            "references and estimates must be (..., N) of the same shape, "
            f"got {tuple(references.shape)} and {tuple(estimates.shape)}"
        )
    wanted, found = references.double(), estimates.double()
    wanted_power = wanted.square().sum(-1)
    # Where either is silent this is 0 / 0.
    share = (wanted * found).sum(-1) / wanted_power
    signal = share[..., None] * wanted
    noise = (found - signal).square().sum(-1)
    figures = 10 * (signal.square().sum(-1) / noise).log10()
    silent = (wanted_power == 0) | (found.square().sum(-1) == 0)
    return figures.masked_fill(silent, torch.nan)
