"""Clips of a store whose faces a talking model generates, ready to be judged."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from avsync.data.sampling.crops import CropSpec, crops_for, fit_crops
from avsync.data.store.reader import PreparedClip, Store
from avsync.faces.crops import mouth_to_face_affine
from avsync.pipelines.evaluate.lip_reader_runner import aligned_audio
from avsync.pipelines.evaluate.video_pairs import JudgedClip, lower_face_likeness
from avsync.scoring.engine import to_frames
from avsync.tasks.talking.generator import TalkingFace, generate_frames
from avsync.timing import SAMPLES_PER_FRAME
from avsync.training.steps.expert_losses import composite_mouths


def generate_clips(
    model: TalkingFace, store: Store, indices: Sequence[int], truth_ms: float, own_speech: bool
) -> Iterator[JudgedClip]:
    """Generate the faces of clips of a store from their first frame and speech.

    Likeness is always measured on faces generated with the clip's own speech, as only those have a
    true counterpart. Sync and words are judged on the same faces, or on faces generated with the
    speech of the next clip.

    Args:
        model: a talking model in eval mode.
        store: prepared clips.
        indices: indices of the clips in the store.
        truth_ms: offset of all clips, subtracted first; positive = the audio leads.
        own_speech: judge the faces generated with the clips' own speech.
    """
    for index, following in zip(indices, [*indices[1:], indices[0]], strict=True):
        clip, speaker = store[index], store[index if own_speech else following]
        true = to_frames(np.array(clip.face))[0].transpose(0, 1)
        wav = aligned_audio(clip, truth_ms)
        with_own_speech = generated = _generate(model, true, wav)
        if not own_speech:
            wav = aligned_audio(speaker, truth_ms)[: len(wav)]
            wav = np.pad(wav, (0, SAMPLES_PER_FRAME * len(true) - len(wav)))
            generated = _generate(model, true, wav)
        length_s = min(clip.duration_s, speaker.duration_s)
        yield JudgedClip(
            clip.id,
            partial(generated_face_crops, clip, generated),
            wav,
            speaker.source,
            speaker.start_s,
            speaker.start_s + length_s,
            lower_face_likeness(with_own_speech, true),
            partial(crops_for, clip=clip),
        )


def generated_face_crops(clip: PreparedClip, generated: Tensor, spec: CropSpec) -> np.ndarray:
    """Cut a model's crops from a clip whose faces are replaced by generated ones.

    Mouth crops are composited: where they reach beyond the face, the true frame stays.

    Args:
        clip: the prepared clip.
        generated: faces `(T, 3, 96, 96)` in [0, 1].
        spec: crop and size that the model takes.

    Returns:
        Crops `(T, H, W, 3)` uint8.

    Raises:
        ValueError: the model takes head or mesh crops, which a generated face does not fill.
    """
    if spec.crop == "face":
        return fit_crops(spec, _to_uint8(generated.movedim(1, -1)))
    if spec.crop != "mouth":
        raise ValueError(
            f"generated clips have no {spec.crop} crops, which this model needs: choose another "
            "model, or write videos by avsync talk and name them with --made"
        )
    pairs = zip(clip.boxes, clip.points, strict=True)
    matrices = np.stack([mouth_to_face_affine(box, points) for box, points in pairs])
    affines = torch.from_numpy(matrices.astype(np.float32))[None]
    mouths = torch.from_numpy(np.array(clip.mouth)).float() / 255
    indices = torch.arange(len(generated))[None]
    # Compositing yields grey: each channel passes as a grey face of three equal channels.
    channels = [
        composite_mouths(mouths[None, ..., c], _as_grey(generated[:, c]), affines, indices)[0]
        for c in range(3)
    ]
    return fit_crops(spec, _to_uint8(torch.stack(channels, -1)))


def _generate(model: TalkingFace, frames: Tensor, wav: np.ndarray) -> Tensor:
    device = next(cast(torch.nn.Module, model).parameters()).device
    return generate_frames(model, frames.to(device), torch.from_numpy(wav).to(device)).cpu()


def _to_uint8(frames: Tensor) -> np.ndarray:
    return (255 * frames).round().clamp(0, 255).byte().numpy()


def _as_grey(channel: Tensor) -> Tensor:
    """Repeat one channel of faces `(T, H, W)` as RGB `(1, 3, T, H, W)`."""
    return channel.expand(3, *channel.shape)[None]
