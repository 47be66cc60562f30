"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from . import lipreading as lipreading
from . import separation as separation
from . import sync as sync
from . import talking as talking
from .lipreading.lip_reader import LipReaderRecipe as LipReaderRecipe
from .separation.lip_mask import LipMaskRecipe as LipMaskRecipe
from .separation.ynet import YNetRecipe as YNetRecipe
from .sync.av_syncnet import AvSyncNetRecipe as AvSyncNetRecipe
from .sync.avst import AvstRecipe as AvstRecipe
from .sync.dense_sync import DenseSyncRecipe as DenseSyncRecipe
from .sync.fine_tune import FineTuneRecipe as FineTuneRecipe
from .sync.fine_tune import TunedModel as TunedModel
from .sync.fine_tune import tune as tune
from .sync.lip_expert import LipExpertRecipe as LipExpertRecipe
from .sync.mtdvocalist import MtdVocalistRecipe as MtdVocalistRecipe
from .sync.perfect_match import PerfectMatchRecipe as PerfectMatchRecipe
from .sync.syncnet import SyncNetRecipe as SyncNetRecipe
from .sync.vocalist import VocalistRecipe as VocalistRecipe
from .talking.synctalklip import SyncTalklipRecipe as SyncTalklipRecipe
from .talking.wav2lip import Wav2LipRecipe as Wav2LipRecipe
