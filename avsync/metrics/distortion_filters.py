"""Least-squares distortion filters of BSS Eval: fit sources to estimates, and apply the filters.

They split an estimate into its own source, filtered, and the other sources, filtered. Signals are
processed in overlapping blocks whose Fourier transforms fit the processor's cache: correlations and
filtering are faster this way than by one transform over all samples.

Source: Vincent, Gribonval and Fevotte, Performance Measurement in Blind Audio Source Separation
(2006).
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from scipy.linalg.lapack import dposv
from torch import Tensor

# Added to the diagonal of the Gram matrix as in museval, in units of the signals' energy.
RIDGE = torch.finfo(torch.float64).eps
BLOCK = 4096
# Blocks, of all signals together, that are transformed at once: some megabytes.
STEP_BLOCKS = 64


class DistortionFilters(NamedTuple):
    """Fourier transforms, of F bins, of the filters from sources to estimates.

    Args:
        own: filters to each channel of an estimate from the channels of its own source, fitted
            without other sources, `(B, E, C, C, F)`.
        every: filters from all channels of all sources, fitted jointly, `(B, E, C, R C, F)`.
        length: taps of the filters, which delay by 0 to `length` - 1 samples.
    """

    own: Tensor
    every: Tensor
    length: int


class FilteredSegment(NamedTuple):
    """Segment `(B, E, C, n)` of the sources after `DistortionFilters`, from sample `start` on."""

    start: int
    own: Tensor
    every: Tensor


def fit_filters(
    sources: Tensor, estimates: Tensor, targets: tuple[int, ...], length: int
) -> DistortionFilters:
    """Fit the least-squares filters from sources to estimates.

    Signals are zero beyond their ends, as in museval, so filtered ones are `length` - 1 longer.

    Args:
        sources: sources `(B, R, C, N)`, float64.
        estimates: estimates `(B, E, C, N)`, float64.
        targets: index of each estimate's source.
        length: taps of the filters.
    """
    channels = sources.shape[2]
    auto, cross = _correlations(sources.flatten(1, 2), estimates.flatten(1, 2), length)
    every = rearrange(_solve(auto, cross), "b s (e d) l -> b e d s l", d=channels)
    own = every.new_empty(*every.shape[:3], channels, length)
    columns = rearrange(cross, "b s (e d) l -> b s e d l", d=channels)
    for target in set(targets):
        matching = [estimate for estimate, index in enumerate(targets) if index == target]
        part = slice(target * channels, (target + 1) * channels)
        solved = _solve(auto[:, part, part], columns[:, part, matching].flatten(2, 3))
        own[:, matching] = rearrange(solved, "b c (e d) l -> b e d c l", d=channels)
    size = _fft_size(length)
    return DistortionFilters(torch.fft.rfft(own, size), torch.fft.rfft(every, size), length)


def apply_filters(
    filters: DistortionFilters, sources: Tensor, targets: tuple[int, ...]
) -> Iterator[FilteredSegment]:
    """Filter sources `(B, R, C, N)`, in segments, from the first sample to the last echo."""
    length = filters.length
    own, every = filters.own[..., None, :], filters.every[..., None, :]
    for start, blocks in _blocks(sources.flatten(1, 2), length):
        spectra = torch.fft.rfft(blocks)
        source = rearrange(spectra, "b (r c) k f -> b r c k f", c=sources.shape[2])
        spectra_of = (
            (own * source[:, list(targets), None]).sum(3),
            (every * spectra[:, None, None]).sum(3),
        )
        # Samples that wrapped around are in the overlap.
        size = _fft_size(length)
        segments = [torch.fft.irfft(part, size)[..., length - 1 :] for part in spectra_of]
        yield FilteredSegment(start, *(part.flatten(-2) for part in segments))


def _fft_size(length: int) -> int:
    return max(BLOCK, 8 * 2 ** (length - 1).bit_length())


def _blocks(signals: Tensor, length: int) -> Iterator[tuple[int, Tensor]]:
    """Yield blocks `(B, S, k, size)` of signals `(B, S, N)`, with the start of the first one.

    Blocks overlap by `length` - 1 samples; the start is after the overlap. The last block ends no
    earlier than the last echo.
    """
    size = _fft_size(length)
    hop = size - length + 1
    samples = signals.shape[-1]
    count = -(-(samples + length - 1) // hop)
    step = max(1, STEP_BLOCKS // (signals.shape[0] * signals.shape[1]))
    for first in range(0, count, step):
        last = min(first + step, count)
        low, high = first * hop - length + 1, last * hop
        padded = F.pad(signals[..., max(0, low) : high], (max(0, -low), max(0, high - samples)))
        yield first * hop, padded.unfold(-1, size, hop)


def _correlations(sources: Tensor, estimates: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Correlate sources `(B, S, N)` with themselves and with estimates `(B, X, N)`.

    Returns:
        Sums over n of source[n] and other[n + lag], for lags below `length`: `(B, S, S, length)`
        and `(B, S, X, length)`.
    """
    count = sources.shape[1]
    total: Tensor | int = 0
    for _, blocks in _blocks(torch.cat([sources, estimates], 1), length):
        earlier = torch.fft.rfft(blocks[:, :count]).conj()
        # Without the overlap, so that a sample counts once.
        current = torch.fft.rfft(F.pad(blocks[..., length - 1 :], (length - 1, 0)))
        total = total + (earlier[:, :, None] * current[:, None]).sum(-2)
    correlations = torch.fft.irfft(total, _fft_size(length))[..., :length]
    return correlations[:, :, :count], correlations[:, :, count:]


