"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .attention_relation import AttentionRelationLoss as AttentionRelationLoss
from .attention_relation import value_relations as value_relations
from .fitnets_hint import FitNetsHintLoss as FitNetsHintLoss
from .relational_kd import RelationalKdLoss as RelationalKdLoss
from .score_distillation import ScoreDistillationLoss as ScoreDistillationLoss
from .soft_targets import SoftTargetLoss as SoftTargetLoss
from .uncertainty_weighting import UncertaintyWeighting as UncertaintyWeighting
