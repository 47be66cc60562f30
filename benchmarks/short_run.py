"""How runs of few steps are trained, the same for all systems that a table compares."""

from pathlib import Path
from typing import Any

from avsync.training.engine.loop import LoopSettings


def short_run(folder: Path, steps: int, lr: float, seed: int, **others: Any) -> LoopSettings:
    """A rate that rises over a twentieth of the steps and falls over their second half; the weights
    kept are the average of about the last twentieth. `others` are fields of `LoopSettings`.
    """
    return LoopSettings(
        folder,
        steps,
        lr,
        warmup=steps // 20,
        decay=0.5,
        ema=1 - min(1.0, 20 / steps),
        save_every=50,
        seed=seed,
        **others,
    )
