"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .extract import ExtractionResult as ExtractionResult
from .extract import FeatureFile as FeatureFile
from .extract import extract_features as extract_features
from .frozen import FrozenFeatures as FrozenFeatures
from .frozen import window_centres_s as window_centres_s
from .stream import FeatureBlock as FeatureBlock
from .stream import clip_features as clip_features
from .stream import video_features as video_features
