"""Training of AVST: `avsync train avst --data STORE -o FOLDER`.

Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild (BMVC
2021).
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from einops import rearrange
from torch import Tensor, nn

from avsync.losses.info_nce import InfoNceLoss
from avsync.tasks.sync.avst import Avst, AvstConfig
from avsync.training.data.sync import ClipData, Validation
from avsync.training.data.sync_batches import sequence_batches, starts_s
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit

CLIPS = ClipData(data=tyro.MISSING, batch=8)
LOOP = LoopSettings(output=tyro.MISSING, steps=50_000, lr=1e-4, validate_every=2000)


@dataclass(frozen=True)
class AvstRecipe:
    """Trains AVST: of all pairs of a window of lips with the windows of a stretch, the one in sync
    must score highest.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes; a model is trained for one `--window-frames`.
        windows: of a stretch, and so candidates.
        init: weights to start from instead of fresh ones; their sizes hold.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")] = CLIPS
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = LOOP
    model: Annotated[AvstConfig, tyro.conf.arg(name="")] = field(default_factory=AvstConfig)
    windows: int = 31
    init: Path | None = None


class PairMatching(nn.Module):
    """An AVST model with its loss: one training step's forward pass.

    Args:
        model: the model.
        windows: of a stretch.
    """

    def __init__(self, model: Avst, windows: int) -> None:
        super().__init__()
        self.model, self.windows = model, windows
        self.criterion = InfoNceLoss()
        self.chance = math.log(windows)

    def forward(self, frames: Tensor, wav: Tensor) -> Tensor:
        """Map frames `(B, 3, windows - 1 + T, H, W)` in [0, 1] and their audio `(B, N)` to the
        loss; every window is encoded once, then all pairs of a clip are compared.
        """
        video = self.model.encode_video(frames)
        audio = self.model.encode_audio(wav, starts_s(self.model.spec, self.windows))
        scores = self.model.compare(video[:, :, None], audio[:, None])
        own = torch.arange(self.windows, device=scores.device).repeat(len(scores))
        loss: Tensor = self.criterion(rearrange(scores, "b t k -> (b t) k"), own)
        return loss


def train(recipe: AvstRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    model, config = start_model("avst", asdict(recipe.model), recipe.init)
    assert isinstance(model, Avst)
    task = PairMatching(model, recipe.windows)
    batches = sequence_batches(recipe.clips, model.spec, recipe.windows)
    measure = Validation(recipe.clips, model.spec.window_frames)
    trained = fit(task, batches, recipe.loop, task.chance, measure, measure.watch)
    return save_model(recipe.loop.output, "avst", trained, config)
