"""Measure how well a sync model finds known offsets: by window, by context and by clip."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip
from avsync.evaluation.score_matrix import WavInMemory, score_clip_band
from avsync.metrics.sync_accuracy import MAX_SHIFT, average_context, best_offsets
from avsync.scoring.decision import SEARCH_MARGIN_S, Decision, decide_offset
from avsync.scoring.embeddings import SyncModel
from avsync.scoring.engine import CroppedTick, score_tracks
from avsync.scoring.peak import Peak, find_peak
from avsync.scoring.result import Interval
from avsync.scoring.score_sums import TrackScores
from avsync.tasks.calibration import Calibration
from avsync.timing import FPS

# Spoken part of each clip, by the stem of its source: first and last second of the words.
Words = Mapping[str, tuple[float, float]]
# Subsets of the windows of a clip; see `Accuracy.shares`.
Windows = Literal["all", "away from the ends", "inside words", "touching words"]


class ClipAccuracy(NamedTuple):
    """Errors of one clip.

    Args:
        name: stem of the clip's source.
        errors: by context, offsets found less the true one `(n,)`, in frames.
        inside: whether each window lies inside the words `(n,)`; None if words are not known.
        touching: by context, whether each window's context holds at least one such window `(n,)`.
        decision: decision for the whole clip.
        error_ms: its offset less the true one; None without an offset.
        peak: the best offset for the whole clip, whether sure or not; None without evidence.
    """

    name: str
    errors: dict[int, Tensor]
    inside: Tensor | None
    touching: dict[int, Tensor]
    decision: Decision
    error_ms: float | None
    peak: Peak | None


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over clips; every mean is over clips, as in the published protocol."""

    clips: tuple[ClipAccuracy, ...]

    def within(self, context: int, tolerance: int, windows: Windows = "all") -> float:
        """Return the share of windows whose offset is at most `tolerance` frames off, in [0, 1]."""
        return float(np.mean(self.shares(context, tolerance, windows)))

    def shares(self, context: int, tolerance: int, windows: Windows = "all") -> list[float]:
        """Return that share for every clip that has windows of the subset.

        Args:
            context: frames over which scores are averaged.
            tolerance: largest error that is right, in frames.
            windows: `away from the ends`: windows whose 31 candidates all lie inside the clip.
                `inside words`: windows that lie inside the words. `touching words`: windows whose
                context holds at least one of these; the others show only silence and closed lips.
        """
        shares = []
        for clip in self.clips:
            errors = clip.errors[context]
            chosen = _chosen(clip, context, windows)
            if chosen is not None and chosen.any():
                shares.append(float((errors[chosen].abs() <= tolerance).float().mean()))
        return shares

    def touching_share(self, context: int) -> float:
        """Return the mean share of windows whose context touches the words."""
        return float(np.mean([clip.touching[context].float().mean() for clip in self.clips]))

    def errors_ms(self) -> np.ndarray:
        """Return the errors of the clips with an offset, in ms."""
        return np.array([clip.error_ms for clip in self.clips if clip.error_ms is not None])

    def clips_within(self, tolerance_ms: float) -> int:
        """Return the number of clips whose offset is within the tolerance."""
        return int((np.abs(self.errors_ms()) <= tolerance_ms).sum())


def _chosen(clip: ClipAccuracy, context: int, windows: Windows) -> Tensor | None:
    """Return a mask `(n,)` of the subset; None if it is not known for this clip."""
    if windows == "inside words":
        return clip.inside
    if windows == "touching words":
        return clip.touching.get(context)
    number, reach = torch.arange(len(clip.errors[context])), 0 if windows == "all" else MAX_SHIFT
    return (number >= reach) & (number < len(number) - reach)


def bootstrap_interval(values: Sequence[float], seed: int = 0, draws: int = 2000) -> Interval:
    """Return the 95 % bootstrap interval of the mean: clips are resampled with replacement."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(values), size=(draws, len(values)))
    low, high = np.percentile(np.asarray(values)[picks].mean(1), [2.5, 97.5])
    return float(low), float(high)


def measure_clips(
    model: SyncModel,
    clips: Iterable[PreparedClip],
    contexts: Sequence[int],
    calibration: Calibration,
    truth_ms: float = 0.0,
    words: Words | None = None,
) -> Accuracy:
    """Measure a model on prepared clips whose offset is known.

    Args:
        model: a sync task in eval mode.
        clips: prepared clips.
        contexts: lengths in frames over which scores are averaged.
        calibration: calibration of the model.
        truth_ms: the clips' true offset, positive = the audio leads.
        words: spoken part of each clip.
    """
    return Accuracy(
        tuple(_measure(model, clip, contexts, calibration, truth_ms, words) for clip in clips)
    )


def _measure(
    model: SyncModel,
    clip: PreparedClip,
    contexts: Sequence[int],
    calibration: Calibration,
    truth_ms: float,
    words: Words | None,
) -> ClipAccuracy:
    crops = crops_for(model.spec, clip)
    wav = np.asarray(clip.wav_16k)
    band = score_clip_band(model, crops, wav, truth_ms, empty_windows=False).band
    errors = {k: best_offsets(average_context(band, k, model.spec.window_frames)) for k in contexts}
    name = clip.source.rpartition("/")[2].rpartition(".")[0]
    inside = None
    if words is not None and name in words:
        first_s, last_s = words[name]
        starts_s = clip.start_s + torch.arange(len(band)) / FPS
        length_s = model.spec.window_frames / FPS
        inside = (starts_s >= first_s - 1e-6) & (starts_s + length_s <= last_s + 1e-6)
    touching = {}
    if inside is not None:
        # A context touches the words where the mean of "inside" over it is not 0.
        mask = inside.float()[:, None]
        length = model.spec.window_frames
        touching = {k: average_context(mask, k, length)[:, 0] > 0 for k in contexts}
    scores = score_clip(model, crops, wav)
    decision = decide_offset(scores.curve, scores.wide_curve, 1.0, calibration)
    error_ms = None if decision.offset_ms is None else decision.offset_ms - truth_ms
    peak = find_peak(scores.curve, 1000.0)
    return ClipAccuracy(name, errors, inside, touching, decision, error_ms, peak)


def decide_clip(
    model: SyncModel,
    crops: np.ndarray,
    wav: np.ndarray,
    calibration: Calibration,
    search_s: float = 1.0,
) -> Decision:
    """Decide the offset of a whole clip by the engine, as `check` does for one face."""
    scores = score_clip(model, crops, wav, search_s)
    return decide_offset(scores.curve, scores.wide_curve, search_s, calibration)


def score_clip(
    model: SyncModel, crops: np.ndarray, wav: np.ndarray, search_s: float = 1.0
) -> TrackScores:
    """Return the engine's scores of crops `(T, H, W, 3)` uint8 and audio `(N,)` at 16 kHz."""
    ticks = (CroppedTick(number, {0: crop}) for number, crop in enumerate(crops))
    reach_s = search_s + SEARCH_MARGIN_S
    return score_tracks(
        model, ticks, WavInMemory(wav), reach_s, out_of_range_s=model.spec.out_of_range_s
    ).tracks[0]
