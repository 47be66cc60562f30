"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .avhubert_inputs import fbank_batch as fbank_batch
from .avhubert_inputs import mouth_batch as mouth_batch
from .mixtures import MixtureData as MixtureData
from .mixtures import collate_mixtures as collate_mixtures
from .mixtures import frozen_tokens as frozen_tokens
from .mixtures import mixture_batches as mixture_batches
from .mixtures import open_mixtures as open_mixtures
from .sync import AudioRange as AudioRange
from .sync import ClipData as ClipData
from .sync import Negatives as Negatives
from .sync import StoreValidation as StoreValidation
from .sync import SyncValidation as SyncValidation
from .sync import audio_range_in_use as audio_range_in_use
from .sync import audio_range_of_frames as audio_range_of_frames
from .sync import held_out_clips as held_out_clips
from .sync import open_sources as open_sources
from .sync_batches import pair_batches as pair_batches
from .sync_batches import sequence_batches as sequence_batches
from .sync_batches import window_starts_s as window_starts_s
from .talking import ExpertInputs as ExpertInputs
from .talking import talking_batches as talking_batches
from .utterances import TranscribedClips as TranscribedClips
from .utterances import TranscriptData as TranscriptData
