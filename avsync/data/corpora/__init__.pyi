"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .acappella import list_acappella as list_acappella
from .audio_files import SPLITS as SPLITS
from .audio_files import AudioFile as AudioFile
from .audio_files import Split as Split
from .audio_files import audio_files_of_split as audio_files_of_split
from .audio_files import list_audio_files as list_audio_files
from .audio_files import list_mir1k as list_mir1k
from .listing import ListedVideo as ListedVideo
from .listing import TimeRange as TimeRange
from .listing import find_lists as find_lists
from .lrs2 import list_lrs2 as list_lrs2
from .transcripts import Transcript as Transcript
from .transcripts import read_transcript as read_transcript
