"""Scores of separated voices: SI-SDR, and BSS Eval with and without a second voice as reference."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from avsync.metrics.bss_eval import BssEval, bss_eval_v3, bss_eval_v4


def si_sdr(references: Tensor, estimates: Tensor) -> Tensor:
    """Compute the scale-invariant SDR in dB, in float64.

    Means are not subtracted.

    Args:
        references: true waveforms `(..., N)`.
        estimates: estimated waveforms `(..., N)`.

    Returns:
        SI-SDR `(...)` in dB; NaN where the reference or the estimate is silent.

    Source: Le Roux, Wisdom, Erdogan and Hershey, SDR - Half-baked or Well Done? (ICASSP 2019).
    """
    if references.shape != estimates.shape:
        raise ValueError(
            "references and estimates must be (..., N) of the same shape, "
            f"got {tuple(references.shape)} and {tuple(estimates.shape)}"
        )
    reference, estimate = references.double(), estimates.double()
    power = reference.square().sum(-1)
    # 0 / 0 if either is silent.
    scale = (reference * estimate).sum(-1) / power
    signal = scale[..., None] * reference
    noise = (estimate - signal).square().sum(-1)
    ratio = 10 * (signal.square().sum(-1) / noise).log10()
    silent = (power == 0) | (estimate.square().sum(-1) == 0)
    return ratio.masked_fill(silent, torch.nan)


class BssOptions(NamedTuple):
    """Version and windows of BSS Eval; values are medians over windows.

    Args:
        version: `v3` or `v4`.
        window: samples of a window; one window over all samples if None.
        hop: samples from one window to the next.
    """

    version: Literal["v3", "v4"] = "v3"
    window: int | None = None
    hop: int | None = None


class SeparationScores(NamedTuple):
    """Scores `(B,)` in dB of separated voices; NaN where the voice or its estimate is silent.

    `sdr`, `sir` and `sar` have the voice and the accompaniment as references, as in the published
    evaluation, in which leakage of a second voice counts as an artefact. `sir_with_second` and
    `sar_with_second` also have the second voice as a reference, so its leakage counts as
    interference. An SIR is NaN if the voice is the only reference. `..._gain` is the improvement
    over the mixture as the estimate.
    """

    sdr: Tensor
    sir: Tensor
    sar: Tensor
    sir_with_second: Tensor
    sar_with_second: Tensor
    si_sdr: Tensor
    sdr_gain: Tensor
    sir_gain: Tensor
    sir_with_second_gain: Tensor
    si_sdr_gain: Tensor

    def silent(self) -> int:
        """Count the items whose voice or estimate is silent."""
        return int(self.si_sdr.isnan().sum())

    def means(self) -> dict[str, float]:
        """Return the mean of each score over the items that have one."""
        return {name: float(scores.nanmean()) for name, scores in self._asdict().items()}


def score_sources(
    estimates: Tensor,
    voices: Tensor,
    accompaniment: Tensor | None = None,
    second: Tensor | None = None,
    mixture: Tensor | None = None,
    options: BssOptions = BssOptions(),  # noqa: B008
) -> SeparationScores:
    """Score estimates of voices in mixtures.

    Args:
        estimates: separated waveforms `(B, N)`.
        voices: true waveforms `(B, N)`.
        accompaniment: other sources in the mixture that are no voices, `(B, N)`, or `(B, A, N)` if
            its A parts are known. Silent ones are left out, item by item.
        second: other voices in the mixture, in the same form.
        mixture: mixtures `(B, N)`; the sum of all sources if None.
        options: version and windows of BSS Eval.

    Raises:
        ValueError: the shapes do not fit together.
    """
    music = _source_parts("accompaniment", accompaniment, voices)
    others = _source_parts("second", second, voices)
    mixed = voices + music.sum(1) + others.sum(1) if mixture is None else mixture
    for name, wav in (("estimates", estimates), ("voices", voices), ("mixture", mixed)):
        if wav.ndim != 2 or wav.shape != voices.shape:
            shapes = f"{tuple(wav.shape)} for voices {tuple(voices.shape)}"
            raise ValueError(f"{name} must be (B, N) as voices are, got {shapes}")
    scores = []
    for item in range(len(voices)):
        pair = torch.stack([estimates[item], mixed[item]])
        scores.append(_score(pair, voices[item], music[item], others[item], options))
    return SeparationScores(*torch.stack(scores, 1))


def _score(
    pair: Tensor, voice: Tensor, music: Tensor, others: Tensor, options: BssOptions
) -> Tensor:
    """Score one item's estimate and mixture `(2, N)`, in the order of `SeparationScores`."""
    music, others = (part[(part != 0).any(-1)] for part in (music, others))
    published = torch.cat([voice[None], music])
    sdr, sir, sar = _bss_eval(published, pair, options)
    _, sir_all, sar_all = sdr, sir, sar
    if len(others):
        _, sir_all, sar_all = _bss_eval(torch.cat([published, others]), pair, options)
    ratio = si_sdr(voice.expand_as(pair), pair)
    scores = [sdr[0], sir[0], sar[0], sir_all[0], sar_all[0], ratio[0]]
    return torch.stack([*scores, *(score[0] - score[1] for score in (sdr, sir, sir_all, ratio))])


def _bss_eval(references: Tensor, pair: Tensor, options: BssOptions) -> Iterable[Tensor]:
    """Compute median SDR, SIR and SAR `(2,)` of two estimates of the first reference."""
    measure = {"v3": bss_eval_v3, "v4": bss_eval_v4}[options.version]
    window, hop = options.window, options.hop
    found: BssEval = measure(references[None], pair[None], window, hop, targets=(0, 0))
    sdr, sir, sar = (
        torch.nanquantile(ratios[0], 0.5, -1) for ratios in (found.sdr, found.sir, found.sar)
    )
    return sdr, sir if len(references) > 1 else torch.full_like(sir, torch.nan), sar


def _source_parts(name: str, sources: Tensor | None, voices: Tensor) -> Tensor:
    """Return sources `(B, A, N)` given as `(B, N)`, `(B, A, N)` or None."""
    batch, samples = len(voices), voices.shape[-1]
    if sources is None:
        return voices.new_zeros(batch, 0, samples)
    parts = sources[:, None] if sources.ndim == 2 else sources
    if parts.ndim != 3 or (len(parts), parts.shape[-1]) != (batch, samples):
        expected = f"({batch}, {samples}) or ({batch}, A, {samples})"
        raise ValueError(f"{name} must be {expected}, got {tuple(sources.shape)}")
    return parts
