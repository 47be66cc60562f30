"""Systems of `model_comparison.py`: recipes, sizes and published figures."""

from pathlib import Path
from typing import NamedTuple

from avsync.data.sampling.mixtures import MixtureLevels
from avsync.training.data.mixtures import MixtureData
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.separation import ynet
from avsync.training.recipes.separation.ynet import YNetRecipe
from avsync.training.steps.separator_config import Kind

# Length of a mixture; clips of GRID last 3 s.
SECONDS = 2
# Reduced widths, chosen by the cost of a step: a quarter of the published U-Net; an eighth of
# VocaLiST's visual encoder and a quarter of the lip expert's, as in the comparison of sync models;
# a sixteenth of MC3-18.
U_NET_WIDTH = 1 / 4
EIGHTH, SIXTEENTH = 1 / 8, 1 / 16


class Job(NamedTuple):
    """One training run: data, loop settings, size, weights of the visual encoder, its window."""

    clips: MixtureData
    loop: LoopSettings
    full_size: bool
    visual: Path | None
    window_frames: int


class System(NamedTuple):
    """A system of the comparison.

    Args:
        model: name in the registry.
        visual_encoder: description for the tables.
        kind: kind of the recipe; None for a model that is measured with its released weights.
        visual_option: option that names the sync model whose visual encoder it uses.
        visual_width: width factor of a new visual encoder at reduced size.
        end_to_end: whether the visual encoder is trained.
        landmarks: whether it needs facial landmarks.
        published: SDR and SIR of two held-out singers, None if unknown.
    """

    model: str
    visual_encoder: str
    kind: Kind | None
    visual_option: str | None = None
    visual_width: float = 1.0
    end_to_end: bool = False
    landmarks: bool = False
    published: tuple[float, float] | None = None


SYSTEMS = {
    "u-net": System("unet", "none", "u-net"),
    "ynet-mr": System(
        "ynet_m",
        "MC3-18's first stages, end to end",
        "m",
        visual_width=SIXTEENTH,
        published=(5.03, 15.80),
    ),
    "ynet-gr": System(
        "ynet_g", "landmarks, end to end", "g", landmarks=True, published=(6.41, 17.38)
    ),
    "ynet-mr-v-end-to-end": System(
        "ynet_v",
        "VocaLiST's encoder, end to end",
        "v",
        visual_width=EIGHTH,
        end_to_end=True,
        published=(1.14, 11.72),
    ),
    "ynet-mr-s-frozen": System(
        "ynet_s", "the lip expert's encoder, frozen", "s", "lip_expert", published=(5.44, 16.17)
    ),
    "ynet-mr-v-frozen": System(
        "ynet_v", "VocaLiST's encoder, frozen", "v", "vocalist", published=(6.32, 17.08)
    ),
    "ynet-dense-frozen": System("ynet_dense", "dense_sync's encoder, frozen", "dense-sync"),
    "ynet-dense-anew-frozen": System(
        "ynet_dense",
        "dense_sync's encoder trained from scratch, frozen",
        "dense-sync",
        "dense_sync_from_scratch",
    ),
    "ynet-dense-untrained-frozen": System(
        "ynet_dense",
        "dense_sync's encoder, untrained, frozen",
        "dense-sync",
        "dense_sync_untrained",
    ),
    "lip-mask-shipped": System("lip_mask", "the first dense_sync's encoder, frozen", None),
}


def train(system: System, job: Job) -> Path:
    """Train a system, resuming a stopped run, and return the path of the weights."""
    return ynet.train(ynet_recipe(system, job))


def ynet_recipe(system: System, job: Job) -> YNetRecipe:
    """Return the recipe of a system: mixtures of the published levels, half with two voices."""
    assert system.kind is not None
    windows = job.window_frames if system.kind == "v" and not system.end_to_end else 0
    return YNetRecipe(
        job.clips,
        job.loop,
        MixtureLevels(),
        system.kind,
        job.visual,
        system.end_to_end,
        kinetics=job.full_size and system.kind == "m",
        window_frames=windows,
        width=1.0 if job.full_size else U_NET_WIDTH,
        visual_width=1.0 if job.full_size else system.visual_width,
        seconds=SECONDS,
    )


def missing_input(system: System, visual: Path | None, landmarks: Path | None) -> str | None:
    """Return which input of a system is missing; None if it can be trained."""
    if system.visual_option is not None and visual is None:
        return f"--{system.visual_option.replace('_', '-')} is not given"
    if system.landmarks and landmarks is None:
        return "--landmarks is not given"
    return None
