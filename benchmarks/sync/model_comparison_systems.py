"""Systems of `model_comparison.py`: recipes, sizes and published accuracies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from avsync.tasks.sync.avst import AvstConfig
from avsync.tasks.sync.lip_expert import LipExpertConfig
from avsync.tasks.sync.perfect_match import PerfectMatchConfig
from avsync.tasks.sync.syncnet import SyncNetConfig
from avsync.tasks.sync.vocalist import MTDVOCALIST, VocalistConfig
from avsync.training.data.sync import ClipData
from avsync.training.data.sync_batches import Negatives
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.avst import AvstRecipe
from avsync.training.recipes.sync.dense_sync import DenseSyncRecipe
from avsync.training.recipes.sync.lip_expert import LipExpertRecipe
from avsync.training.recipes.sync.mtdvocalist import MtdVocalistRecipe
from avsync.training.recipes.sync.perfect_match import PerfectMatchRecipe
from avsync.training.recipes.sync.syncnet import SyncNetRecipe
from avsync.training.recipes.sync.vocalist import VocalistRecipe

# Contexts in frames of the two published tables: accuracy within 1 frame, and within 5.
LRS2_CONTEXTS = (5, 7, 9, 11, 13, 15)
ACAPPELLA_CONTEXTS = (5, 10, 15, 20, 25)
# Reduced widths, chosen by the cost of a step: a quarter of the published ones for SyncNet, Perfect
# Match and the lip expert, an eighth for VocaLiST, MTDVocaLiST and AVST. dense_sync is not reduced.
QUARTER_STREAMS: dict[str, Any] = {
    "lip_channels": (24, 64, 128),
    "mfcc_channels": (16, 48, 96, 64, 128),
    "dim": 256,
    "size": 96,
    "crop": "face",
}
# Distances of SyncNet scale with the root of the width: half of the published margin.
QUARTER_MARGIN = 9.0
Distillation = Literal["relations", "none", "soft-targets", "hints", "relational"]
# Students without a teacher, and with other distillation losses than MTDVocaLiST's.
VARIANTS: tuple[Distillation, ...] = ("none", "soft-targets", "hints", "relational")


class Job(NamedTuple):
    """One training run: clips, loop settings, size, window and weights of the teacher."""

    clips: ClipData
    loop: LoopSettings
    full_size: bool
    window_frames: int
    teacher: Path | None


class System(NamedTuple):
    """A system of the comparison.

    Args:
        model: name in the registry.
        command: name of the recipe; None for a model that is measured with its released weights.
        recipe: makes the settings of the recipe.
        lr: learning rate for the reduced width.
        share: factor of the batch size; below 1 for recipes whose items have many windows.
        windows: window lengths in frames that it can be trained for.
        published: per cent of windows within 1 frame on LRS2 by context, None if unknown.
        published_acappella: per cent within 5 frames on Acappella by context, None if unknown.
    """

    model: str
    command: str | None
    recipe: Callable[[Job], object] | None
    lr: float
    share: float
    windows: tuple[int, ...]
    published: tuple[float | None, ...] = (None,) * 6
    published_acappella: tuple[float | None, ...] = (None,) * 5


def pairs(job: Job) -> Negatives:
    """Return the published negatives at full size, else a positive and a negative per window.

    Pairs that share their video window cost half.
    """
    return Negatives(both=not job.full_size)


def align(job: Job) -> float:
    """Return the weight of the encoder alignment loss: 0 as published, 1 for short runs."""
    return 0.0 if job.full_size else 1.0


def _vocalist(job: Job, backbone: str | None = None) -> VocalistRecipe:
    channels = VocalistConfig().channels if job.full_size else (4, 8, 16, 32, 64)
    sizes = VocalistConfig(channels, window_frames=job.window_frames)
    return VocalistRecipe(job.clips, job.loop, sizes, pairs(job), backbone, align=align(job))


def _vocalist_mc3(job: Job) -> VocalistRecipe:
    return _vocalist(job, "mc3_18")


def _vocalist_timm(job: Job) -> VocalistRecipe:
    return _vocalist(job, "resnet18" if job.full_size else "mobilenetv3_small_050")


def _student(distillation: Distillation) -> Callable[[Job], MtdVocalistRecipe]:
    """Return the recipe of MTDVocaLiST with the given distillation loss."""

    def recipe(job: Job) -> MtdVocalistRecipe:
        # 24, not 25: it must be divisible by the 8 heads.
        channels = MTDVOCALIST.channels if job.full_size else (2, 4, 8, 16, 24)
        sizes = VocalistConfig(channels, window_frames=job.window_frames)
        return MtdVocalistRecipe(
            job.clips,
            job.loop,
            sizes,
            pairs(job),
            job.teacher,
            distillation=distillation,
            align=align(job),
        )

    return recipe


def _syncnet(job: Job) -> SyncNetRecipe:
    if job.full_size:
        return SyncNetRecipe(job.clips, job.loop)
    sizes = SyncNetConfig(**QUARTER_STREAMS)
    return SyncNetRecipe(job.clips, job.loop, sizes, pairs(job), QUARTER_MARGIN)


def _lip_expert(job: Job) -> LipExpertRecipe:
    channels = LipExpertConfig().channels if job.full_size else (8, 16, 32, 64, 128)
    return LipExpertRecipe(
        job.clips, job.loop, LipExpertConfig(channels, job.window_frames), pairs(job)
    )


def _perfect_match(job: Job) -> PerfectMatchRecipe:
    sizes = PerfectMatchConfig() if job.full_size else PerfectMatchConfig(**QUARTER_STREAMS)
    return PerfectMatchRecipe(job.clips, job.loop, sizes, windows=31)


def _avst(job: Job) -> AvstRecipe:
    sizes = AvstConfig(window_frames=job.window_frames)
    if not job.full_size:
        sizes = AvstConfig(
            (8, 16, 32, 64), (8, 24, 48, 32, 64), 3, 8, job.window_frames, size=48, crop="mouth"
        )
    return AvstRecipe(job.clips, job.loop, sizes, windows=31 if job.full_size else 16)


def _dense_sync(job: Job) -> DenseSyncRecipe:
    clips = job.clips
    offset_ms = clips.corpus_offset_ms[0] if clips.corpus_offset_ms else 0.0
    # The recipe has one zero offset for all stores: that of the first.
    return DenseSyncRecipe(
        job.loop, clips.data, clips.splits, clips.share, clips.batch, answer_offset_ms=offset_ms
    )


SYSTEMS = {
    "syncnet": System(
        "syncnet", "syncnet", _syncnet, 1e-3, 1.0, (5,), (75.8, 82.3, 87.6, 91.8, 94.5, 96.1)
    ),
    "lip-expert": System(
        "lip_expert",
        "lip-expert",
        _lip_expert,
        1e-3,
        1.0,
        (5, 25),
        published_acappella=(57.7, 63.9, 69.9, 75.1, 78.7),
    ),
    "perfect-match": System(
        "perfect_match",
        "perfect-match",
        _perfect_match,
        1e-3,
        0.25,
        (5,),
        (88.1, 93.8, 96.4, 97.9, 98.7, 99.1),
    ),
    "avst": System(
        "avst", "avst", _avst, 1e-3, 0.25, (5, 10, 25), (92.0, 95.5, 97.7, 98.8, 99.3, 99.6)
    ),
    "vocalist": System(
        "vocalist",
        "vocalist",
        _vocalist,
        1e-3,
        1.0,
        (5, 10, 25),
        (92.8, 96.7, 98.4, 99.3, 99.6, 99.8),
        (58.8, 65.4, 71.6, 76.5, 80.5),
    ),
    "vocalist-mc3": System("vocalist_mc3", "vocalist", _vocalist_mc3, 1e-3, 1.0, (5,)),
    "vocalist-timm": System("vocalist_timm", "vocalist", _vocalist_timm, 1e-3, 1.0, (5,)),
    "mtdvocalist": System(
        "mtdvocalist",
        "mtdvocalist",
        _student("relations"),
        1e-3,
        1.0,
        (5, 10, 25),
        (91.46, 95.74, 97.99, 98.95, 99.46, 99.68),
    ),
    **{
        f"mtdvocalist-{variant}": System(
            "mtdvocalist", "mtdvocalist", _student(variant), 1e-3, 1.0, (5,)
        )
        for variant in VARIANTS
    },
    "dense-sync": System("dense_sync", "dense-sync", _dense_sync, 1.5e-3, 0.25, (5,)),
    "dense-sync-shipped": System("dense_sync", None, None, 0.0, 0.0, (5,)),
}
# The default systems: of the students, MTDVocaLiST and the one without a teacher.
TABLE = [name for name in SYSTEMS if name.removeprefix("mtdvocalist-") not in VARIANTS[1:]]
