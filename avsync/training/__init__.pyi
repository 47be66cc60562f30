"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from . import data as data
from . import engine as engine
from . import recipes as recipes
from . import steps as steps
from .catalog import RECIPES as RECIPES
from .catalog import Recipe as Recipe
from .data.mixtures import MixtureData as MixtureData
from .data.sync import ClipData as ClipData
from .data.sync import Negatives as Negatives
from .engine.batches import Curriculum as Curriculum
from .engine.early_stop import Watch as Watch
from .engine.loop import fit as fit
from .engine.settings import LoopSettings as LoopSettings
from .recipes.sync.fine_tune import TunedModel as TunedModel
from .recipes.sync.fine_tune import tune as tune
