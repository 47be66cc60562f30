"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .lip_reader import LipReader as LipReader
from .lip_reader import LipReaderConfig as LipReaderConfig
from .lip_reader import beam_search as beam_search
from .lip_reader import build_lip_reader as build_lip_reader
from .lip_reader import to_grey as to_grey
from .vocabulary import TextBatch as TextBatch
from .vocabulary import Vocabulary as Vocabulary
