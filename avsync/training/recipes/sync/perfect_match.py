"""Recipe of Perfect Match: `avsync train perfect-match --data STORE -o FOLDER`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avsync.losses.n_way_matching import InverseDistance, NWayMatchingLoss, ScaledCosine
from avsync.tasks.sync.perfect_match import PerfectMatchConfig
from avsync.training.data.sync import ClipData
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings
from avsync.training.steps.sync import EmbeddingMatchingStep, start_sync_model, train_on_windows

# Chung, Chung and Kang (ICASSP 2019), at their later trainer's rates, less SGD and speaker loss.
CLIPS = ClipData(data=REQUIRED, batch=16)
LOOP = LoopSettings(output=REQUIRED, steps=50_000, lr=1e-3, validate_every=2000)


@dataclass(frozen=True)
class PerfectMatchRecipe:
    """Train Perfect Match: match each window to its audio among the N windows of a sequence.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes.
        windows: windows of a sequence, N of the paper.
        similarity: learned multiple of the `cosine`, or inverse Euclidean `distance` (the paper).
        init: weights to start from instead of fresh ones; their sizes apply.
    """

    clips: FlagsOf[ClipData] = CLIPS
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[PerfectMatchConfig] = field(default_factory=PerfectMatchConfig)
    windows: int = 46
    similarity: Literal["cosine", "distance"] = "cosine"
    init: Path | None = None


def train(recipe: PerfectMatchRecipe) -> Path:
    """Train Perfect Match, or resume the run; return the path of the weights."""
    start = start_sync_model("perfect_match", recipe.model, recipe.init, recipe.loop.seed)
    similarity = ScaledCosine() if recipe.similarity == "cosine" else InverseDistance()
    step = EmbeddingMatchingStep(start.model, recipe.windows, NWayMatchingLoss(similarity))
    return train_on_windows(start, step, recipe.clips, recipe.loop)
