"""The training loop and its safeguards, for any module whose forward maps a batch to a loss.

`fit` trains on lightning-fabric, on one device or on all processes of torchrun. Its state resumes
exactly; worker processes prefetch batches. There are early stopping (`EarlyStop`), an exponential
moving average (EMA) of the weights, a chance-level monitor (`ChanceMonitor`), an overfit-one-batch
test, a log (CSV, terminal, TensorBoard) and a contact sheet of the first batch.

    from pathlib import Path

    from avsync.training.engine import LoopSettings, fit

    def make_batch(rng, draws):
        x = torch.rand(8, 4, generator=draws)
        return x, x.sum(1)

    settings = LoopSettings(Path("run"), steps=100)
    trained = fit(task, make_batch, settings, chance=1.0, validate=lambda averaged: {})
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
