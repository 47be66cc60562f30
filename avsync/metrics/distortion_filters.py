"""The least-squares filters of BSS Eval (Vincent, Gribonval and Fevotte, 2006): what of an estimate
is its own source, filtered, and what is the other sources, filtered.

Sound is cut into overlapping blocks whose transforms stay in the processor's cache: both the
correlations and the filtering cost less so than by transforms of the whole sound.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from scipy.linalg.lapack import dposv
from torch import Tensor

# As museval has it: added to the diagonal of the Gram matrix, in the units of the sound's energy.
RIDGE = torch.finfo(torch.float64).eps
BLOCK = 4096
# Blocks, of all sounds together, that are transformed at once: some megabytes.
STEP_BLOCKS = 64


class DistortionFilters(NamedTuple):
    """Filters from sources to estimates, of `length` taps: delays of 0 to `length` - 1 samples.

    They are Fourier transforms of F bins. `own` `(B, E, C, C, F)` is to an estimate's channel from
    those of its own source, with no other source in play; `every` `(B, E, C, R C, F)` from all
    channels of all sources at once.
    """

    own: Tensor
    every: Tensor
    length: int


class Filtered(NamedTuple):
    """A stretch `(B, E, C, n)` of what `DistortionFilters` make of the sources, from `start` on."""

    start: int
    own: Tensor
    every: Tensor


def fit_filters(
    sources: Tensor, estimates: Tensor, targets: tuple[int, ...], length: int
) -> DistortionFilters:
    """Filters of `length` taps that bring sources `(B, R, C, N)` nearest to each of the estimates
    `(B, E, C, N)`, float64. Estimate e is of source `targets[e]`.

    Sound is zero beyond its ends, as in museval: filtered, it is `length` - 1 samples longer.
    """
    channels = sources.shape[2]
    among, against = _correlations(sources.flatten(1, 2), estimates.flatten(1, 2), length)
    every = rearrange(_solve(among, against), "b s (e d) l -> b e d s l", d=channels)
    own = every.new_empty(*every.shape[:3], channels, length)
    columns = rearrange(against, "b s (e d) l -> b s e d l", d=channels)
    for target in set(targets):
        its = [estimate for estimate, of in enumerate(targets) if of == target]
        part = slice(target * channels, (target + 1) * channels)
        solved = _solve(among[:, part, part], columns[:, part, its].flatten(2, 3))
        own[:, its] = rearrange(solved, "b c (e d) l -> b e d c l", d=channels)
    size = _size(length)
    return DistortionFilters(torch.fft.rfft(own, size), torch.fft.rfft(every, size), length)


def apply_filters(
    filters: DistortionFilters, sources: Tensor, targets: tuple[int, ...]
) -> Iterator[Filtered]:
    """Filters sources `(B, R, C, N)`, in stretches, from the first sample to the last echo."""
    length = filters.length
    own, every = filters.own[..., None, :], filters.every[..., None, :]
    for start, blocks in _blocks(sources.flatten(1, 2), length):
        spectra = torch.fft.rfft(blocks)
        source = rearrange(spectra, "b (r c) k f -> b r c k f", c=sources.shape[2])
        spectra_of = (
            (own * source[:, list(targets), None]).sum(3),
            (every * spectra[:, None, None]).sum(3),
        )
        # What has wrapped round lies in the overlap.
        stretches = [torch.fft.irfft(part, _size(length))[..., length - 1 :] for part in spectra_of]
        yield Filtered(start, *(part.flatten(-2) for part in stretches))


def _size(length: int) -> int:
    return max(BLOCK, 8 * 2 ** (length - 1).bit_length())


def _blocks(sounds: Tensor, length: int) -> Iterator[tuple[int, Tensor]]:
    """Blocks `(B, S, k, size)` of sounds `(B, S, N)`, some at a time, that overlap by `length` - 1;
    and where the first one begins after its overlap. The last ends no earlier than the last echo.
    """
    size = _size(length)
    hop = size - length + 1
    samples = sounds.shape[-1]
    count = -(-(samples + length - 1) // hop)
    step = max(1, STEP_BLOCKS // (sounds.shape[0] * sounds.shape[1]))
    for first in range(0, count, step):
        last = min(first + step, count)
        low, high = first * hop - length + 1, last * hop
        held = F.pad(sounds[..., max(0, low) : high], (max(0, -low), max(0, high - samples)))
        yield first * hop, held.unfold(-1, size, hop)


def _correlations(sources: Tensor, estimates: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Of sources `(B, S, N)` with themselves, `(B, S, S, length)`, and with estimates `(B, X, N)`,
    `(B, S, X, length)`: the sum over n of the source at n and of the other at n + lag.
    """
    count = sources.shape[1]
    total: Tensor | int = 0
    for _, blocks in _blocks(torch.cat([sources, estimates], 1), length):
        earlier = torch.fft.rfft(blocks[:, :count]).conj()
        # Without its overlap each sample counts once.
        now = torch.fft.rfft(F.pad(blocks[..., length - 1 :], (length - 1, 0)))
        total = total + (earlier[:, :, None] * now[:, None]).sum(-2)
    correlations = torch.fft.irfft(total, _size(length))[..., :length]
    return correlations[:, :, :count], correlations[:, :, count:]


