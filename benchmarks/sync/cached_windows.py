"""Windows within a frame of face_sync, from cached landmarks and mouths: seconds for many clips.

The protocol is that of `strangers.py`, for "all" windows. The face mesh network does not run, so
neither turned heads nor frames without a face are left out, as `FaceSync.encode_video` does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsync.data.cache.mouths import MouthCache
from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import Store, clip_folder
from avsync.evaluation.score_matrix import WavInMemory, window_count
from avsync.faces.face_frame import motion_of
from avsync.metrics.sync_accuracy import average_context, best_offsets, score_band
from avsync.tasks.sync.face_sync import FaceSync
from avsync.timing import FPS
from benchmarks.record import RESULTS
from benchmarks.sync.model_comparison import clip_offset_ms
from benchmarks.sync.strangers import CONTEXTS, VALIDATION_TABLE, percent

# Silence before and after a clip, in frames: over the audio that a window sees on either side.
SILENCE_FRAMES = 25


class CachedClip(NamedTuple):
    """Landmarks `(T, 62, 3)`, mouths `(T, 48, 48)` in [0, 1], and audio `(N,)` at 16 kHz."""

    landmarks: Tensor
    mouths: Tensor
    wav: np.ndarray


class CachedSource(NamedTuple):
    """Clips, and the offset of each in ms; None if they share one that is not known."""

    clips: list[CachedClip]
    truth_ms: list[float] | None


def strangers(others: Path, lrs3: Path, people: Path, cache: MouthCache) -> dict[str, CachedSource]:
    """Return the clips of people who are not trained on, as `strangers.py` measures them.

    Args:
        others: store of other speakers of GRID.
        lrs3: store of clips of LRS3.
        people: store that holds the validation people.
        cache: landmarks and mouths of the model's size; what is missing is computed.
    """
    moved_ms = read_clean_lists([RESULTS / VALIDATION_TABLE]).moved_ms
    grid, validation = Store(others), Store(people)
    chosen = [index for index, row in enumerate(validation.rows) if row.id in moved_ms]
    offsets_ms = [moved_ms[validation.rows[index].id] for index in chosen]
    return {
        "other GRID speakers": CachedSource(
            cached_clips(grid, range(len(grid)), cache), [0.0] * len(grid)
        ),
        "LRS3": CachedSource(cached_clips(Store(lrs3), range(len(Store(lrs3))), cache), None),
        "validation people": CachedSource(cached_clips(validation, chosen, cache), offsets_ms),
    }


def cached_clips(store: Store, indices: Sequence[int], cache: MouthCache) -> list[CachedClip]:
    """Read clips of a store prepared with mesh crops."""
    clips = []
    for index in indices:
        row = store.rows[index]
        crops = str(clip_folder(store.path, row.id) / "mesh.npy")
        cache.fill([crops])
        landmarks = np.asarray(cache.landmarks(crops, 0, row.frames), np.float32)
        mouths = np.asarray(cache.mouths(crops, 0, row.frames), np.float32) / np.float32(255)
        wav = np.array(store[index].wav_16k)
        clips.append(CachedClip(torch.from_numpy(landmarks), torch.from_numpy(mouths), wav))
    return clips


def measure(model: FaceSync, source: CachedSource) -> dict[str, Any]:
    """Return the shares of windows within a frame, in percent, for each of `CONTEXTS`.

    An offset that is not known is the median of the clips' own by the model.
    """
    truth_ms = source.truth_ms
    if truth_ms is None:
        found = [clip_offset_ms(band_of(model, clip, 0.0)) for clip in source.clips]
        truth_ms = [float(np.median(found))] * len(source.clips)
    shares: dict[int, list[float]] = {context: [] for context in CONTEXTS}
    for clip, offset_ms in zip(source.clips, truth_ms, strict=True):
        band = band_of(model, clip, offset_ms)
        for context in CONTEXTS:
            errors = best_offsets(average_context(band, context, model.spec.window_frames))
            shares[context].append(float((errors.abs() <= 1).float().mean()))
    return {
        "clips": len(source.clips),
        "constant_ms": round(float(np.median(truth_ms)), 1),
        "all": [percent(shares[context]) for context in CONTEXTS],
    }


@torch.inference_mode()
def band_of(model: FaceSync, clip: CachedClip, truth_ms: float) -> Tensor:
    """Score every window of a clip with the audio of the windows up to 15 frames away.

    Args:
        model: in eval mode.
        clip: the clip.
        truth_ms: true offset of the clip, subtracted first; positive = the audio leads.

    Returns:
        Scores `(n, 31)` as `score_clip_band` returns them without empty windows.
    """
    count = window_count(model.spec.window_frames, clip.mouths.numpy(), clip.wav)
    motion = motion_of(clip.landmarks[None], model.mean_frames)
    video = model.encode_mouths(motion, clip.mouths[None])[0, :count]
    audio, silence_s = WavInMemory(clip.wav), SILENCE_FRAMES / FPS
    begin_s = -truth_ms / 1000 - silence_s
    wav = audio.window(begin_s, begin_s + count / FPS + 2 * silence_s)
    starts_s = (SILENCE_FRAMES + torch.arange(count)) / FPS
    encoded = model.encode_audio(torch.from_numpy(wav)[None], starts_s)[0]
    return score_band(model.compare(video[:, None], encoded[None]))
