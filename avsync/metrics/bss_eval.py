"""BSS Eval: signal to distortion, interference and artefacts of separated sound, in dB.

Version 3 is `bss_eval_sources` (Vincent, Gribonval and Fevotte, 2006): an estimate counts as right
up to a filter of 512 taps, fitted anew in every window. Version 4 (Stoter, Liutkus and Ito, 2018)
forgives no filter in SDR, and fits those of the other figures once, over the whole sound. Both
equal `museval.metrics` to 1e-6 dB where a figure is below 60 dB.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from avsync.metrics.distortion_filters import (
    DistortionFilters,
    apply_filters,
    fit_filters,
)

FILTER_LENGTH = 512
# What the matrices and spectra of the items that are worked on at once may take.
STEP_BYTES = 2**28


class BssEval(NamedTuple):
    """Figures `(B, E, W)` in dB for each item, estimate and window.

    `isr`, the image to spatial distortion ratio, is of version 4 and NaN in version 3. Where any
    reference or estimate of an item is silent, all figures of that window are NaN, as in museval;
    `silent_references` and `silent_estimates` `(B, W)` say how many are.
    """

    sdr: Tensor
    isr: Tensor
    sir: Tensor
    sar: Tensor
    silent_references: Tensor
    silent_estimates: Tensor


def bss_eval_v3(
    references: Tensor,
    estimates: Tensor,
    window: int | None = None,
    hop: int | None = None,
    *,
    targets: Sequence[int] | None = None,
    filter_length: int = FILTER_LENGTH,
) -> BssEval:
    """BSS Eval v3, `bss_eval_sources`, without permutations; computed in float64.

    Args:
        references: sources `(B, R, N)`, or `(B, R, C, N)` with C channels. Those that no estimate
            is of count as interference.
        estimates: `(B, E, N)`, or `(B, E, C, N)`.
        window: samples of a window; the whole sound where it is not given. Sound after the last
            full window is left out; sound shorter than a window is one window.
        hop: samples from one window to the next; a window where it is not given.
        targets: which reference each estimate is of; 0 to E - 1 where it is not given.
        filter_length: taps of the distortion filters.
    """
    sound = _sound(references, estimates, targets, filter_length)
    windows = _windows(sound.samples, window, hop)
    figures = sound.blank(len(windows))
    for items in sound.steps(filter_length):
        for place, cut in enumerate(windows):
            sources, guesses = sound.references[items, ..., cut], sound.estimates[items, ..., cut]
            filters = fit_filters(sources, guesses, sound.targets, filter_length)
            parts = _parts(sources, guesses, sound.targets, filters)
            figures[:, items, :, place] = _criteria_v3(parts)
    return _without_silence(figures, sound, windows)


def bss_eval_v4(
    references: Tensor,
    estimates: Tensor,
    window: int | None = None,
    hop: int | None = None,
    *,
    targets: Sequence[int] | None = None,
    filter_length: int = FILTER_LENGTH,
) -> BssEval:
    """BSS Eval v4, without permutations; computed in float64.

    museval's command and SiSEC take windows and hops of 1 s and the median over them; museval's
    `bss_eval` itself 2 s with hops of 1.5 s, at 44.1 kHz. The arguments are those of `bss_eval_v3`;
    with no `window` this is museval's `bss_eval_images`, which is also version 3's.
    """
    sound = _sound(references, estimates, targets, filter_length)
    windows = _windows(sound.samples, window, hop)
    figures = sound.blank(len(windows))
    for items in sound.steps(filter_length):
        sources, guesses = sound.references[items], sound.estimates[items]
        filters = fit_filters(sources, guesses, sound.targets, filter_length)
        for place, cut in enumerate(windows):
            source, guess = sources[..., cut], guesses[..., cut]
            parts = _parts(source, guess, sound.targets, filters)
            its_own = source[:, list(sound.targets)]
            figures[:, items, :, place] = _criteria_v4(parts, its_own, guess)
    return _without_silence(figures, sound, windows)


class _Sound(NamedTuple):
    """References `(B, R, C, N)`, estimates `(B, E, C, N)`, float64, and the reference of each."""

    references: Tensor
    estimates: Tensor
    targets: tuple[int, ...]

    @property
    def samples(self) -> int:
        return self.references.shape[-1]

    def blank(self, windows: int) -> Tensor:
        """Room `(4, B, E, W)` for SDR, ISR, SIR and SAR."""
        return self.references.new_empty(4, *self.estimates.shape[:2], windows)

    def steps(self, length: int) -> Iterator[slice]:
        """Items that are worked on at once."""
        rows = self.references.shape[1] * self.references.shape[2]
        step = max(1, STEP_BYTES // (16 * (rows * length) ** 2))
        for start in range(0, len(self.references), step):
            yield slice(start, start + step)


class _Parts(NamedTuple):
    """Energies `(B, E)`, over all channels, of what an estimate is taken apart into: `own` is what
    its filters make of its source, `every` what theirs make of all sources; then differences.
    """

    own: Tensor
    every: Tensor
    estimate_less_own: Tensor
    estimate_less_every: Tensor
    every_less_own: Tensor
    own_less_source: Tensor


def _parts(
    sources: Tensor, estimates: Tensor, targets: tuple[int, ...], filters: DistortionFilters
) -> _Parts:
    """Differences are formed before they are squared: small ones keep their digits."""
    total = estimates.new_zeros(len(_Parts._fields), *estimates.shape[:2])
    of_each = sources[:, list(targets)]
    for start, own, every in apply_filters(filters, sources, targets):
        stretch = slice(start, start + own.shape[-1])
        estimate, source = estimates[..., stretch], of_each[..., stretch]
        missing = own.shape[-1] - estimate.shape[-1]
        if missing:
            # Both end before the last echo does.
            estimate, source = F.pad(estimate, (0, missing)), F.pad(source, (0, missing))
        parts = _Parts(own, every, estimate - own, estimate - every, every - own, own - source)
        total += torch.stack([_energy(part) for part in parts])
    return _Parts(*total)


def _criteria_v3(parts: _Parts) -> Tensor:
    sdr = _decibels(parts.own, parts.estimate_less_own)
    sir = _decibels(parts.own, parts.every_less_own)
    sar = _decibels(parts.every, parts.estimate_less_every)
    return torch.stack([sdr, torch.full_like(sdr, torch.nan), sir, sar])


def _criteria_v4(parts: _Parts, source: Tensor, estimate: Tensor) -> Tensor:
    """Source and estimate `(B, E, C, N)` as they are."""
    sdr = _decibels(_energy(source), _energy(estimate - source))
    isr = _decibels(_energy(source), parts.own_less_source)
    sir = _decibels(parts.own, parts.every_less_own)
    sar = _decibels(parts.every, parts.estimate_less_every)
    return torch.stack([sdr, isr, sir, sar])


def _energy(part: Tensor) -> Tensor:
    return torch.linalg.vector_norm(part, dim=(-2, -1)).square()


def _decibels(signal: Tensor, noise: Tensor) -> Tensor:
    return 10 * torch.log10(signal / noise)


def _without_silence(figures: Tensor, sound: _Sound, windows: list[slice]) -> BssEval:
    """The figures `(4, B, E, W)`, NaN where something is silent: channels that cancel are too."""
    counts = []
    for sources in (sound.references, sound.estimates):
        mono = sources.sum(2)
        silent = [(mono[..., cut] == 0).all(-1).sum(1) for cut in windows]
        counts.append(torch.stack(silent, -1))
    unheard = (counts[0] + counts[1] > 0)[None, :, None]
    return BssEval(*figures.masked_fill(unheard, torch.nan), *counts)


def _windows(samples: int, window: int | None, hop: int | None) -> list[slice]:
    if window is None and hop is not None:
        raise ValueError(f"hop needs a window, got hop {hop} and no window")
    for name, value in (("window", window), ("hop", hop)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1 sample, got {value}")
    if window is None or window >= samples:
        return [slice(0, samples)]
    hop = window if hop is None else hop
    return [slice(start, start + window) for start in range(0, samples - window + 1, hop)]


def _sound(
    references: Tensor, estimates: Tensor, targets: Sequence[int] | None, filter_length: int
) -> _Sound:
    if references.ndim == estimates.ndim == 3:
        references, estimates = references[:, :, None], estimates[:, :, None]
    shapes = f"{tuple(references.shape)} and {tuple(estimates.shape)}"
    alike = references.ndim == estimates.ndim == 4 and (
        (references.shape[0], *references.shape[2:]) == (estimates.shape[0], *estimates.shape[2:])
    )
    if not alike or 0 in references.shape or 0 in estimates.shape:
        raise ValueError(
            "references and estimates must be (B, R, N) and (B, E, N), or (B, R, C, N) and "
            f"(B, E, C, N), got {shapes}"
        )
    for name, tensor in (("references", references), ("estimates", estimates)):
        if not tensor.isfinite().all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    of = tuple(range(estimates.shape[1]) if targets is None else targets)
    if len(of) != estimates.shape[1] or not all(0 <= each < references.shape[1] for each in of):
        raise ValueError(
            f"targets must name one of {references.shape[1]} references for each of "
            f"{estimates.shape[1]} estimates, got {of}"
        )
    if filter_length < 1:
        raise ValueError(f"filter_length must be at least 1, got {filter_length}")
    return _Sound(references.double(), estimates.double(), of)
