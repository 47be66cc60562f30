"""Training of Perfect Match: `avsync train perfect-match --data STORE -o FOLDER`.

Chung, Chung and Kang, Perfect Match (ICASSP 2019); rates and lengths are those of the authors'
later trainer, except that it used SGD and a second loss on who speaks.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch import Tensor, nn

from avsync.losses.n_way_matching import InverseDistance, NWayMatchingLoss, ScaledCosine
from avsync.tasks.sync.perfect_match import PerfectMatch, PerfectMatchConfig
from avsync.training.data.sync import ClipData, Validation
from avsync.training.data.sync_batches import sequence_batches, starts_s
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit

CLIPS = ClipData(data=tyro.MISSING, batch=16)
LOOP = LoopSettings(output=tyro.MISSING, steps=50_000, lr=1e-3, validate_every=2000)


@dataclass(frozen=True)
class PerfectMatchRecipe:
    """Trains Perfect Match: each window must find its own audio among all windows of a stretch.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes.
        windows: of a stretch, and so candidates: N of the paper.
        similarity: `cosine`, a learned multiple of it, or `distance`, one over the Euclidean one,
            which the paper has and which the model's cosines only go along with.
        init: weights to start from instead of fresh ones; their sizes hold.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")] = CLIPS
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = LOOP
    model: Annotated[PerfectMatchConfig, tyro.conf.arg(name="")] = field(
        default_factory=PerfectMatchConfig
    )
    windows: int = 46
    similarity: Literal["cosine", "distance"] = "cosine"
    init: Path | None = None


class NWayMatching(nn.Module):
    """A Perfect Match model with its loss: one training step's forward pass.

    Args:
        model: the model.
        windows: of a stretch.
        similarity: of entries of length one, `(B, T, D)` and `(B, N, D)` -> `(B, T, N)`.
    """

    def __init__(self, model: PerfectMatch, windows: int, similarity: nn.Module) -> None:
        super().__init__()
        self.model, self.windows = model, windows
        self.criterion = NWayMatchingLoss(similarity)
        self.chance = math.log(windows)

    def forward(self, frames: Tensor, wav: Tensor) -> Tensor:
        """Map frames `(B, 3, windows + 4, H, W)` in [0, 1], their audio `(B, N)` to the loss."""
        video = self.model.encode_video(frames)
        audio = self.model.encode_audio(wav, starts_s(self.model.spec, self.windows))
        loss: Tensor = self.criterion(video, audio)
        return loss


def train(recipe: PerfectMatchRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    model, config = start_model("perfect_match", asdict(recipe.model), recipe.init)
    assert isinstance(model, PerfectMatch)
    similarity = ScaledCosine() if recipe.similarity == "cosine" else InverseDistance()
    task = NWayMatching(model, recipe.windows, similarity)
    batches = sequence_batches(recipe.clips, model.spec, recipe.windows)
    measure = Validation(recipe.clips, model.spec.window_frames)
    trained = fit(task, batches, recipe.loop, task.chance, measure, measure.watch)
    return save_model(recipe.loop.output, "perfect_match", trained, config)
