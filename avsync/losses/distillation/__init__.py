"""Knowledge distillation: losses between a student's and a teacher's outputs or features.

Soft targets of Hinton et al. for two classes and for K candidates, FitNets hints, relational
knowledge distillation (RKD), the attention relations of MiniLM as used by MTDVocaLiST, and
uncertainty weighting, which learns the weights of several such losses.

    from avsync.losses.distillation import SoftTargetLoss

    loss = SoftTargetLoss(temperature=5.0)(student_logits, teacher_logits)  # (B,), (B,) -> scalar
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
