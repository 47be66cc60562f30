"""The separators that are compared: how each is trained, at which sizes, what was published of it.

`separation.py` trains and measures them, `separation_table.py` makes tables of what it found.
"""

from pathlib import Path
from typing import NamedTuple

from avsync.data.sampling.mixtures import MixtureLevels
from avsync.training.data.mixtures import MixtureData
from avsync.training.engine.loop import LoopSettings
from avsync.training.recipes import ynet
from avsync.training.recipes.ynet import YNetRecipe
from avsync.training.steps.separator_config import Kind

# Clips of GRID last 3 s.
SECONDS = 2
# Same code, smaller numbers, by what a step costs: a quarter of the published U-Net; an eighth of
# VocaLiST's visual encoder and a quarter of the lip expert's, as those of the comparison of sync
# systems; a sixteenth of MC3-18.
U_NET_WIDTH = 1 / 4
EIGHTH, SIXTEENTH = 1 / 8, 1 / 16


class Job(NamedTuple):
    """One training run: which clips, how, at which sizes, with whose eyes."""

    clips: MixtureData
    loop: LoopSettings
    full_size: bool
    eyes: Path | None
    window_frames: int


class System(NamedTuple):
    """A system of the table.

    `model` is its name in the registry. `eyes` names the option with the weights of a sync model
    whose visual encoder it is given, `visual_width` how wide a fresh one is at reduced size. `kind`
    is None for one that is taken as it ships. `published` are SDR and SIR of two singers, unseen
    and unheard, None where not known.
    """

    model: str
    sees: str
    kind: Kind | None
    eyes: str | None = None
    visual_width: float = 1.0
    end_to_end: bool = False
    landmarks: bool = False
    published: tuple[float, float] | None = None


SYSTEMS = {
    "u-net": System("unet", "nothing", "u-net"),
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
        "ynet_dense", "dense_sync's encoder trained anew, frozen", "dense-sync", "dense_sync_anew"
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
    """Trains it, or what is left of it, and returns the path of the weights."""
    return ynet.train(ynet_recipe(system, job))


def ynet_recipe(system: System, job: Job) -> YNetRecipe:
    """Mixtures of the published levels, half of them with a second voice."""
    assert system.kind is not None
    windows = job.window_frames if system.kind == "v" and not system.end_to_end else 0
    return YNetRecipe(
        job.clips,
        job.loop,
        MixtureLevels(),
        system.kind,
        job.eyes,
        system.end_to_end,
        kinetics=job.full_size and system.kind == "m",
        window_frames=windows,
        width=1.0 if job.full_size else U_NET_WIDTH,
        visual_width=1.0 if job.full_size else system.visual_width,
        seconds=SECONDS,
    )


def lacking(system: System, eyes: Path | None, landmarks: Path | None) -> str | None:
    """Why a system cannot be trained with what is there; None where it can."""
    if system.eyes is not None and eyes is None:
        return f"there are no weights of {system.eyes} to see with"
    if system.landmarks and landmarks is None:
        return "there are no landmarks of the faces"
    return None
