"""Training of AV-SyncNet: `avsync train av-syncnet --data STORE -o FOLDER`.

The losses are those of SyncTalklip's supplement: alignment of voice and lips, and lip reading from
video so that the tokens go on telling what is said.
"""

import math
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro
from torch import Generator, Tensor, nn

from avsync import weights as checkpoints
from avsync.data.sampling.sync_sequences import SyncSequences
from avsync.losses.frame_contrast import (
    MOST_NEGATIVES,
    AudioNegativesLoss,
    ClipContrastLoss,
    DistanceDifferenceLoss,
)
from avsync.losses.label_smoothing import LabelSmoothedCrossEntropy
from avsync.tasks.registry import create_model
from avsync.tasks.sync.av_syncnet import AvSyncNet, AvSyncNetConfig
from avsync.training.data.avhubert_inputs import Augment, mouths, voices, with_margin
from avsync.training.data.sync import ClipData, Validation, audio_of_frames, open_sources, shares_of
from avsync.training.data.utterances import Speech, Spoken
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, MakeBatch, fit

Contrast = Literal["talklip", "synctalklip", "clip"]
CONTRASTS: dict[Contrast, type[nn.Module]] = {
    "talklip": AudioNegativesLoss,
    "synctalklip": DistanceDifferenceLoss,
    "clip": ClipContrastLoss,
}
CLIPS = ClipData(data=tyro.MISSING, batch=8)
LOOP = LoopSettings(output=tyro.MISSING, steps=20_000, lr=1e-3, validate_every=500)


@dataclass(frozen=True)
class AvSyncNetRecipe:
    """Trains AV-SyncNet: of a stretch, the tokens of lips and voice that belong to the same frame
    come together.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes.
        contrast: `talklip` sets a frame's own lips against other frames' voices, `synctalklip`
            takes the difference of their distances, `clip` sets all lips of the stretch against
            all of its voices, both ways.
        windows: frames of a stretch that are compared.
        lip: weight of reading, 1 as published; 0 where there are no transcripts.
        transcripts: folder of NAME.align or NAME.txt files; without it nothing is read.
        parts: share of the sentences of which a run of words is read.
        sentences: read per step.
        augment: what is altered: mouths, voices, both, or neither.
        reader: weights of a lip reader to start from; its sizes and vocabulary hold.
        init: weights of an AV-SyncNet to start from; its sizes hold.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")] = CLIPS
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = LOOP
    model: Annotated[AvSyncNetConfig, tyro.conf.arg(name="")] = field(
        default_factory=AvSyncNetConfig
    )
    contrast: Contrast = "talklip"
    windows: int = 24
    lip: float = 1.0
    transcripts: Path | None = None
    parts: float = 0.5
    sentences: int = 4
    augment: Augment = "both"
    reader: Path | None = None
    init: Path | None = None


class Aligning(nn.Module):
    """An AV-SyncNet with its losses: one training step's forward pass.

    Args:
        model: the model.
        contrast: which loss aligns.
        frames: of a batch, and so what chance is.
        windows: of a stretch.
        lip: weight of reading.
    """

    def __init__(
        self, model: AvSyncNet, contrast: Contrast, frames: int, windows: int, lip: float = 1.0
    ) -> None:
        super().__init__()
        if contrast not in CONTRASTS:
            raise ValueError(f"contrast must be one of {', '.join(CONTRASTS)}, got {contrast!r}")
        if lip < 0:
            raise ValueError(f"lip must be 0 or more, got {lip}")
        self.model, self.lip = model, lip
        self.align, self.read = CONTRASTS[contrast](), LabelSmoothedCrossEntropy()
        candidates = {
            "talklip": 1 + min(MOST_NEGATIVES, frames // 2),
            "synctalklip": 1,
            "clip": windows,
        }
        self.chance = math.log(candidates[contrast])
        self.chance += lip * math.log(len(model.reader.vocabulary))

    def forward(self, video: Tensor, audio: Tensor, *sentences: Tensor) -> Tensor:
        """Map mouths `(B, T, H, W)` and voices `(B, T - 4, 104)` of stretches, and where reading
        counts those of `Spoken.batches`, to the loss.
        """
        seen, heard = self.model.encode_grey_mouths(video), self.model.encode_fbank(audio)
        loss: Tensor = self.align(heard, seen)
        if not sentences:
            return loss
        # The paper reads from the video alone.
        mouth, lengths, inputs, targets, *_ = sentences
        read = self.read(self.model.reader(None, mouth, inputs, lengths), targets)
        return loss + self.lip * read


def train(recipe: AvSyncNetRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    speech = None
    if recipe.transcripts is not None and recipe.lip:
        speech = Speech(recipe.transcripts, recipe.parts, recipe.augment)
    spoken = None if speech is None else Spoken(recipe.clips, speech)
    model, config = _start(recipe, spoken)
    lip = 0.0 if spoken is None else recipe.lip
    frames = recipe.clips.batch * recipe.windows
    task = Aligning(model, recipe.contrast, frames, recipe.windows, lip)
    batches = _batches(recipe, model, spoken)
    measure = Validation(recipe.clips, model.spec.window_frames)
    trained = fit(task, batches, recipe.loop, task.chance, measure, measure.watch)
    return save_model(recipe.loop.output, "av_syncnet", trained, config)


def _start(recipe: AvSyncNetRecipe, spoken: Spoken | None) -> tuple[AvSyncNet, dict[str, Any]]:
    if recipe.reader is not None and recipe.init is not None:
        raise ValueError("reader and init must not both be given: init has a reader")
    sizes = asdict(recipe.model)
    if recipe.reader is not None:
        sizes["reader"] = checkpoints.load(recipe.reader).config
    elif spoken is not None and not recipe.model.reader.symbols:
        sizes["reader"]["symbols"] = spoken.symbols(recipe.model.reader.unit)
    model, config = start_model("av_syncnet", sizes, recipe.init)
    assert isinstance(model, AvSyncNet)
    if recipe.reader is not None:
        reader = create_model("lip_reader", weights=recipe.reader)
        model.reader.load_state_dict(reader.state_dict())
    return model, config


def _batches(recipe: AvSyncNetRecipe, model: AvSyncNet, spoken: Spoken | None) -> MakeBatch:
    """Draw stretches, mouths `(B, T, H, W)` and voices `(B, T - 4, 104)`, and sentences."""
    spec, sound = with_margin(model.spec), audio_of_frames(model.spec)
    sources = [
        SyncSequences(each, recipe.windows, spec.window_frames, sound.first, sound.samples)
        for each in open_sources(recipe.clips, spec)
    ]
    shares = shares_of(recipe.clips, [len(source) for source in sources])
    front_end, size, augment = deepcopy(model.reader.front_end), model.spec.width, recipe.augment
    read = None if spoken is None else spoken.batches(model.reader, recipe.sentences)

    def make_batch(rng: np.random.Generator, draws: Generator) -> tuple[Tensor, ...]:
        numbers = rng.choice(len(sources), recipe.clips.batch, p=shares)
        drawn = [sources[number].draw(rng) for number in numbers]
        video = mouths([each.frames for each in drawn], size, augment, draws)
        wav = torch.from_numpy(np.stack([each.wav for each in drawn]))
        audio = voices(front_end.columns(wav), front_end, augment, draws)
        return video, audio, *(read(rng, draws) if read else ())

    return make_batch
