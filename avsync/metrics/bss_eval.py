"""BSS Eval v3 and v4: SDR, ISR, SIR and SAR of separated audio, in dB.

SDR, SIR and SAR are the ratios of the signal to distortion, interference and artefacts. Version 3,
`bss_eval_sources`, allows an estimate to differ from its source by a filter of 512 taps, which is
fitted in every window. Version 4 allows no filter in SDR, and fits those of the other ratios once,
over all samples. Both equal `museval.metrics` to 1e-6 dB for ratios below 60 dB.

Source: Vincent, Gribonval and Fevotte, Performance Measurement in Blind Audio Source Separation
(2006), for version 3; Stoter, Liutkus and Ito, The 2018 Signal Separation Evaluation Campaign
(2018), for version 4.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from avsync.metrics.distortion_filters import DistortionFilters, apply_filters, fit_filters

FILTER_LENGTH = 512
# Memory for the matrices and spectra of the items that are processed at once.
STEP_BYTES = 2**28


class BssEval(NamedTuple):
    """Ratios `(B, E, W)` in dB for each item, estimate and window.

    If any reference or estimate of an item is silent in a window, all ratios of that window are
    NaN, as in museval.

    Args:
        sdr: signal to distortion ratio.
        isr: image to spatial distortion ratio, of version 4; NaN in version 3.
        sir: signal to interference ratio.
        sar: signal to artefacts ratio.
        silent_references: number of silent references `(B, W)`.
        silent_estimates: number of silent estimates `(B, W)`.
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
    """Compute BSS Eval v3, `bss_eval_sources`, without permutations, in float64.

    Args:
        references: sources `(B, R, N)`, or `(B, R, C, N)` with C channels. References that are no
            estimate's target count as interference.
        estimates: estimates `(B, E, N)`, or `(B, E, C, N)`.
        window: samples of a window; all samples if None. Samples after the last full window are
            left out; audio shorter than a window is one window.
        hop: samples from one window to the next; `window` if None.
        targets: index of each estimate's reference; 0 to E - 1 if None.
        filter_length: taps of the distortion filters.
    """
    inputs = _check_inputs(references, estimates, targets, filter_length)
    windows = _windows(inputs.samples, window, hop)
    ratios = inputs.empty_ratios(len(windows))
    for items in inputs.item_steps(filter_length):
        for index, cut in enumerate(windows):
            sources = inputs.references[items, ..., cut]
            estimated = inputs.estimates[items, ..., cut]
            filters = fit_filters(sources, estimated, inputs.targets, filter_length)
            energies = _energies(sources, estimated, inputs.targets, filters)
            ratios[:, items, :, index] = _ratios_v3(energies)
    return _mask_silence(ratios, inputs, windows)


def bss_eval_v4(
    references: Tensor,
    estimates: Tensor,
    window: int | None = None,
    hop: int | None = None,
    *,
    targets: Sequence[int] | None = None,
    filter_length: int = FILTER_LENGTH,
) -> BssEval:
    """Compute BSS Eval v4, without permutations, in float64.

    museval's command and SiSEC take windows and hops of 1 s and the median over them; museval's
    `bss_eval` itself takes 2 s with hops of 1.5 s, at 44.1 kHz. The arguments are those of
    `bss_eval_v3`; without `window` this is museval's `bss_eval_images`, which is also version 3's.
    """
    inputs = _check_inputs(references, estimates, targets, filter_length)
    windows = _windows(inputs.samples, window, hop)
    ratios = inputs.empty_ratios(len(windows))
    for items in inputs.item_steps(filter_length):
        sources, estimated = inputs.references[items], inputs.estimates[items]
        filters = fit_filters(sources, estimated, inputs.targets, filter_length)
        for index, cut in enumerate(windows):
            source, estimate = sources[..., cut], estimated[..., cut]
            energies = _energies(source, estimate, inputs.targets, filters)
            own = source[:, list(inputs.targets)]
            ratios[:, items, :, index] = _ratios_v4(energies, own, estimate)
    return _mask_silence(ratios, inputs, windows)


