"""Evaluate a sync model by the published protocols: accuracy by context, LSE and primacy index.

LSE and the primacy index (PRI) need models whose embeddings are vectors.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip
from avsync.evaluation.score_matrix import ScoreBand, score_clip_band, window_count
from avsync.metrics.sync_accuracy import measure_window_offsets
from avsync.metrics.sync_embeddings import chance_primacy_index, lip_sync_error, primacy_index
from avsync.scoring.embeddings import SyncModel


class PublishedProtocol(NamedTuple):
    """Contexts and tolerances of a published table, in frames."""

    contexts: tuple[int, ...]
    tolerances: tuple[int, ...]

    def contexts_of(self, window: int) -> tuple[int, ...]:
        """Return the contexts to evaluate for a model with windows of `window` frames.

        If its windows are longer than the table's shortest context, only their own length, without
        averaging.
        """
        return self.contexts if window <= min(self.contexts) else (window,)


PUBLISHED_PROTOCOLS = {
    "lrs2": PublishedProtocol(contexts=(5, 7, 9, 11, 13, 15), tolerances=(1,)),
    "acappella": PublishedProtocol(contexts=(5, 10, 15, 20, 25), tolerances=(1, 5)),
}


class EmbeddingFigures(NamedTuple):
    """Lip-sync error (LSE) and primacy index (PRI) of a clip, and the PRI at chance level."""

    lse_d: float
    lse_c: float
    pri: float
    pri_chance: float


class ClipFigures(NamedTuple):
    """Figures of one clip.

    Args:
        name: identifier of the clip.
        accuracy: share of its windows that is right, by context and tolerance in frames.
        embedding: LSE and PRI, None for a model whose embeddings are not vectors.
    """

    name: str
    accuracy: dict[tuple[int, int], float]
    embedding: EmbeddingFigures | None


@dataclass(frozen=True)
class ProtocolFigures:
    """Figures of each clip, and the names of clips too short for a window, which have none."""

    clips: tuple[ClipFigures, ...]
    too_short: tuple[str, ...]

    def accuracies(self, context: int, tolerance: int) -> list[float]:
        """Return the accuracy of every clip; the published figure is their mean."""
        return [clip.accuracy[context, tolerance] for clip in self.clips]

    def embedding_means(self) -> EmbeddingFigures | None:
        """Return the mean of LSE and PRI over clips; None if no clip has them."""
        found = [clip.embedding for clip in self.clips if clip.embedding is not None]
        return EmbeddingFigures(*np.mean(found, axis=0).tolist()) if found else None


def measure_published(
    model: SyncModel,
    clips: Iterable[PreparedClip],
    published: PublishedProtocol,
    truth_ms: float = 0.0,
) -> ProtocolFigures:
    """Evaluate a model by a published protocol on clips whose offset is known.

    Args:
        model: a sync task in eval mode.
        clips: prepared clips.
        published: contexts and tolerances, one of `PUBLISHED_PROTOCOLS`.
        truth_ms: the clips' true offset, subtracted first; positive = the audio leads.
    """
    measured, too_short = [], []
    for clip in clips:
        if window_count(model.spec.window_frames, clip.face, clip.wav_16k) < 1:
            too_short.append(clip.id)
        else:
            measured.append(_measure(model, clip, published, truth_ms))
    return ProtocolFigures(tuple(measured), tuple(too_short))


def _measure(
    model: SyncModel, clip: PreparedClip, published: PublishedProtocol, truth_ms: float
) -> ClipFigures:
    crops, window = crops_for(model.spec, clip), model.spec.window_frames
    scored = score_clip_band(model, crops, np.asarray(clip.wav_16k), truth_ms)
    accuracy = {
        (context, tolerance): measure_window_offsets(
            scored.band, context, window, tolerance
        ).accuracy
        for context in published.contexts_of(window)
        for tolerance in published.tolerances
    }
    return ClipFigures(clip.id, accuracy, _embedding_figures(scored))


def _embedding_figures(scored: ScoreBand) -> EmbeddingFigures | None:
    if scored.video is None or scored.audio is None:
        return None
    error = lip_sync_error(scored.video, scored.audio)
    pri, chance = primacy_index(scored.video, scored.audio), chance_primacy_index(len(scored.video))
    return EmbeddingFigures(error.lse_d, error.lse_c, pri, chance)
