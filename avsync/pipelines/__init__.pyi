"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from . import audit as audit
from . import check as check
from . import evaluate as evaluate
from . import features as features
from . import fix as fix
from . import prepare as prepare
from . import separate as separate
from . import talk as talk
from .convert_weights import CONVERTERS as CONVERTERS
from .convert_weights import convert_file as convert_file
from .crop_stream import CropStream as CropStream
from .doctor import DoctorFinding as DoctorFinding
from .features.extract import extract_features as extract_features
from .prepare.landmarks import store_landmarks as store_landmarks
from .progress import ProgressBar as ProgressBar
from .progress import progress_bar as progress_bar
from .published_weights import PublishedFile as PublishedFile
from .published_weights import check_published as check_published
from .published_weights import published_files as published_files
from .train import preflight_audit as preflight_audit
from .train import train_recipe as train_recipe