class _Inputs(NamedTuple):
    """Checked references `(B, R, C, N)` and estimates `(B, E, C, N)` in float64, with targets."""

    references: Tensor
    estimates: Tensor
    targets: tuple[int, ...]

    @property
    def samples(self) -> int:
        return self.references.shape[-1]

    def empty_ratios(self, windows: int) -> Tensor:
        """Allocate `(4, B, E, W)` for SDR, ISR, SIR and SAR."""
        return self.references.new_empty(4, *self.estimates.shape[:2], windows)

    def item_steps(self, length: int) -> Iterator[slice]:
        """Yield slices of items that are processed at once."""
        rows = self.references.shape[1] * self.references.shape[2]
        step = max(1, STEP_BYTES // (16 * (rows * length) ** 2))
        for start in range(0, len(self.references), step):
            yield slice(start, start + step)


class _Energies(NamedTuple):
    """Energies `(B, E)`, over all channels, of an estimate's components.

    `own` is the estimate's source through its own filters, `every` is all sources through their
    joint filters; the others are differences of these, the estimate and the source.
    """

    own: Tensor
    every: Tensor
    estimate_less_own: Tensor
    estimate_less_every: Tensor
    every_less_own: Tensor
    own_less_source: Tensor


def _energies(
    sources: Tensor, estimates: Tensor, targets: tuple[int, ...], filters: DistortionFilters
) -> _Energies:
    """Compute the energies of an estimate's components."""
    total = estimates.new_zeros(len(_Energies._fields), *estimates.shape[:2])
    target_sources = sources[:, list(targets)]
    for start, own, every in apply_filters(filters, sources, targets):
        segment = slice(start, start + own.shape[-1])
        estimate, source = estimates[..., segment], target_sources[..., segment]
        missing = own.shape[-1] - estimate.shape[-1]
        if missing:
            # Filtered sources are longer than both, by the length of the filters.
            estimate, source = F.pad(estimate, (0, missing)), F.pad(source, (0, missing))
        # Differences are taken before squaring, so that small ones keep their precision.
        components = (own, every, estimate - own, estimate - every, every - own, own - source)
        total += torch.stack([_energy(component) for component in components])
    return _Energies(*total)


def _ratios_v3(energies: _Energies) -> Tensor:
    sdr = _decibels(energies.own, energies.estimate_less_own)
    sir = _decibels(energies.own, energies.every_less_own)
    sar = _decibels(energies.every, energies.estimate_less_every)
    return torch.stack([sdr, torch.full_like(sdr, torch.nan), sir, sar])


def _ratios_v4(energies: _Energies, source: Tensor, estimate: Tensor) -> Tensor:
    """Compute the ratios of version 4, given the unfiltered signals `(B, E, C, N)` as well."""
    sdr = _decibels(_energy(source), _energy(estimate - source))
    isr = _decibels(_energy(source), energies.own_less_source)
    sir = _decibels(energies.own, energies.every_less_own)
    sar = _decibels(energies.every, energies.estimate_less_every)
    return torch.stack([sdr, isr, sir, sar])


def _energy(component: Tensor) -> Tensor:
    return torch.linalg.vector_norm(component, dim=(-2, -1)).square()


def _decibels(signal: Tensor, noise: Tensor) -> Tensor:
    return 10 * torch.log10(signal / noise)


def _mask_silence(ratios: Tensor, inputs: _Inputs, windows: list[slice]) -> BssEval:
    """Set ratios `(4, B, E, W)` to NaN in windows where a signal's channels sum to silence."""
    counts = []
    for signals in (inputs.references, inputs.estimates):
        mono = signals.sum(2)
        silent = [(mono[..., cut] == 0).all(-1).sum(1) for cut in windows]
        counts.append(torch.stack(silent, -1))
    any_silent = (counts[0] + counts[1] > 0)[None, :, None]
    return BssEval(*ratios.masked_fill(any_silent, torch.nan), *counts)


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


def _check_inputs(
    references: Tensor, estimates: Tensor, targets: Sequence[int] | None, filter_length: int
) -> _Inputs:
    if references.ndim == estimates.ndim == 3:
        references, estimates = references[:, :, None], estimates[:, :, None]
    shapes = f"{tuple(references.shape)} and {tuple(estimates.shape)}"
    shapes_fit = references.ndim == estimates.ndim == 4 and (
        (references.shape[0], *references.shape[2:]) == (estimates.shape[0], *estimates.shape[2:])
    )
    if not shapes_fit or 0 in references.shape or 0 in estimates.shape:
        raise ValueError(
            "references and estimates must be (B, R, N) and (B, E, N), or (B, R, C, N) and "
            f"(B, E, C, N), got {shapes}"
        )
    for name, tensor in (("references", references), ("estimates", estimates)):
        if not tensor.isfinite().all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    count, found = estimates.shape[1], references.shape[1]
    indices = tuple(range(count) if targets is None else targets)
    if len(indices) != count or not all(0 <= index < found for index in indices):
        raise ValueError(
            f"targets must name one of {found} references for each of {count} estimates, "
            f"got {indices}"
        )
    if filter_length < 1:
        raise ValueError(f"filter_length must be at least 1, got {filter_length}")
    return _Inputs(references.double(), estimates.double(), indices)
