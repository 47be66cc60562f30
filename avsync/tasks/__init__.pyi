"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from . import lipreading as lipreading
from . import separation as separation
from . import sync as sync
from . import talking as talking
from .calibration import Calibration as Calibration
from .calibration import calibration_of as calibration_of
from .card import ModelCard as ModelCard
from .features import AlignedFeatures as AlignedFeatures
from .features import SyncFeatures as SyncFeatures
from .input_spec import ClipSpec as ClipSpec
from .input_spec import repeat_video as repeat_video
from .publish import push_to_hub as push_to_hub
from .registry import create_model as create_model
from .registry import list_models as list_models
from .registry import model_card as model_card
