"""The published evaluations: a model on prepared clips -> accuracy by context, and for models with
embeddings LSE and PRI.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip
from avsync.evaluation.score_matrix import ClipBand, clip_band, window_count
from avsync.metrics.sync_accuracy import measure_window_offsets
from avsync.metrics.sync_embeddings import chance_primacy_index, lip_sync_error, primacy_index
from avsync.scoring.engine import SyncModel


class Published(NamedTuple):
    """Contexts and tolerances, in frames, of a published table."""

    contexts: tuple[int, ...]
    tolerances: tuple[int, ...]

    def contexts_of(self, window: int) -> tuple[int, ...]:
        """Return the contexts of a model with such a window: only its own, without averaging, where it was
        made for a longer one than the table's shortest.
        """
        return self.contexts if window <= min(self.contexts) else (window,)


PUBLISHED = {
    "lrs2": Published(contexts=(5, 7, 9, 11, 13, 15), tolerances=(1,)),
    "acappella": Published(contexts=(5, 10, 15, 20, 25), tolerances=(1, 5)),
}


class EmbeddingFigures(NamedTuple):
    """LSE and PRI of a clip, and the PRI that chance gives."""

    lse_d: float
    lse_c: float
    pri: float
    pri_chance: float


class ClipFigures(NamedTuple):
    """One clip: the share of its windows that is right by context and tolerance, and its
    `EmbeddingFigures`, None for a model without embeddings.
    """

    name: str
    accuracy: dict[tuple[int, int], float]
    embedding: EmbeddingFigures | None


@dataclass(frozen=True)
class ProtocolFigures:
    """The figures of each clip, and the names of those without a window, which have none."""

    clips: tuple[ClipFigures, ...]
    too_short: tuple[str, ...]

    def accuracies(self, context: int, tolerance: int) -> list[float]:
        """Of every clip; the published figure is their mean."""
        return [clip.accuracy[context, tolerance] for clip in self.clips]

    def embedding_means(self) -> EmbeddingFigures | None:
        """Return the plain mean over clips of LSE and PRI."""
        found = [clip.embedding for clip in self.clips if clip.embedding is not None]
        return EmbeddingFigures(*np.mean(found, axis=0).tolist()) if found else None


def measure_published(
    model: SyncModel, clips: Iterable[PreparedClip], published: Published, truth_ms: float = 0.0
) -> ProtocolFigures:
    """Score a model on clips whose offset is known by a published protocol.

    Args:
        model: a sync task in eval mode.
        clips: prepared clips.
        published: contexts and tolerances, one of `PUBLISHED`.
        truth_ms: the clips' true offset, taken off first; positive = the audio leads.
    """
    measured, too_short = [], []
    for clip in clips:
        if window_count(model.spec.window_frames, clip.face, clip.wav_16k) < 1:
            too_short.append(clip.id)
        else:
            measured.append(_measure(model, clip, published, truth_ms))
    return ProtocolFigures(tuple(measured), tuple(too_short))


def _measure(
    model: SyncModel, clip: PreparedClip, published: Published, truth_ms: float
) -> ClipFigures:
    crops, window = crops_for(model.spec, clip), model.spec.window_frames
    scored = clip_band(model, crops, np.asarray(clip.wav_16k), truth_ms)
    accuracy = {
        (context, tolerance): measure_window_offsets(
            scored.band, context, window, tolerance
        ).accuracy
        for context in published.contexts_of(window)
        for tolerance in published.tolerances
    }
    return ClipFigures(clip.id, accuracy, _embedding_figures(scored))


def _embedding_figures(scored: ClipBand) -> EmbeddingFigures | None:
    if scored.video is None or scored.audio is None:
        return None
    error = lip_sync_error(scored.video, scored.audio)
    pri, chance = primacy_index(scored.video, scored.audio), chance_primacy_index(len(scored.video))
    return EmbeddingFigures(error.lse_d, error.lse_c, pri, chance)
