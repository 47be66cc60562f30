"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .discriminator import FaceDiscriminator as FaceDiscriminator
from .generator import SMALL_TALKING_FACE as SMALL_TALKING_FACE
from .generator import FaceDecoder as FaceDecoder
from .generator import TalkingFace as TalkingFace
from .generator import TalkingFaceConfig as TalkingFaceConfig
from .generator import TalkingFaceGenerator as TalkingFaceGenerator
from .generator import build_talking_face_generator as build_talking_face_generator
from .generator import face_pair as face_pair
from .generator import generate_frames as generate_frames
from .synctalklip import SyncTalklip as SyncTalklip
from .synctalklip import SyncTalklipConfig as SyncTalklipConfig
from .synctalklip import build_synctalklip as build_synctalklip
from .wav2lip import Wav2Lip as Wav2Lip
from .wav2lip import Wav2LipConfig as Wav2LipConfig
from .wav2lip import build_wav2lip as build_wav2lip
