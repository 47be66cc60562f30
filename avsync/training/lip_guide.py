"""What a frozen lip expert says to frames that were drawn: the loss that Wav2Lip is named for.

Prajwal et al., A Lip Sync Expert Is All You Need for Speech to Lip Generation In the Wild (ACM
Multimedia 2020), equation 2.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.data.talking_clips import RUN
from avsync.losses.cosine_bce import CosineBceLoss
from avsync.tasks.lip_expert import LipExpert
from avsync.timing import SAMPLES_PER_FRAME
from avsync.training.frozen_teacher import FrozenTeacher
from avsync.training.talking_step import Costs


class LipGuide:
    """Judges runs of five frames by a frozen lip expert; no module, see `FrozenTeacher`.

    Args:
        expert: the judge, of windows of five frames.
    """

    def __init__(self, expert: LipExpert) -> None:
        if expert.spec.window_frames != RUN:
            raise ValueError(
                f"expert must look at {RUN} frames at a time, got {expert.spec.window_frames}"
            )
        self.expert, self.criterion = FrozenTeacher(expert), CosineBceLoss()

    def __call__(
        self,
        model: nn.Module,
        made: Tensor,
        tokens: Tensor,
        audio: Tensor,
        places: Tensor,
        guided: tuple[Tensor, ...],
    ) -> Costs:
        """What frames `(B, 3, P, 96, 96)` cost whose places in their clips are `(B, P)`; audio is
        the mel of the clips `(B, 80, S)`, which the expert and Wav2Lip share.
        """
        expert = self.expert.on(made.device)
        lower = made[..., made.shape[3] // 2 :, :]
        runs = rearrange(lower, "b c (r t) h w -> (b r) c t h w", t=RUN)
        hop, count = expert.front_end.hop_length, expert.audio.window_columns
        firsts = places[:, ::RUN, None] * SAMPLES_PER_FRAME // hop
        columns = firsts + torch.arange(count, device=made.device)
        rows = torch.arange(len(audio), device=made.device)[:, None, None]
        mel = rearrange(audio.mT[rows, columns], "b r s m -> (b r) m s")
        scores = expert(runs, mel)
        return Costs(made.new_zeros(()), self.criterion(scores, torch.ones_like(scores)))
