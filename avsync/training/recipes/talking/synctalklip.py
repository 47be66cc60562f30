"""Recipe of SyncTalklip and TalkLip: `avsync train synctalklip --data STORE -o FOLDER`.

The losses, their weights and their schedule, as far as published: docs/models/synctalklip.md.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from avsync import weights as checkpoints
from avsync.hub import weights_path
from avsync.tasks.registry import create_model
from avsync.tasks.sync.av_syncnet import AvSyncNet
from avsync.tasks.talking.discriminator import FaceDiscriminator
from avsync.tasks.talking.synctalklip import SyncTalklip, SyncTalklipConfig
from avsync.training.data.sync import ClipData
from avsync.training.data.talking import ExpertInputs, talking_batches
from avsync.training.engine.checkpoint import InitialModel, save_model, start_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings, constant_rate
from avsync.training.steps.expert_losses import Contrast, Reference, SpeechExpertLoss
from avsync.training.steps.talking import (
    LossWeights,
    TalkingStep,
    TalkingValidation,
    talking_chance,
)

CLIPS = ClipData(data=REQUIRED, batch=8)
LOOP = constant_rate(100_000, 1e-4, optimizer="adam", validate_every=3000, beta=0.5)
CRITIC = (32, 64, 128, 256, 512)


@dataclass(frozen=True)
class SyncTalklipRecipe:
    """Train a talking face with the true frames, a discriminator, and a frozen AV-SyncNet.

    The AV-SyncNet reads the lips of generated frames and compares them with the voice.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes; with an expert, those of its encoder and its window apply.
        weights: weights of the losses.
        expert: weights of an AV-SyncNet: its encoder initialises the audio encoder, and its losses
            judge the generated frames. Without it the audio encoder is fresh and trained
            completely, and there are no expert losses.
        transcripts: folder of NAME.align or NAME.txt files; without it there is no lip reading.
        contrast: `synctalklip`, the difference of L1 distances, or `talklip`, InfoNCE.
        reference: audio tokens that lips are compared with: the expert's own, `frozen`, or those of
            the audio encoder in training, `trained`, as in TalkLip.
        alter: augment the mouths that the expert gets with rotations, shifts and light, as for lip
            readers; not published.
        learns: last layers of the audio encoder that are trained; TalkLip's are 3 of 12.
        runs: runs of five frames that are generated of each clip.
        critic: widths of the discriminator's layers.
        init: weights of a SyncTalklip to start from; their sizes apply.
    """

    clips: FlagsOf[ClipData] = CLIPS
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[SyncTalklipConfig] = field(default_factory=SyncTalklipConfig)
    weights: LossWeights = field(default_factory=LossWeights)
    expert: Path | None = None
    transcripts: Path | None = None
    contrast: Contrast = "synctalklip"
    reference: Reference = "frozen"
    alter: bool = False
    learns: int = 3
    runs: int = 6
    critic: tuple[int, int, int, int, int] = CRITIC
    init: Path | None = None


def train(recipe: SyncTalklipRecipe) -> Path:
    """Train SyncTalklip, or resume the run; return the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    weights, expert = recipe.weights, _expert(recipe)
    start = _start(recipe, expert)
    fresh = recipe.init is None and expert is None
    trained_layers = None if fresh else recipe.learns
    freeze_audio_encoder(start.model, trained_layers, recipe.reference == "trained")
    expert_loss = expert_inputs = None
    if expert is not None and (weights.lip or weights.contrast):
        expert_loss = SpeechExpertLoss(expert, recipe.contrast, recipe.reference, recipe.alter)
        reads = weights.lip > 0 and recipe.transcripts is not None
        vocabulary = expert.reader.vocabulary if reads else None
        expert_inputs = ExpertInputs(
            expert.spec, expert_loss.margin, vocabulary, recipe.transcripts
        )
    critic = FaceDiscriminator(recipe.critic) if weights.gan else None
    step = TalkingStep(start.model, weights, critic, expert_loss)
    batches = talking_batches(recipe.clips, recipe.runs, expert_inputs)
    chance = talking_chance(batches, recipe.loop.seed)
    validation = TalkingValidation(recipe.clips)
    trained = fit(step, batches, recipe.loop, chance, validation, validation.watch)
    return save_model(recipe.loop.output, start.name, trained, start.config)


def freeze_audio_encoder(model: SyncTalklip, learns: int | None, compared: bool) -> None:
    """Freeze the audio encoder but for its last layers, and always the unused visual front end.

    Args:
        model: the model.
        learns: layers that are trained; None trains the whole audio encoder.
        compared: train the map of audio tokens that TalkLip compares lips with as well.

    Raises:
        ValueError: there are not that many layers.
    """
    encoder = model.encoder
    layers = list(encoder.transformer.layers)
    if learns is not None and not 0 <= learns <= len(layers):
        raise ValueError(f"learns must be 0 to {len(layers)}, got {learns}")
    encoder.requires_grad_(learns is None)
    encoder.mouth.requires_grad_(False)
    encoder.video_proj.requires_grad_(False)
    for layer in layers[len(layers) - (learns or 0) :]:
        layer.requires_grad_(True)
    model.audio_proj.requires_grad_(compared)


def _expert(recipe: SyncTalklipRecipe) -> AvSyncNet | None:
    if recipe.expert is None:
        return None
    expert = create_model("av_syncnet", weights=recipe.expert)
    assert isinstance(expert, AvSyncNet)
    return expert


def _start(recipe: SyncTalklipRecipe, expert: AvSyncNet | None) -> InitialModel:
    sizes = asdict(recipe.model)
    if expert is not None and recipe.expert is not None:
        sizes["encoder"] = checkpoints.load(weights_path(recipe.expert)).config["reader"]["encoder"]
        sizes["window"] = expert.window
    start = start_model("synctalklip", sizes, recipe.init)
    if expert is not None and recipe.init is None:
        start.model.encoder.load_state_dict(expert.encoder.state_dict())
        start.model.audio_proj.load_state_dict(expert.audio_proj.state_dict())
    return start
