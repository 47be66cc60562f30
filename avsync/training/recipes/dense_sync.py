"""Training of dense_sync: `avsync train dense-sync --data STORE -o FOLDER`."""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from avsync import weights as checkpoints
from avsync.data.augment_audio import augment_mel
from avsync.data.augment_video import augment_mouth
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.sync_sequences import MouthSequences
from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import CROP_SIZE, Store, StoreClips
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.sync_accuracy import measure_clips
from avsync.losses.distillation.score_distillation import ScoreDistillationLoss
from avsync.losses.shift_info_nce import ShiftInfoNceLoss
from avsync.tasks.calibration import Calibration
from avsync.tasks.registry import create_model
from avsync.tasks.sync.dense_sync import DenseSync, DenseSyncConfig, TimmDenseSyncConfig
from avsync.timing import SAMPLES_PER_FRAME, exact_div
from avsync.training.engine.loop import LoopSettings, MakeBatch, Watch, fit
from avsync.training.steps.distillation import FrozenTeacher

# Training crops are this much larger than the model's, so that warping them loses no detail.
CROP_MARGIN = 8
VALIDATION_CONTEXTS = (5, 15)


@dataclass(frozen=True)
class DenseSyncRecipe:
    """Trains dense_sync by matching over the shifts of each clip. Run again, it resumes.

    Args:
        loop: how long, how fast, where to.
        data: stores of prepared clips to train on (`avsync prepare`).
        splits: JSON file of clip names by split, for the first store: `train` is trained on, `val`
            is measured on. Without it all clips are trained on and nothing is measured.
        share: share of each batch drawn from each store; by default as many clips as it has.
        batch: stretches per step.
        frames: video frames per stretch.
        speed: stretches are played up to this factor faster or slower.
        augment: what is altered besides: mouths, voices, both, or neither.
        backbone: see with this image network of timm in place of the mouth encoder.
        width: of a model with fresh weights, as a share of the released one's.
        init: weights to start from instead of fresh ones; their sizes hold.
        teachers: weights of dense_sync models, with any eyes, that teach as well.
        taught: weight of what they teach.
        answer_offset_ms: constant offset of the clips (positive = the audio leads), taken off the
            answers of the trained model; the clips keep it.
        clean: tables that say which clips are left out and which are moved (`avsync audit`).
    """

    loop: Annotated[LoopSettings, tyro.conf.arg(name="")]
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


class ShiftMatching(nn.Module):
    """A dense_sync model with its loss: one training step's forward pass."""

    def __init__(self, model: DenseSync, first_step: int) -> None:
        super().__init__()
        self.model = model
        hops = exact_div(SAMPLES_PER_FRAME, model.front_end.hop_length)
        self.criterion = ShiftInfoNceLoss(steps_per_window=hops)
        self.first_step = first_step

    def forward(self, grey: Tensor, mel: Tensor) -> Tensor:
        """Map grey mouths `(B, T, H, W)` and log-mel `(B, M, S)` to the loss."""
        video = self.model.weigh(self.model.mouth.encode_grey(grey))
        audio = F.normalize(self.model.mel(mel), dim=-1)
        loss: Tensor = self.criterion(video, audio, self.first_step)
        return loss


