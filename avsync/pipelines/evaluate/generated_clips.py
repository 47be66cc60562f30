"""Clips of a store whose faces are drawn anew: what a model of talking faces makes of them."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from avsync.data.sampling.crops import CropSpec, crops_for, fit_crops
from avsync.data.store.reader import PreparedClip, Store
from avsync.faces.crops import mouth_to_face_affine
from avsync.pipelines.evaluate.lip_reader_runner import moved
from avsync.pipelines.evaluate.video_pairs import JudgedClip, likeness
from avsync.scoring.engine import to_frames
from avsync.tasks.talking.generator import TalkingFace, generate_frames
from avsync.timing import SAMPLES_PER_FRAME
from avsync.training.steps.expert_losses import paste


def drawn_clips(
    model: TalkingFace, store: Store, places: Sequence[int], truth_ms: float, own_voice: bool
) -> Iterator[JudgedClip]:
    """Clips of a store drawn anew, the first frame telling who it is: for the likeness by their own
    voice, for what is judged else by that or by the next clip's.

    Args:
        model: in eval mode.
        store: prepared clips.
        places: of the clips in it.
        truth_ms: offset of all clips, taken off first; positive = the audio leads.
        own_voice: judge what their own voice draws.
    """
    for place, after in zip(places, [*places[1:], places[0]], strict=True):
        clip, speaker = store[place], store[place if own_voice else after]
        true = to_frames(np.array(clip.face))[0].transpose(0, 1)
        again = _drawn(model, true, moved(clip, truth_ms))
        wav, drawn = moved(clip, truth_ms), again
        if not own_voice:
            wav = moved(speaker, truth_ms)[: len(wav)]
            wav = np.pad(wav, (0, SAMPLES_PER_FRAME * len(true) - len(wav)))
            drawn = _drawn(model, true, wav)
        length_s = min(clip.duration_s, speaker.duration_s)
        yield JudgedClip(
            clip.id,
            partial(drawn_crops, clip, drawn),
            wav,
            speaker.source,
            speaker.start_s,
            speaker.start_s + length_s,
            likeness(again, true),
            partial(crops_for, clip=clip),
        )


def drawn_crops(clip: PreparedClip, drawn: Tensor, spec: CropSpec) -> np.ndarray:
    """Crops `(T, H, W, 3)` uint8 of a clip in a model's geometry, with faces `(T, 3, 96, 96)` in
    the place of its own. Where a mouth crop reaches over the face, it stays as it was.

    ValueError for a model that looks at the head.
    """
    if spec.crop == "face":
        return fit_crops(spec, _as_bytes(drawn.movedim(1, -1)))
    if spec.crop != "mouth":
        raise ValueError(
            f"drawn clips have no {spec.crop} crops, which this model looks at: choose another "
            "model, or write videos by avsync talk and name them with --made"
        )
    pairs = zip(clip.boxes, clip.points, strict=True)
    lies = np.stack([mouth_to_face_affine(box, points) for box, points in pairs]).astype(np.float32)
    mouths = torch.from_numpy(np.array(clip.mouth)).float() / 255
    every = torch.arange(len(drawn))[None]
    # What is pasted is grey: a colour at a time goes as the grey of three that are alike.
    pasted = [
        paste(mouths[None, ..., c], _grey(drawn[:, c]), torch.from_numpy(lies)[None], every)[0]
        for c in range(3)
    ]
    return fit_crops(spec, _as_bytes(torch.stack(pasted, -1)))


def _drawn(model: TalkingFace, frames: Tensor, wav: np.ndarray) -> Tensor:
    place = next(cast(torch.nn.Module, model).parameters()).device
    return generate_frames(model, frames.to(place), torch.from_numpy(wav).to(place)).cpu()


def _as_bytes(frames: Tensor) -> np.ndarray:
    return (255 * frames).round().clamp(0, 255).byte().numpy()


def _grey(colour: Tensor) -> Tensor:
    """Return a colour of faces `(T, H, W)` as all three of them `(1, 3, T, H, W)`."""
    return colour.expand(3, *colour.shape)[None]
