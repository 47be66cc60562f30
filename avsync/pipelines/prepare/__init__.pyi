"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .landmarks import ClipLandmarks as ClipLandmarks
from .landmarks import store_landmarks as store_landmarks
from .prepare_file import PrepareRules as PrepareRules
from .prepare_store import PrepareSummary as PrepareSummary
from .prepare_store import prepare as prepare
from .source_clips import Twins as Twins
from .source_clips import prepare_source as prepare_source
from .sources import Layout as Layout
from .sources import SourcePlan as SourcePlan
from .sources import VideoSource as VideoSource
from .sources import plan_sources as plan_sources
