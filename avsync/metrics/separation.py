"""A separated voice measured as papers on audio-visual separation do, and as it would be fairer."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from avsync.metrics.bss_eval import BssEval, bss_eval_v3, bss_eval_v4


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


class BssOptions(NamedTuple):
    """Which BSS Eval: `v3`, or `v4`, whose figures are medians over windows of `window` samples
    from `hop` to `hop`; with no window, the whole sound is one.
    """

    version: Literal["v3", "v4"] = "v3"
    window: int | None = None
    hop: int | None = None


class SeparationScores(NamedTuple):
    """Figures `(B,)` in dB of separated voices; NaN where the voice or its estimate is silent.

    `sdr`, `sir` and `sar` have the voice and the accompaniment as references, as in the published
    evaluation: what leaks of a second voice is an artefact there. `sir_with_second` and
    `sar_with_second` have the second voice among the references: its leakage is interference. An
    SIR is NaN where nothing but the voice is among the references. `..._gain` is what is gained
    over the mixture taken for an estimate.
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
        """How many voices or estimates are silent."""
        return int(self.si_sdr.isnan().sum())

    def means(self) -> dict[str, float]:
        """The mean of each figure over the items that have one."""
        return {name: float(each.nanmean()) for name, each in self._asdict().items()}


def score_sources(
    estimates: Tensor,
    voices: Tensor,
    accompaniment: Tensor | None = None,
    second: Tensor | None = None,
    mixture: Tensor | None = None,
    options: BssOptions = BssOptions(),  # noqa: B008
) -> SeparationScores:
    """Measures estimates `(B, N)` of voices `(B, N)`.

    Args:
        accompaniment: what else is in the mixture and no voice, `(B, N)`, or `(B, A, N)` where it
            is known in parts. Silent ones are left out, item by item.
        second: the other voices, likewise.
        mixture: `(B, N)`; the sum of all these where it is not given.
        options: which BSS Eval.
    """
    music = _parts("accompaniment", accompaniment, voices)
    others = _parts("second", second, voices)
    heard = voices + music.sum(1) + others.sum(1) if mixture is None else mixture
    for name, sound in (("estimates", estimates), ("voices", voices), ("mixture", heard)):
        if sound.ndim != 2 or sound.shape != voices.shape:
            shapes = f"{tuple(sound.shape)} for voices {tuple(voices.shape)}"
            raise ValueError(f"{name} must be (B, N) as voices are, got {shapes}")
    rows = []
    for item in range(len(voices)):
        guesses = torch.stack([estimates[item], heard[item]])
        rows.append(_score(guesses, voices[item], music[item], others[item], options))
    return SeparationScores(*torch.stack(rows, 1))


def _score(
    guesses: Tensor, voice: Tensor, music: Tensor, others: Tensor, options: BssOptions
) -> Tensor:
    """The figures of an item as in `SeparationScores`; guesses `(2, N)` are estimate and mixture."""
    music, others = (part[(part != 0).any(-1)] for part in (music, others))
    published = torch.cat([voice[None], music])
    sdr, sir, sar = _bss_eval(published, guesses, options)
    _, sir_all, sar_all = sdr, sir, sar
    if len(others):
        _, sir_all, sar_all = _bss_eval(torch.cat([published, others]), guesses, options)
    ratio = si_sdr(voice.expand_as(guesses), guesses)
    figures = [sdr[0], sir[0], sar[0], sir_all[0], sar_all[0], ratio[0]]
    return torch.stack([*figures, *(each[0] - each[1] for each in (sdr, sir, sir_all, ratio))])


def _bss_eval(references: Tensor, guesses: Tensor, options: BssOptions) -> Iterable[Tensor]:
    """SDR, SIR and SAR `(2,)` of two estimates of the first reference, medians over windows."""
    measure = {"v3": bss_eval_v3, "v4": bss_eval_v4}[options.version]
    window, hop = options.window, options.hop
    found: BssEval = measure(references[None], guesses[None], window, hop, targets=(0, 0))
    sdr, sir, sar = (
        torch.nanquantile(each[0], 0.5, -1) for each in (found.sdr, found.sir, found.sar)
    )
    return sdr, sir if len(references) > 1 else torch.full_like(sir, torch.nan), sar


def _parts(name: str, sound: Tensor | None, voices: Tensor) -> Tensor:
    """`(B, A, N)` of what is `(B, N)`, `(B, A, N)` or nothing."""
    batch, samples = len(voices), voices.shape[-1]
    if sound is None:
        return voices.new_zeros(batch, 0, samples)
    parts = sound[:, None] if sound.ndim == 2 else sound
    if parts.ndim != 3 or (len(parts), parts.shape[-1]) != (batch, samples):
        wanted = f"({batch}, {samples}) or ({batch}, A, {samples})"
        raise ValueError(f"{name} must be {wanted}, got {tuple(sound.shape)}")
    return parts
