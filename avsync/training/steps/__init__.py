"""Training steps: modules that hold a model as `model` and map a batch to a scalar loss.

There is one for each kind of loss, with its chance level and the validation of the averaged model
where they are special. Distillation losses and the losses of frozen experts are here too; of these,
`SyncExpert` is a module of its own for any training loop.

    from avsync import create_model
    from avsync.losses import CosineBceLoss
    from avsync.training.steps import PairStep

    step = PairStep(create_model("lip_expert"), CosineBceLoss())
    loss = step(frames, audio, in_sync)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