def _gram(among: Tensor) -> Tensor:
    """Inner products `(B, S L, S L)` of all delayed versions of S sounds, from their correlations
    `(B, S, S, L)`.
    """
    batch, count, _, length = among.shape
    # Between sounds i and j delayed by a and b it is that of lag a - b; a negative lag is a
    # positive one of j with i. Rows are windows on the lags in falling order, the last one first.
    lags = torch.cat([among.flip(-1), among.transpose(1, 2)[..., 1:]], -1)
    windows = rearrange(lags.unfold(-1, length, 1), "b i j a l -> b i a j l")
    rising = torch.arange(length - 1, -1, -1, device=among.device)
    gram = windows.index_select(2, rising).view(batch, count * length, count * length)
    gram.diagonal(dim1=-2, dim2=-1).add_(RIDGE)
    return gram


def _solve(among: Tensor, against: Tensor) -> Tensor:
    """The filters `(B, S, X, L)` that bring S sounds nearest to each of X others, from the
    correlations `(B, S, S, L)` and `(B, S, X, L)`.

    By Cholesky; where rounding leaves a matrix no longer positive, as with band-limited sound, as
    museval does: by LU, and by least squares at the last.
    """
    right = rearrange(against, "b s x l -> b (s l) x")
    if among.shape[1] == 1 and among.shape[-1] % 2 == 0:
        solved, failed = _cholesky_of_halves(among[:, 0, 0], right)
    else:
        solved, failed = _cholesky(_gram(among), right)
    for item in failed.nonzero().flatten().tolist():
        solved[item] = _solve_singular(_gram(among[item : item + 1])[0], right[item])
    return rearrange(solved, "b (s l) x -> b s x l", s=among.shape[1])


def _cholesky_of_halves(lags: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """`_cholesky` of a single sound's Gram matrix by its correlations `(B, L)`, at a quarter of the
    cost: a symmetric Toeplitz matrix maps vectors that read the same backwards to such, and those
    that change their sign.
    """
    half = lags.shape[-1] // 2
    corner = _gram(lags[:, None, None, :half])
    mirrored = lags.flip(-1).unfold(-1, half, 1)[:, :half]
    first, last = right[:, :half], right[:, half:].flip(1)
    even, even_failed = _cholesky(corner + mirrored, (first + last) / 2)
    odd, odd_failed = _cholesky(corner - mirrored, (first - last) / 2)
    return torch.cat([even + odd, (even - odd).flip(1)], 1), even_failed + odd_failed


def _cholesky(gram: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Solves positive `(B, S, S)` for `(B, S, X)`, and says which items failed; may write over
    `gram`.
    """
    if gram.is_cuda:
        factor, failed = torch.linalg.cholesky_ex(gram)
        return torch.cholesky_solve(right, factor), failed
    # torch would copy the factor and clear its other half, in as much time as it takes.
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
    # Only the CPU's driver knows matrices of less than full rank.
    return torch.linalg.lstsq(gram.cpu(), right.cpu(), driver="gelsd").solution.to(right)
