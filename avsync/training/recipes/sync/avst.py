"""Recipe of AVST: `avsync train avst --data STORE -o FOLDER`."""

from dataclasses import dataclass, field
from pathlib import Path

from avsync.tasks.sync.avst import AvstConfig
from avsync.training.data.sync import ClipData
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings
from avsync.training.steps.sync import WindowMatchingStep, start_sync_model, train_on_windows

# Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild
# (BMVC 2021).
CLIPS = ClipData(data=REQUIRED, batch=8)
LOOP = LoopSettings(output=REQUIRED, steps=50_000, lr=1e-4, validate_every=2000)


@dataclass(frozen=True)
class AvstRecipe:
    """Train AVST: of all pairs of windows of a sequence, those in sync must score highest.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes; a model is trained for one `--window-frames`.
        windows: windows of a sequence, which are the candidates.
        init: weights to start from instead of fresh ones; their sizes apply.
    """

    clips: FlagsOf[ClipData] = CLIPS
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[AvstConfig] = field(default_factory=AvstConfig)
    windows: int = 31
    init: Path | None = None


def train(recipe: AvstRecipe) -> Path:
    """Train AVST, or resume the run; return the path of the weights."""
    start = start_sync_model("avst", recipe.model, recipe.init, recipe.loop.seed)
    step = WindowMatchingStep(start.model, recipe.windows)
    return train_on_windows(start, step, recipe.clips, recipe.loop)
