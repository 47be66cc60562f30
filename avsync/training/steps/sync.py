"""Training steps of sync models, and what the plain sync recipes share.

A plain recipe starts a model, wraps it with its loss in a training step, and trains that on
labelled pairs of windows or on sequences of windows.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.losses.info_nce import InfoNceLoss
from avsync.scoring.embeddings import tree_map
from avsync.tasks.input_spec import ClipSpec
from avsync.training.data.sync import (
    AudioRange,
    ClipData,
    Negatives,
    SyncValidation,
    audio_range_in_use,
)
from avsync.training.data.sync_batches import pair_batches, sequence_batches, window_starts_s
from avsync.training.engine.batches import Curriculum, MakeBatch
from avsync.training.engine.checkpoint import InitialModel, save_model, start_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import LoopSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class PairLoss(Protocol):
    """A loss of scores or distances `(B,)` and labels `(B,)`, which knows its chance level."""

    @property
    def chance(self) -> float: ...

    def __call__(self, scores: Tensor, in_sync: Tensor) -> Tensor: ...


class PairStep(nn.Module):
    """A sync model with a loss on labelled pairs of windows: a training step's forward pass.

    Args:
        model: maps frames and the columns of its `front_end` to scores `(B,)`.
        criterion: maps scores and labels to the loss.
        sign: factor of the scores: -1 for a loss of distances, which are the negative scores.
    """

    def __init__(self, model: Any, criterion: PairLoss, sign: int = 1) -> None:
        super().__init__()
        self.model, self.criterion, self.sign = model, criterion, sign
        self.chance = criterion.chance

    def forward(self, frames: Tensor, wav: Tensor, in_sync: Tensor) -> Tensor:
        """Map a batch of `pair_batches` to the loss.

        Args:
            frames: frames `(B, 3, T, H, W)` in [0, 1].
            wav: audio that the columns of the windows reach `(B, N)`.
            in_sync: labels `(B,)`, 1 in sync and 0 not.

        Returns:
            A scalar.
        """
        columns = self.model.front_end.columns(wav)
        return self.criterion(self.sign * self.model(frames, columns), in_sync)


class WindowMatchingStep(nn.Module):
    """A sync model with InfoNCE over all pairs of windows of a sequence: a training step.

    Args:
        model: any model with the contract of a sync task.
        windows: windows of a sequence, which are the candidates.
        temperature: divides the scores.
        frozen: modules of the model that stay in eval mode: batch norms keep their statistics, and
            there is no dropout.
    """

    def __init__(
        self,
        model: Any,
        windows: int,
        temperature: float = 1.0,
        frozen: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.model, self.windows, self.frozen = model, windows, frozen
        self.criterion = InfoNceLoss(temperature)
        self.chance = math.log(windows)

    def train(self, mode: bool = True) -> "WindowMatchingStep":
        """Put all modules but the frozen ones into train mode."""
        super().train(mode)
        for name in self.frozen:
            self.model.get_submodule(name).eval()
        return self

    def forward(self, frames: Tensor, wav: Tensor) -> Tensor:
        """Map a batch of `sequence_batches` to the loss.

        Every window is encoded once, then all pairs of a sequence are compared.

        Args:
            frames: frames `(B, 3, windows - 1 + T, H, W)` in [0, 1].
            wav: their audio `(B, N)`.

        Returns:
            A scalar.
        """
        video, audio = encode_windows(self.model, frames, wav, self.windows)
        rows = tree_map(lambda e: e[:, :, None], video)
        columns = tree_map(lambda e: e[:, None], audio)
        scores = self.model.compare(rows, columns)
        in_sync = torch.arange(self.windows, device=scores.device).repeat(len(scores))
        loss: Tensor = self.criterion(rearrange(scores, "b t k -> (b t) k"), in_sync)
        return loss


class EmbeddingMatchingStep(nn.Module):
    """A sync model with a loss on the embeddings of a sequence of windows: a training step.

    Args:
        model: any model with the contract of a sync task.
        windows: windows of a sequence, which are the candidates.
        criterion: maps unit video and audio embeddings `(B, T, D)` to the loss.
    """

    def __init__(self, model: Any, windows: int, criterion: nn.Module) -> None:
        super().__init__()
        self.model, self.windows, self.criterion = model, windows, criterion
        self.chance = math.log(windows)

    def forward(self, frames: Tensor, wav: Tensor) -> Tensor:
        """Map a batch of `sequence_batches` to the loss, as in `WindowMatchingStep`."""
        video, audio = encode_windows(self.model, frames, wav, self.windows)
        loss: Tensor = self.criterion(video, audio)
        return loss


def encode_windows(model: Any, frames: Tensor, wav: Tensor, windows: int) -> tuple[Any, Any]:
    """Return the video and audio embeddings of the windows of sequences."""
    return model.encode_video(frames), model.encode_audio(wav, window_starts_s(model.spec, windows))


def start_sync_model(
    name: str, sizes: "DataclassInstance", init: Path | None, seed: int
) -> InitialModel:
    """Seed torch and build the model that a run starts from.

    Args:
        name: name of the model in the registry.
        sizes: its config, if it gets fresh weights.
        init: weights to start from instead; their config applies.
        seed: seed of the fresh weights.
    """
    torch.manual_seed(seed)
    return start_model(name, asdict(sizes), init)


def train_on_pairs(
    start: InitialModel,
    step: Any,
    clips: ClipData,
    negatives: Negatives,
    loop: LoopSettings,
    audio_range: Callable[[ClipSpec], AudioRange] = audio_range_in_use,
) -> Path:
    """Train a sync model on labelled pairs, or resume the run.

    Args:
        start: the model.
        step: a module with the model as `model` and its chance level as `chance`, whose forward
            maps a batch of `pair_batches` to the loss.
        clips: training clips and batch size.
        negatives: how pairs out of sync are drawn.
        loop: settings of the loop.
        audio_range: which audio belongs to a window.

    Returns:
        The path of the weights.
    """
    batches = pair_batches(clips, negatives, start.model.spec, audio_range)
    return _train(start, step, batches, clips, loop)


def train_on_windows(start: InitialModel, step: Any, clips: ClipData, loop: LoopSettings) -> Path:
    """Train a sync model on sequences of windows, or resume the run.

    Args:
        start: the model.
        step: as in `train_on_pairs`, with the windows of a sequence as `windows`, and a forward
            that maps a batch of `sequence_batches` to the loss.
        clips: training clips and batch size.
        loop: settings of the loop.

    Returns:
        The path of the weights.
    """
    batches = sequence_batches(clips, start.model.spec, step.windows)
    return _train(start, step, batches, clips, loop)


def _train(
    start: InitialModel,
    step: Any,
    batches: MakeBatch | Curriculum,
    clips: ClipData,
    loop: LoopSettings,
) -> Path:
    validation = SyncValidation(clips, start.model.spec.window_frames)
    trained = fit(step, batches, loop, step.chance, validation, validation.watch)
    return save_model(loop.output, start.name, trained, start.config)