def _gram(auto: Tensor) -> Tensor:
    """Build the Gram matrix `(B, S L, S L)` of all delayed signals from `(B, S, S, L)`."""
    batch, count, _, length = auto.shape
    # The product of signals i and j delayed by a and b is their correlation at lag a - b; a
    # negative lag is a positive one of j with i. Rows are windows on the lags in falling order,
    # the last one first.
    lags = torch.cat([auto.flip(-1), auto.transpose(1, 2)[..., 1:]], -1)
    windows = rearrange(lags.unfold(-1, length, 1), "b i j a l -> b i a j l")
    rising = torch.arange(length - 1, -1, -1, device=auto.device)
    gram = windows.index_select(2, rising).view(batch, count * length, count * length)
    gram.diagonal(dim1=-2, dim2=-1).add_(RIDGE)
    return gram


def _solve(auto: Tensor, cross: Tensor) -> Tensor:
    """Solve for the filters `(B, S, X, L)` from S signals to X others.

    By Cholesky decomposition. Where rounding leaves a matrix that is not positive definite, as with
    band-limited audio, by LU and finally by least squares, as in museval.

    Args:
        auto: correlations `(B, S, S, L)` of the signals with each other.
        cross: correlations `(B, S, X, L)` with the others.
    """
    right = rearrange(cross, "b s x l -> b (s l) x")
    if auto.shape[1] == 1 and auto.shape[-1] % 2 == 0:
        solved, failed = _cholesky_toeplitz(auto[:, 0, 0], right)
    else:
        solved, failed = _cholesky(_gram(auto), right)
    for item in failed.nonzero().flatten().tolist():
        solved[item] = _solve_singular(_gram(auto[item : item + 1])[0], right[item])
    return rearrange(solved, "b (s l) x -> b s x l", s=auto.shape[1])


def _cholesky_toeplitz(lags: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Solve like `_cholesky` for the Gram matrix of one signal, at a quarter of the cost.

    The matrix is symmetric Toeplitz, given by its correlations `(B, L)`: it maps symmetric vectors
    to symmetric and antisymmetric vectors to antisymmetric ones, so the system splits into two of
    half the size.
    """
    half = lags.shape[-1] // 2
    corner = _gram(lags[:, None, None, :half])
    mirrored = lags.flip(-1).unfold(-1, half, 1)[:, :half]
    first, last = right[:, :half], right[:, half:].flip(1)
    even, even_failed = _cholesky(corner + mirrored, (first + last) / 2)
    odd, odd_failed = _cholesky(corner - mirrored, (first - last) / 2)
    return torch.cat([even + odd, (even - odd).flip(1)], 1), even_failed + odd_failed


def _cholesky(gram: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Solve positive definite systems `(B, S, S)` for `(B, S, X)`; may overwrite `gram`.

    Returns:
        The solutions, and the items that failed, as non-zero `(B,)`.
    """
    if gram.is_cuda:
        factor, failed = torch.linalg.cholesky_ex(gram)
        return torch.cholesky_solve(right, factor), failed
    # torch would copy the factor and clear its other half, which takes as long as the rest.
    answers = [
        dposv(matrix.numpy().T, columns.numpy(), lower=1, overwrite_a=1)[1:]
        for matrix, columns in zip(gram, right, strict=True)
    ]
    solved = torch.stack([torch.from_numpy(answer) for answer, _ in answers])
    return solved, torch.tensor([failed for _, failed in answers])


def _solve_singular(gram: Tensor, right: Tensor) -> Tensor:
    solved, failed = torch.linalg.solve_ex(gram, right)
    if not failed:
        return solved
    # Only the CPU driver supports rank-deficient matrices.
    return torch.linalg.lstsq(gram.cpu(), right.cpu(), driver="gelsd").solution.to(right)
