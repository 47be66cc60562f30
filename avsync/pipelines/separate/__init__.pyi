"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .output_files import SourceAudio as SourceAudio
from .output_files import write_audio_files as write_audio_files
from .overlap_add import FaceChunk as FaceChunk
from .overlap_add import FaceStream as FaceStream
from .overlap_add import SeparatedBlock as SeparatedBlock
from .overlap_add import Separator as Separator
from .overlap_add import separate_blocks as separate_blocks
from .people import CroppedFaces as CroppedFaces
from .people import NoFaces as NoFaces
from .people import PersonTracks as PersonTracks
from .people import choose_people as choose_people
from .people import find_people as find_people
from .result import SeparatedVoice as SeparatedVoice
from .result import SeparationResult as SeparationResult
from .result import separation_json as separation_json
from .separate_file import load_separator as load_separator
from .separate_file import separate as separate
