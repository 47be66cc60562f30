"""The recipes of `avsync train`: the settings and the training function of each name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from avsync.training.recipes import (
    av_syncnet,
    avst,
    dense_sync,
    fine_tune,
    lip_expert,
    lip_mask,
    lip_reader,
    mtdvocalist,
    perfect_match,
    syncnet,
    synctalklip,
    vocalist,
    wav2lip,
    ynet,
)


class Recipe(NamedTuple):
    """A frozen dataclass of settings, and the function that trains by them."""

    settings: type
    train: Callable[[Any], Path]


RECIPES = {
    "vocalist": Recipe(vocalist.VocalistRecipe, vocalist.train),
    "mtdvocalist": Recipe(mtdvocalist.MtdVocalistRecipe, mtdvocalist.train),
    "syncnet": Recipe(syncnet.SyncNetRecipe, syncnet.train),
    "lip-expert": Recipe(lip_expert.LipExpertRecipe, lip_expert.train),
    "perfect-match": Recipe(perfect_match.PerfectMatchRecipe, perfect_match.train),
    "avst": Recipe(avst.AvstRecipe, avst.train),
    "dense-sync": Recipe(dense_sync.DenseSyncRecipe, dense_sync.train),
    "lip-mask": Recipe(lip_mask.LipMaskRecipe, lip_mask.train),
    "ynet": Recipe(ynet.YNetRecipe, ynet.train),
    "lip-reader": Recipe(lip_reader.LipReaderRecipe, lip_reader.train),
    "av-syncnet": Recipe(av_syncnet.AvSyncNetRecipe, av_syncnet.train),
    "synctalklip": Recipe(synctalklip.SyncTalklipRecipe, synctalklip.train),
    "wav2lip": Recipe(wav2lip.Wav2LipRecipe, wav2lip.train),
    "fine-tune": Recipe(fine_tune.FineTuneRecipe, fine_tune.train),
}