def train(recipe: DenseSyncRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    model = _model(recipe)
    sources = _sources(recipe, model)
    margin_hops = exact_div(sources[0].margin, model.front_end.hop_length)
    task = _step(recipe, model, margin_hops)
    held_out = _held_out(recipe)

    def validate(averaged: nn.Module) -> dict[str, float]:
        if not held_out:
            return {}
        # A copy on the CPU, where prepared clips are.
        model = cast(DenseSync, deepcopy(averaged.get_submodule("model")).cpu().eval())
        # Shares of windows need no calibration, and one fitted on other weights would not hold.
        measured = measure_clips(model, held_out, VALIDATION_CONTEXTS, Calibration())
        return {f"within_1_at_{k}": measured.within(k, 1) for k in VALIDATION_CONTEXTS}

    chance = _chance(model, sources[0])
    watch = Watch(f"within_1_at_{VALIDATION_CONTEXTS[0]}")
    averaged = fit(task, _batches(recipe, sources, model), recipe.loop, chance, validate, watch)
    return _export(averaged, recipe)


def _model(recipe: DenseSyncRecipe) -> DenseSync:
    # The offset is written into the weights' config alone: training follows the corpus as it is.
    name, sizes = _kind(recipe)
    chosen = {} if recipe.init else sizes
    model = create_model(name, weights=recipe.init, config={**chosen, "zero_ms": 0.0})
    assert isinstance(model, DenseSync)
    return model.train()


def _kind(recipe: DenseSyncRecipe) -> tuple[str, dict[str, Any]]:
    """Return the name of the model in the registry, and its sizes."""
    if recipe.width <= 0:
        raise ValueError(f"width must be positive, got {recipe.width}")
    if recipe.backbone is None:
        name, sizes = "dense_sync", asdict(DenseSyncConfig())
    else:
        name, sizes = "dense_sync_timm", asdict(TimmDenseSyncConfig(backbone=recipe.backbone))
    for field in ("mouth_channels", "mel_channels"):
        if field in sizes:
            sizes[field] = tuple(max(1, round(recipe.width * each)) for each in sizes[field])
    sizes["dim"] = max(1, round(recipe.width * sizes["dim"]))
    return name, sizes


def _step(recipe: DenseSyncRecipe, model: DenseSync, first_step: int) -> nn.Module:
    if not recipe.teachers:
        return ShiftMatching(model, first_step)
    teachers = [_teacher(weights) for weights in recipe.teachers]
    return DistilledShiftMatching(model, teachers, first_step, recipe.taught)


def _teacher(weights: Path) -> DenseSync:
    name = "dense_sync_timm" if "backbone" in checkpoints.load(weights).config else "dense_sync"
    model = create_model(name, weights=weights, config={"zero_ms": 0.0})
    assert isinstance(model, DenseSync)
    return model


def _sources(recipe: DenseSyncRecipe, model: DenseSync) -> list[MouthSequences]:
    if not recipe.data:
        raise ValueError("data must name at least one store of prepared clips, got none")
    spec = model.spec
    stored = replace(spec, height=CROP_SIZE, width=CROP_SIZE)
    clean = read_clean_lists(recipe.clean)
    # The corpus' offset is taken off the model's answers: clips keep it, and those of another
    # offset are shifted to have it too.
    known_ms = recipe.answer_offset_ms
    shifts_ms = {clip: offset_ms - known_ms for clip, offset_ms in clean.moved_ms.items()}
    sources = []
    for number, path in enumerate(recipe.data):
        store = Store(path)
        indices = clips_of_split(store, recipe.splits if number == 0 else None, "train")
        kept = [index for index in indices if store.rows[index]["id"] not in clean.dropped]
        sources.append(
            MouthSequences(
                ClipWindows(store, kept, stored, clip_offsets_ms=shifts_ms),
                frames=recipe.frames,
                size=spec.width + CROP_MARGIN,
                audio_window_s=spec.audio_until_s - spec.audio_from_s,
                window_frames=spec.window_frames,
                max_speed=recipe.speed,
            )
        )
    return sources


def _held_out(recipe: DenseSyncRecipe) -> StoreClips | tuple[()]:
    if recipe.splits is None:
        return ()
    store = Store(recipe.data[0])
    return StoreClips(store, clips_of_split(store, recipe.splits, "val"))


def _batches(recipe: DenseSyncRecipe, sources: list[MouthSequences], model: DenseSync) -> MakeBatch:
    """Draw a batch: mouths `(B, T, H, W)` and mels `(B, M, S)`, altered as the recipe says."""
    if recipe.share and len(recipe.share) != len(sources):
        raise ValueError(f"share must have {len(sources)} values, got {len(recipe.share)}")
    counts = np.array(recipe.share or [len(source) for source in sources], np.float64)
    shares = counts / counts.sum()
    # A copy that stays on the CPU, where the batches are made.
    front_end = deepcopy(model.front_end)

    def make_batch(rng: np.random.Generator, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        stretches = []
        for number in rng.choice(len(sources), recipe.batch, p=shares):
            index = int(rng.integers(len(sources[number])))
            stretches.append(sources[number].draw(index, rng))
        grey = torch.from_numpy(np.stack([stretch.grey for stretch in stretches]))
        wav = torch.from_numpy(np.stack([stretch.wav for stretch in stretches]))
        mel, size = front_end(wav), model.spec.width
        if recipe.augment in ("both", "voice"):
            mel = augment_mel(mel, draws)
        if recipe.augment in ("both", "mouth"):
            return augment_mouth(grey, size, draws), mel
        return F.interpolate(grey, (size, size), mode="bilinear", antialias=True), mel

    return make_batch


def _chance(model: DenseSync, source: MouthSequences) -> float:
    """Return the loss of a model that knows nothing: the logarithm of the candidates, both ways."""
    windows = source.frames - model.spec.window_frames + 1
    front_end = model.front_end
    columns = 1 + (source.samples - front_end.n_fft) // front_end.hop_length
    return math.log(columns - model.mel.receptive_columns + 1) + math.log(windows)


def _export(averaged: nn.Module, recipe: DenseSyncRecipe) -> Path:
    """Write the averaged weights in fp16, with their config beside them."""
    name, sizes = _kind(recipe)
    path = recipe.loop.output / f"{name}.safetensors"
    given = {} if recipe.init is None else checkpoints.load(recipe.init).config
    config = {**sizes, **given, "zero_ms": recipe.answer_offset_ms}
    checkpoints.save(path, averaged.get_submodule("model").state_dict(), config, half=True)
    return path


class DistilledShiftMatching(nn.Module):
    """A dense_sync model with its loss and its teachers: one training step's forward pass.

    The value is that of the matching loss, which has a chance level, and by which runs can be
    compared; the gradient is that of the matching loss and the teachers' together.

    Args:
        model: the student.
        teachers: models that see the same crops and mel; their mean is taught.
        first_step: audio step that the first window belongs to.
        weight: of what they teach.
    """

    def __init__(
        self,
        model: DenseSync,
        teachers: Sequence[DenseSync],
        first_step: int,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not teachers or weight <= 0:
            raise ValueError(
                "there must be a teacher and a positive weight, "
                f"got {len(teachers)} teachers and {weight}"
            )
        ours = _seen(model)
        for teacher in teachers:
            if (theirs := _seen(teacher)) != ours:
                raise ValueError(
                    f"teachers must see crops of {ours[0]} pixels and {ours[1]} mel bands, as the "
                    f"student, got {theirs[0]} and {theirs[1]}"
                )
        self.model = model
        self.teachers = [FrozenTeacher(teacher) for teacher in teachers]
        hops = exact_div(SAMPLES_PER_FRAME, model.front_end.hop_length)
        self.matching = ShiftInfoNceLoss(steps_per_window=hops)
        self.distillation = ScoreDistillationLoss()
        self.first_step, self.weight = first_step, weight

    def forward(self, grey: Tensor, mel: Tensor) -> Tensor:
        """Map grey mouths `(B, T, H, W)` and log-mel `(B, M, S)` to a scalar."""
        video, audio = _entries(self.model, grey, mel)
        matching: Tensor = self.matching(video, audio, self.first_step)
        taught = self.weight * self.distillation(video @ audio.mT, self._scores(grey, mel))
        return matching + (taught - taught.detach())

    @torch.no_grad()
    def _scores(self, grey: Tensor, mel: Tensor) -> Tensor:
        """Return each teacher's scores of all windows at all audio steps, `(E, B, T, S)`."""
        scores = []
        for teacher in self.teachers:
            video, audio = _entries(teacher.on(grey.device), grey, mel)
            scores.append(video @ audio.mT)
        return torch.stack(scores)


def _entries(model: DenseSync, grey: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
    video = model.weigh(model.mouth.encode_grey(grey))
    return video, F.normalize(model.mel(mel), dim=-1)


def _seen(model: DenseSync) -> tuple[int, int]:
    return model.spec.width, model.mel.n_mels
