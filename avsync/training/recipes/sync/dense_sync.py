"""Recipe of dense_sync: `avsync train dense-sync --data STORE -o FOLDER`."""

import math
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from avsync import weights as checkpoints
from avsync.data.augment_audio import augment_mel
from avsync.data.augment_video import augment_mouth
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.sync_sequences import MouthSequences, VariedSegments
from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import CROP_SIZE, Store
from avsync.data.store.splits import clips_of_split
from avsync.hub import weights_path
from avsync.tasks.registry import create_model
from avsync.tasks.sync.dense_sync import DenseSync, DenseSyncConfig, TimmDenseSyncConfig
from avsync.timing import exact_div
from avsync.training.data.sync import StoreValidation
from avsync.training.engine.batches import MakeBatch
from avsync.training.engine.checkpoint import save_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import FlagsOf, LoopSettings
from avsync.training.steps.dense_sync import DenseSyncStep, DistilledDenseSyncStep

# Training crops are this much larger than the model's, so that warping them loses no detail.
CROP_MARGIN = 8


@dataclass(frozen=True)
class DenseSyncRecipe:
    """Train dense_sync by InfoNCE over the shifts of each clip, with or without teachers.

    Args:
        loop: length, optimiser and output.
        data: stores of prepared clips to train on (`avsync prepare`).
        splits: JSON file of clip names by split, for the first store: `train` is trained on, `val`
            is measured on. Without it all clips are trained on and nothing is measured.
        share: share of each batch drawn from each store; by default proportional to its clips.
        batch: sequences per step.
        frames: video frames per sequence.
        speed: sequences are played up to this factor faster or slower.
        augment: what is augmented besides: mouths, voices, both, or none.
        backbone: use this image network of timm as visual encoder.
        width: of a model with fresh weights, as a multiple of the released one.
        init: weights to start from instead of fresh ones; their sizes apply.
        teachers: distillation: weights of dense_sync models, with any visual encoder, that act as
            teachers.
        taught: weight of the distillation loss.
        answer_offset_ms: constant offset of the clips (positive = the audio leads), taken off the
            answers of the trained model; the clips keep it.
        clean: clean tables, which list clips to leave out or to move (`avsync audit`).
    """

    loop: FlagsOf[LoopSettings]
    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="STORE...")]
    splits: Path | None = None
    share: tuple[float, ...] = ()
    batch: int = 8
    frames: int = 45
    speed: float = 1.22
    augment: Literal["both", "mouth", "voice", "none"] = "both"
    backbone: str | None = None
    width: float = 1.0
    init: Path | None = None
    teachers: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE...")] = ()
    taught: float = 1.0
    answer_offset_ms: Annotated[float, tyro.conf.arg(aliases=["--zero-ms"])] = 0.0
    clean: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="TABLE...")] = ()


def train(recipe: DenseSyncRecipe) -> Path:
    """Train dense_sync, or resume the run; return the path of the weights, in fp16."""
    torch.manual_seed(recipe.loop.seed)
    name, sizes = model_config(recipe)
    # The corpus offset is only written into the config of the weights: clips keep it in training.
    fresh = {} if recipe.init else sizes
    model = create_model(name, weights=recipe.init, config={**fresh, "zero_ms": 0.0}).train()
    assert isinstance(model, DenseSync)
    sources = _sources(recipe, model)
    step = _step(recipe, model, exact_div(sources[0].segments.margin, model.front_end.hop_length))
    validation = StoreValidation(recipe.data[0], recipe.splits)
    batches, chance = _batches(recipe, sources, model), _chance(model, sources[0])
    trained = fit(step, batches, recipe.loop, chance, validation, validation.watch)
    given = {} if recipe.init is None else checkpoints.load(weights_path(recipe.init)).config
    config = {**sizes, **given, "zero_ms": recipe.answer_offset_ms}
    return save_model(recipe.loop.output, name, trained, config, half=True)


