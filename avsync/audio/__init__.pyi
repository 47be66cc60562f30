"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .fbank import Mfcc as Mfcc
from .fbank import StackedFbank as StackedFbank
from .features import DecibelMel as DecibelMel
from .features import LogMel as LogMel
from .features import WhisperMel as WhisperMel
from .resampling import Resampler as Resampler
from .resampling import resample as resample
from .resampling import resample_with_gradients as resample_with_gradients
from .resampling import shift_pitch as shift_pitch
from .stft import ComplexStft as ComplexStft
