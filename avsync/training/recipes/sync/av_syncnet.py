"""Recipe of AV-SyncNet: `avsync train av-syncnet --data STORE -o FOLDER`.

The losses are those of SyncTalklip's supplement: alignment of voice and lips, and lip reading from
video, so that the tokens keep representing what is said.
"""

import math
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor, nn

from avsync import weights as checkpoints
from avsync.data.sampling.sync_sequences import SyncSequences
from avsync.hub import weights_path
from avsync.losses.frame_contrast import (
    MOST_NEGATIVES,
    AudioNegativesLoss,
    ClipContrastLoss,
    DistanceDifferenceLoss,
)
from avsync.losses.label_smoothing import LabelSmoothedCrossEntropy
from avsync.tasks.registry import create_model
from avsync.tasks.sync.av_syncnet import AvSyncNet, AvSyncNetConfig
from avsync.training.data.avhubert_inputs import Augment, fbank_batch, mouth_batch, with_margin
from avsync.training.data.sync import (
    ClipData,
    SyncValidation,
    audio_range_in_use,
    draw_shares,
    open_sources,
)
from avsync.training.data.utterances import TranscribedClips, TranscriptData
from avsync.training.engine.batches import MakeBatch
from avsync.training.engine.checkpoint import InitialModel, save_model, start_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings

Contrast = Literal["talklip", "synctalklip", "clip"]
CONTRASTS: dict[Contrast, type[nn.Module]] = {
    "talklip": AudioNegativesLoss,
    "synctalklip": DistanceDifferenceLoss,
    "clip": ClipContrastLoss,
}
CLIPS = ClipData(data=REQUIRED, batch=8)
LOOP = LoopSettings(output=REQUIRED, steps=20_000, lr=1e-3, validate_every=500)


@dataclass(frozen=True)
class AvSyncNetRecipe:
    """Train AV-SyncNet: pull the audio and video tokens of the same frame together.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes.
        contrast: `talklip` contrasts a frame's own lips with the voices of other frames,
            `synctalklip` takes the difference of their distances, `clip` contrasts all lips of a
            sequence with all of its voices, in both directions.
        windows: frames of a sequence that are compared.
        lip: weight of lip reading, 1 as published; 0 where there are no transcripts.
        transcripts: folder of NAME.align or NAME.txt files; without it there is no lip reading.
        parts: share of the sentences of which a run of words is read.
        sentences: sentences read per step.
        augment: what is augmented: mouths, voices, both, or none.
        reader: weights of a lip reader to start from; its sizes and vocabulary apply.
        init: weights of an AV-SyncNet to start from; its sizes apply.
    """

    clips: FlagsOf[ClipData] = CLIPS
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[AvSyncNetConfig] = field(default_factory=AvSyncNetConfig)
    contrast: Contrast = "talklip"
    windows: int = 24
    lip: float = 1.0
    transcripts: Path | None = None
    parts: float = 0.5
    sentences: int = 4
    augment: Augment = "both"
    reader: Path | None = None
    init: Path | None = None


class AvSyncNetStep(nn.Module):
    """An AV-SyncNet with its losses: a training step's forward pass.

    Args:
        model: the model.
        contrast: kind of the alignment loss.
        frames: compared frames of a batch, which give the chance level.
        windows: compared frames of a sequence.
        lip: weight of lip reading.
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
        """Map a batch to the loss.

        Args:
            video: grey mouths of sequences `(B, T, H, W)`.
            audio: their filterbank energies `(B, T - 4, 104)`.
            sentences: with lip reading, a batch of `TranscribedClips.batches`.

        Returns:
            A scalar.
        """
        video, audio = self.model.encode_grey_mouths(video), self.model.encode_fbank(audio)
        loss: Tensor = self.align(audio, video)
        if not sentences:
            return loss
        # The paper reads from the video alone.
        mouths, lengths, inputs, targets, *_ = sentences
        read = self.read(self.model.reader(None, mouths, inputs, lengths), targets)
        return loss + self.lip * read


def train(recipe: AvSyncNetRecipe) -> Path:
    """Train AV-SyncNet, or resume the run; return the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    sentences = None
    if recipe.transcripts is not None and recipe.lip:
        speech = TranscriptData(recipe.transcripts, recipe.parts, recipe.augment)
        sentences = TranscribedClips(recipe.clips, speech)
    start = _start(recipe, sentences)
    lip = 0.0 if sentences is None else recipe.lip
    frames = recipe.clips.batch * recipe.windows
    step = AvSyncNetStep(start.model, recipe.contrast, frames, recipe.windows, lip)
    batches = av_syncnet_batches(recipe, start.model, sentences)
    validation = SyncValidation(recipe.clips, start.model.spec.window_frames)
    trained = fit(step, batches, recipe.loop, step.chance, validation, validation.watch)
    return save_model(recipe.loop.output, start.name, trained, start.config)


def _start(recipe: AvSyncNetRecipe, sentences: TranscribedClips | None) -> InitialModel:
    if recipe.reader is not None and recipe.init is not None:
        raise ValueError("reader and init must not both be given: init has a reader")
    sizes = asdict(recipe.model)
    if recipe.reader is not None:
        sizes["reader"] = checkpoints.load(weights_path(recipe.reader)).config
    elif sentences is not None and not recipe.model.reader.symbols:
        sizes["reader"]["symbols"] = sentences.symbols(recipe.model.reader.unit)
    start = start_model("av_syncnet", sizes, recipe.init)
    if recipe.reader is not None:
        reader = create_model("lip_reader", weights=recipe.reader)
        start.model.reader.load_state_dict(reader.state_dict())
    return start


def av_syncnet_batches(
    recipe: AvSyncNetRecipe, model: AvSyncNet, sentences: TranscribedClips | None
) -> MakeBatch:
    """Make batches of sequences, and of sentences if there are any, for `AvSyncNetStep`."""
    spec, audio_range = with_margin(model.spec), audio_range_in_use(model.spec)
    sources = [
        SyncSequences(
            source, recipe.windows, spec.window_frames, audio_range.first, audio_range.samples
        )
        for source in open_sources(recipe.clips, spec)
    ]
    shares = draw_shares(recipe.clips, [len(source) for source in sources])
    # A copy that stays on the CPU, where the batches are made.
    front_end, size, augment = deepcopy(model.reader.front_end), model.spec.width, recipe.augment
    read = None if sentences is None else sentences.batches(model.reader, recipe.sentences)

    def make_batch(rng: np.random.Generator, draws: Generator) -> tuple[Tensor, ...]:
        numbers = rng.choice(len(sources), recipe.clips.batch, p=shares)
        drawn = [sources[number].draw(rng) for number in numbers]
        video = mouth_batch([sequence.frames for sequence in drawn], size, augment, draws)
        wav = torch.from_numpy(np.stack([sequence.wav for sequence in drawn]))
        audio = fbank_batch(front_end.columns(wav), front_end, augment, draws)
        return video, audio, *(read(rng, draws) if read else ())

    return make_batch
