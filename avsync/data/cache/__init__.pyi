"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .audio import AudioCache as AudioCache
from .features import FeatureCache as FeatureCache
from .features import encoder_key as encoder_key
