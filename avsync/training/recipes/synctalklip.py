"""Training of SyncTalklip and TalkLip: `avsync train synctalklip --data STORE -o FOLDER`.

The losses, their weights and their schedule as far as published: docs/models/synctalklip.md.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from avsync import weights as checkpoints
from avsync.tasks.registry import create_model
from avsync.tasks.sync.av_syncnet import AvSyncNet
from avsync.tasks.talking.discriminator import FaceDiscriminator
from avsync.tasks.talking.synctalklip import SyncTalklip, SyncTalklipConfig
from avsync.training.data.sync import ClipData
from avsync.training.data.talking import Guidance, talking_batches
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit
from avsync.training.engine.settings import steady
from avsync.training.steps.expert_losses import Contrast, Reference, SpeechExpertLoss
from avsync.training.steps.talking import LossWeights, TalkingStep, TalkingValidation, chance

CLIPS = ClipData(data=tyro.MISSING, batch=8)
PUBLISHED_LOOP = steady(100_000, 1e-4, optimizer="adam", beta=0.5, validate_every=3000)
CRITIC = (32, 64, 128, 256, 512)


@dataclass(frozen=True)
class SyncTalklipRecipe:
    """Trains a face to say what a voice says: by the true frames, a critic, and a frozen AV-SyncNet
    that reads its lips and compares them with the voice.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes; with an expert, those of its encoder and its window hold.
        weights: of the losses.
        expert: weights of an AV-SyncNet: its encoder is what hears to begin with, and it judges
            what is drawn. Without it the encoder is fresh, all of it learns, and nothing is judged.
        transcripts: folder of NAME.align or NAME.txt files; without it nothing is read.
        contrast: `synctalklip`, the difference of L1 distances, or `talklip`, InfoNCE.
        reference: whose voice tokens lips are compared with: the expert's own, `frozen`, or those
            of the encoder that is trained, `trained`, as in TalkLip.
        alter: shows what judges the mouths turned, moved, lit otherwise, as readers learn; not
            published.
        learns: last layers of the encoder that hears which learn; TalkLip's are 3 of 12.
        runs: of five frames that are drawn of each clip.
        critic: widths of the critic's layers.
        init: weights of a SyncTalklip to start from; their sizes hold.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")] = CLIPS
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = PUBLISHED_LOOP
    model: Annotated[SyncTalklipConfig, tyro.conf.arg(name="")] = field(
        default_factory=SyncTalklipConfig
    )
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
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    weights, expert = recipe.weights, _expert(recipe)
    model, config = _start(recipe, expert)
    fresh = recipe.init is None and expert is None
    freeze_audio_encoder(model, None if fresh else recipe.learns, recipe.reference == "trained")
    guide = guidance = None
    if expert is not None and (weights.lip or weights.contrast):
        guide = SpeechExpertLoss(expert, recipe.contrast, recipe.reference, recipe.alter)
        reads = weights.lip > 0 and recipe.transcripts is not None
        vocabulary = expert.reader.vocabulary if reads else None
        guidance = Guidance(expert.spec, guide.margin, vocabulary, recipe.transcripts)
    critic = FaceDiscriminator(recipe.critic) if weights.gan else None
    task = TalkingStep(model, weights, critic, guide)
    batches = talking_batches(recipe.clips, recipe.runs, guidance)
    knows_nothing = chance(batches, recipe.loop.seed)
    measure = TalkingValidation(recipe.clips)
    trained = fit(task, batches, recipe.loop, knows_nothing, measure, measure.watch)
    return save_model(recipe.loop.output, "synctalklip", trained, config)


def freeze_audio_encoder(model: SyncTalklip, learns: int | None, compared: bool) -> None:
    """Freeze the encoder that hears but for its last layers; None leaves what hears free, and
    freezes what sees, which is never asked.

    Args:
        model: the model.
        learns: layers that learn.
        compared: the map of the voice that TalkLip compares lips with learns as well.
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


def _start(
    recipe: SyncTalklipRecipe, expert: AvSyncNet | None
) -> tuple[SyncTalklip, dict[str, Any]]:
    sizes = asdict(recipe.model)
    if expert is not None and recipe.expert is not None:
        sizes["encoder"] = checkpoints.load(recipe.expert).config["reader"]["encoder"]
        sizes["window"] = expert.window
    model, config = start_model("synctalklip", sizes, recipe.init)
    assert isinstance(model, SyncTalklip)
    if expert is not None and recipe.init is None:
        model.encoder.load_state_dict(expert.encoder.state_dict())
        model.audio_proj.load_state_dict(expert.audio_proj.state_dict())
    return model, config
