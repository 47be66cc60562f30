"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .bss_eval import BssEval as BssEval
from .bss_eval import bss_eval_v3 as bss_eval_v3
from .bss_eval import bss_eval_v4 as bss_eval_v4
from .image import psnr as psnr
from .image import ssim as ssim
from .separation import BssOptions as BssOptions
from .separation import SeparationScores as SeparationScores
from .separation import score_sources as score_sources
from .separation import si_sdr as si_sdr
from .sync_accuracy import WindowOffsets as WindowOffsets
from .sync_accuracy import average_context as average_context
from .sync_accuracy import best_offsets as best_offsets
from .sync_accuracy import candidate_windows as candidate_windows
from .sync_accuracy import measure_window_offsets as measure_window_offsets
from .sync_accuracy import score_band as score_band
from .sync_embeddings import LipSyncError as LipSyncError
from .sync_embeddings import chance_primacy_index as chance_primacy_index
from .sync_embeddings import distance_band as distance_band
from .sync_embeddings import lip_sync_error as lip_sync_error
from .sync_embeddings import primacy_index as primacy_index
from .word_error_rate import WordErrors as WordErrors
from .word_error_rate import count_word_errors as count_word_errors
from .word_error_rate import sum_word_errors as sum_word_errors
from .word_error_rate import word_error_rate_interval as word_error_rate_interval
