"""How near what a talking face draws comes to clips that it was not trained on."""

from typing import cast

import numpy as np
import torch
from torch import nn

from avsync.data.clip_crops import crops_for
from avsync.data.store import PreparedClip
from avsync.tasks.talking_face import FACE_SPEC, TalkingFace, face_pair
from avsync.timing import SAMPLE_RATE
from avsync.training.batches import as_floats
from avsync.training.clip_data import ClipData, as_frames, held_out_clips
from avsync.training.early_stop import Watch

# One frame in so many is drawn.
EVERY = 5


class TalkingValidation:
    """Draws frames of held-out clips, their first frame telling who it is: `psnr` of the lower half
    in dB, over all of them, and `l1` of the whole frame.

    Args:
        clips: of the recipe; nothing is measured where it has no splits.
    """

    def __init__(self, clips: ClipData) -> None:
        offset_ms = clips.corpus_offset_ms[0] if clips.corpus_offset_ms else 0.0
        self.lead = round(offset_ms * SAMPLE_RATE / 1000)
        self.watch = Watch("psnr")
        self.clips = held_out_clips(clips)

    @torch.no_grad()
    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Figures by name; the model is put into eval mode."""
        if not self.clips:
            return {}
        model = task.get_submodule("model").eval()
        found = np.array([self._errors(model, clip) for clip in self.clips])
        l1, square = found.mean(0)
        return {"psnr": float(-10 * np.log10(square)), "l1": float(l1)}

    def _errors(self, module: nn.Module, clip: PreparedClip) -> tuple[float, float]:
        """The mean error of a clip, and the mean squared one of its lower half."""
        model = cast(TalkingFace, module)
        device = next(module.parameters()).device
        (frames,) = as_floats((as_frames([crops_for(FACE_SPEC, clip)])[0].transpose(0, 1),))
        wav = torch.from_numpy(np.roll(clip.wav_16k, self.lead)).to(device)
        tokens = model.encode_voice(wav[None], len(frames))[0, ::EVERY]
        frames = frames.to(device)
        true = frames[::EVERY]
        made = model(tokens, face_pair(true, frames[:1].expand_as(true)))
        error = made - true
        lower = error[:, :, error.shape[2] // 2 :]
        return float(error.abs().mean()), float(lower.square().mean())
