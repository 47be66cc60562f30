"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .clip_stats import ClipStats as ClipStats
from .clip_stats import distinct_fps as distinct_fps
from .clip_stats import find_duplicates as find_duplicates
from .clip_stats import measure_clip as measure_clip
from .curation import CleanList as CleanList
from .curation import CleanRow as CleanRow
from .curation import read_clean_lists as read_clean_lists
from .curation import write_clean_list as write_clean_list
from .npy_items import ArrayFiles as ArrayFiles
from .reader import PreparedClip as PreparedClip
from .reader import Store as Store
from .reader import StoreClips as StoreClips
from .reader import clip_folder as clip_folder
from .reader import samples_in as samples_in
from .records import ClipInfo as ClipInfo
from .records import Rejection as Rejection
from .records import SourceRecord as SourceRecord
from .splits import clips_of_split as clips_of_split
from .splits import source_name as source_name
from .splits import splits_of as splits_of
from .splits import update_splits as update_splits
from .writer import GrowingArray as GrowingArray
from .writer import SourceWriter as SourceWriter
from .writer import finished_sources as finished_sources
from .writer import forget_source as forget_source
from .writer import write_tables as write_tables
