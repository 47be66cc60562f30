"""Score a clip once, and take its excerpts, shifted or with the audio of another clip, from that.

Encoding video is what costs time. Here every window of a clip is encoded once, as is the audio at
every step. An excerpt is a range of windows, a shift another origin of the offsets, and swapped
audio the audio of another clip. The result is what `score_tracks` returns for a file that holds
the excerpt, but for windows at its ends, which see the clip beyond it as their context.

    video = encode_windows(model, crops)
    scores = compare_clip(model, video, encode_steps(model, wav, lead_ms=7.0))
    excerpt = scores.excerpt(start=10, frames=50, shift_steps=-12, reach_s=2.0)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from avsync.evaluation.score_matrix import WavInMemory
from avsync.scoring.audio_embeddings import OffsetStep
from avsync.scoring.embeddings import (
    AnalysingModel,
    Embeddings,
    SyncModel,
    count_embeddings,
    device_and_dtype,
    tree_map,
)
from avsync.scoring.encoding_threads import analyse, frames_to_analyse
from avsync.scoring.engine import COMPARED_WINDOWS, to_frames, window_evidence
from avsync.scoring.score_sums import BIN_WINDOWS, BLOCK_BINS, TrackScores, TrackSums
from avsync.tasks.input_spec import ClipSpec


class AudioSteps(NamedTuple):
    """Embeddings `(A, ...)` of a clip's audio at every step at which it is known.

    `first` is the step of the first one, from the clip's beginning; the audio was moved by
    `lead_ms` before, positive = it leads.
    """

    embeddings: Embeddings
    first: int
    lead_ms: float


@torch.inference_mode()
def encode_windows(model: SyncModel, crops: np.ndarray) -> Embeddings:
    """Return the embeddings `(W, ...)` of the windows of crops `(T, H, W, 3)` uint8."""
    device, dtype = device_and_dtype(model)
    # A copy: torch takes no read-only arrays, such as those mapped from disk.
    crops = np.array(crops)
    if not isinstance(model, AnalysingModel):
        encoded = model.encode_video(to_frames(crops).to(device, dtype))
        return tree_map(lambda tensor: tensor[0], encoded)
    frames = torch.from_numpy(crops).permute(3, 0, 1, 2)[None].to(device)
    chosen = frames_to_analyse(0, len(crops), model.analysis_stride, begins=True, ends=True)
    analysis = analyse(model, frames, chosen, threads=1)
    encoded = model.encode_video(frames, tree_map(lambda tensor: tensor[None], analysis))
    return tree_map(lambda tensor: tensor[0], encoded)


@torch.inference_mode()
def encode_steps(model: SyncModel, wav: np.ndarray, lead_ms: float = 0.0) -> AudioSteps:
    """Encode a waveform `(N,)` at 16 kHz at every step, after moving it by `lead_ms`.

    Raises:
        ValueError: the waveform is shorter than the audio of a window.
    """
    spec, step, source = model.spec, OffsetStep(model.spec.step_ms), WavInMemory(wav)
    lead_s, device = lead_ms / 1000, device_and_dtype(model).device
    # As in the engine: audio of which less than half a step is missing counts as known.
    first = int(np.ceil((-lead_s - spec.audio_from_s) / step.seconds - 0.499))
    last = int(np.floor((source.end_s - lead_s - spec.audio_until_s) / step.seconds + 0.499))
    if last < first:
        raise ValueError(f"wav must hold the audio of a window, got {source.end_s:.3f} s")
    begin_s = first * step.seconds + spec.audio_from_s - spec.audio_context_s
    end_s = (last + 1) * step.seconds + spec.audio_until_s + spec.audio_context_s
    part = torch.from_numpy(source.window(begin_s + lead_s, end_s + lead_s))[None]
    before_s = spec.audio_context_s - spec.audio_from_s
    starts_s = torch.arange(last - first + 1) * step.seconds + before_s
    made = model.encode_audio(part.to(device), starts_s)
    return AudioSteps(tree_map(lambda tensor: tensor[0], made), first, lead_ms)


@dataclass(frozen=True)
class ClipScores:
    """Scores of every window of a clip against audio at every step.

    Args:
        scores: `(W, A)`.
        first: step of the first column, from the clip's beginning.
        lead_ms: what the audio was moved by before; positive = it leads.
        spec: input spec of the model.
    """

    scores: np.ndarray
    first: int
    lead_ms: float
    spec: ClipSpec

    @property
    def frames(self) -> int:
        return len(self.scores) + self.spec.window_frames - 1

    def excerpt(
        self, start: int = 0, frames: int | None = None, shift_steps: int = 0, reach_s: float = 2.0
    ) -> TrackScores:
        """Return the scores of a file that holds some frames of the clip, with its audio shifted.

        The file's audio ends with its frames, as if both had been cut; its offset is that of the
        clip, plus `lead_ms`, plus `shift_steps` steps.

        Args:
            start: first frame.
            frames: number of frames; None for all that follow.
            shift_steps: steps by which the audio is moved; positive = it leads.
            reach_s: largest offset that is scored.

        Raises:
            ValueError: the clip does not have these frames, or they make no window.
        """
        length = self.frames - start if frames is None else frames
        spec, step = self.spec, OffsetStep(self.spec.step_ms)
        windows = length - spec.window_frames + 1
        if start < 0 or windows < 1 or start + length > self.frames:
            raise ValueError(
                f"an excerpt of frames {start} to {start + length} must lie in the clip's "
                f"{self.frames} and have {spec.window_frames} or more"
            )
        reach = round(reach_s / step.seconds)
        offsets = np.arange(-reach, reach + 1)
        # Steps of the audio from the beginning of the excerpt and of its file.
        in_file = step.per_frame * np.arange(windows)[:, None] - offsets
        columns = in_file + step.per_frame * start + shift_steps - self.first
        starts_s, half_s = in_file * step.seconds, step.seconds / 2
        known = starts_s + spec.audio_from_s > -half_s
        known &= starts_s + spec.audio_until_s < length / spec.fps + half_s
        known &= (columns >= 0) & (columns < self.scores.shape[1])
        rows = np.arange(start, start + windows)[:, None]
        scores = self.scores[rows, columns.clip(0, self.scores.shape[1] - 1)]
        near = torch.ones(len(offsets), dtype=torch.bool)
        sums = TrackSums(0, near)
        sums.last_tick = length - 1
        evidence = window_evidence(torch.from_numpy(scores), torch.from_numpy(known), near)
        sums.add_scores(0, *evidence)
        # Motion decides whether lips are still, which is not asked of a clip.
        sums.add_motion(0, np.full(length - 1, np.nan))
        return sums.result(step.ms * offsets.astype(np.float64))


@torch.inference_mode()
def compare_clip(model: SyncModel, video: Embeddings, audio: AudioSteps) -> ClipScores:
    """Compare all windows of a clip with the audio, its own or another clip's, at every step."""
    rows = []
    for low in range(0, count_embeddings(video), COMPARED_WINDOWS):
        windows = tree_map(
            lambda tensor, low=low: tensor[low : low + COMPARED_WINDOWS, None], video
        )
        steps = tree_map(lambda tensor: tensor[None], audio.embeddings)
        rows.append(model.compare(windows, steps).float().cpu().numpy())
    return ClipScores(np.concatenate(rows), audio.first, audio.lead_ms, model.spec)


def join_clips(clips: Sequence[TrackScores]) -> TrackScores:
    """Join the scores of clips, all over the same offsets, to those of one long track.

    Every clip begins a new block of bins, so that no block reaches over a cut.
    """
    normalisers = [clip.normalisers for clip in clips if clip.normalisers is not None]
    bins, first = [], 0
    for clip in clips:
        bins.append(clip.bins - clip.bins[0] + first)
        first = BLOCK_BINS * (int(bins[-1][-1]) // BLOCK_BINS + 1)
    return TrackScores(
        first_tick=0,
        last_tick=int(bins[-1][-1] + 1) * BIN_WINDOWS - 1,
        offsets_ms=clips[0].offsets_ms,
        bins=np.concatenate(bins),
        evidence=np.concatenate([clip.evidence for clip in clips]),
        windows=np.concatenate([clip.windows for clip in clips]),
        motion=np.concatenate([clip.motion for clip in clips]),
        normalisers=None if len(normalisers) < len(clips) else np.concatenate(normalisers),
    )
