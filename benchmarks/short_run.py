"""Loop settings of short training runs, shared by all systems of a comparison."""

from pathlib import Path
from typing import Any

from avsync.training.engine.settings import LoopSettings


def short_run(folder: Path, steps: int, lr: float, seed: int, **settings: Any) -> LoopSettings:
    """Return loop settings for a run of few steps.

    The learning rate warms up over the first twentieth of the steps and decays over the second
    half. The exported weights are an exponential moving average over about the last twentieth.

    Args:
        folder: output folder of the run.
        steps: number of optimiser steps.
        lr: peak learning rate.
        seed: seed of the run.
        settings: other fields of `LoopSettings`.
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
        **settings,
    )