def model_config(recipe: DenseSyncRecipe) -> tuple[str, dict[str, Any]]:
    """Return the name of the model in the registry, and the config of one with fresh weights."""
    if recipe.width <= 0:
        raise ValueError(f"width must be positive, got {recipe.width}")
    if recipe.backbone is None:
        name, sizes = "dense_sync", asdict(DenseSyncConfig())
    else:
        name, sizes = "dense_sync_timm", asdict(TimmDenseSyncConfig(backbone=recipe.backbone))
    for field in ("mouth_channels", "mel_channels"):
        if field in sizes:
            widths = sizes[field]
            sizes[field] = tuple(max(1, round(recipe.width * width)) for width in widths)
    sizes["dim"] = max(1, round(recipe.width * sizes["dim"]))
    return name, sizes


def _step(recipe: DenseSyncRecipe, model: DenseSync, first_step: int) -> nn.Module:
    if not recipe.teachers:
        return DenseSyncStep(model, first_step)
    teachers = [_teacher(weights) for weights in recipe.teachers]
    return DistilledDenseSyncStep(model, teachers, first_step, recipe.taught)


def _teacher(weights: Path) -> DenseSync:
    config = checkpoints.load(weights_path(weights)).config
    name = "dense_sync_timm" if "backbone" in config else "dense_sync"
    model = create_model(name, weights=weights, config={"zero_ms": 0.0})
    assert isinstance(model, DenseSync)
    return model


def _sources(recipe: DenseSyncRecipe, model: DenseSync) -> list[MouthSequences]:
    if not recipe.data:
        raise ValueError("data must name at least one store of prepared clips, got none")
    spec = model.spec
    stored = replace(spec, height=CROP_SIZE, width=CROP_SIZE)
    clean = read_clean_lists(recipe.clean)
    # The corpus offset is taken off the model's answers: clips keep it, and those with another
    # offset are shifted to have it too.
    offset_ms = recipe.answer_offset_ms
    shifts_ms = {clip: moved_ms - offset_ms for clip, moved_ms in clean.moved_ms.items()}
    sources = []
    for number, path in enumerate(recipe.data):
        store = Store(path)
        indices = clips_of_split(store, recipe.splits if number == 0 else None, "train")
        kept = [index for index in indices if store.rows[index].id not in clean.dropped]
        sources.append(
            MouthSequences(
                VariedSegments(
                    ClipWindows(store, kept, stored, clip_offsets_ms=shifts_ms),
                    frames=recipe.frames,
                    audio_window_s=spec.audio_until_s - spec.audio_from_s,
                    window_frames=spec.window_frames,
                    max_speed=recipe.speed,
                ),
                size=spec.width + CROP_MARGIN,
            )
        )
    return sources


def _batches(recipe: DenseSyncRecipe, sources: list[MouthSequences], model: DenseSync) -> MakeBatch:
    """Make batches of augmented mouths `(B, T, H, W)` and mels `(B, M, S)`."""
    if recipe.share and len(recipe.share) != len(sources):
        raise ValueError(f"share must have {len(sources)} values, got {len(recipe.share)}")
    counts = np.array(recipe.share or [len(source) for source in sources], np.float64)
    shares = counts / counts.sum()
    # A copy that stays on the CPU, where the batches are made.
    front_end = deepcopy(model.front_end)

    def make_batch(rng: np.random.Generator, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        drawn = []
        for number in rng.choice(len(sources), recipe.batch, p=shares):
            index = int(rng.integers(len(sources[number])))
            drawn.append(sources[number].draw(index, rng))
        grey = torch.from_numpy(np.stack([sequence.grey for sequence in drawn]))
        wav = torch.from_numpy(np.stack([sequence.wav for sequence in drawn]))
        mel, size = front_end(wav), model.spec.width
        if recipe.augment in ("both", "voice"):
            mel = augment_mel(mel, draws)
        if recipe.augment in ("both", "mouth"):
            return augment_mouth(grey, size, draws), mel
        return F.interpolate(grey, (size, size), mode="bilinear", antialias=True), mel

    return make_batch


def _chance(model: DenseSync, source: MouthSequences) -> float:
    """Return the chance level: ln of the number of audio steps plus ln of that of windows."""
    segments = source.segments
    windows = segments.frames - model.spec.window_frames + 1
    front_end = model.front_end
    columns = 1 + (segments.samples - front_end.n_fft) // front_end.hop_length
    return math.log(columns - model.mel.receptive_columns + 1) + math.log(windows)
