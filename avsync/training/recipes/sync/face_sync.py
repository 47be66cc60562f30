"""Recipe of face_sync: `avsync train face-sync --data STORE -o FOLDER`."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor

from avsync import weights as checkpoints
from avsync.data.augment_audio import alter_voices, change_rooms
from avsync.data.augment_video import augment_face
from avsync.data.cache.mouths import MouthCache
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.sync_sequences import FaceSequences, VariedSegments
from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.encoders.pretrained.whisper import LocalWhisperEncoder
from avsync.hub import weights_path
from avsync.tasks.registry import create_model
from avsync.tasks.sync.face_sync import FaceSync, FaceSyncConfig
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME, exact_div
from avsync.training.data.sync import StoreValidation
from avsync.training.engine.batches import MakeBatch
from avsync.training.engine.checkpoint import save_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import FlagsOf, LoopSettings
from avsync.training.steps.face_sync import FaceSyncStep
from avsync.weights import cache_folder

# Cached mouths are this much larger than the model's, so that warping them loses no detail.
MOUTH_MARGIN = 16
# Tokens of audio before the first frame and after the last window, which are candidates too.
MARGIN_TOKENS = 15


@dataclass(frozen=True)
class FaceSyncRecipe:
    """Train face_sync by InfoNCE over the shifts of each clip.

    The face mesh network runs once over every clip; what it finds is cached.

    Args:
        loop: length, optimiser and output.
        data: stores of prepared clips to train on (`avsync prepare --crops mesh`).
        splits: JSON file of clip names by split, for the first store: `train` is trained on, `val`
            is measured on. Without it all clips are trained on and nothing is measured.
        share: share of each batch drawn from each store; by default proportional to its clips.
        batch: sequences per step.
        frames: video frames per sequence.
        speed: sequences are played up to this factor faster or slower.
        voice: share of the sequences whose pitch and formants are shifted.
        room: share of the sequences with another microphone, another room, and noise.
        heavy: change mouths as heavily as `dense-sync` does, for data of few people.
        init: weights to start from instead of fresh ones; their sizes apply.
        answer_offset_ms: constant offset of the clips (positive = the audio leads), taken off the
            answers of the trained model; the clips keep it.
        clean: clean tables, which list clips to leave out or to move (`avsync audit`).
        cache: folder of landmarks and mouths; by default in the user's cache.
    """

    loop: FlagsOf[LoopSettings]
    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="STORE...")]
    splits: Path | None = None
    share: tuple[float, ...] = ()
    batch: int = 24
    frames: int = 54
    speed: float = 1.18
    voice: float = 0.0
    room: float = 0.0
    heavy: tyro.conf.FlagCreatePairsOff[bool] = False
    init: Path | None = None
    answer_offset_ms: Annotated[float, tyro.conf.arg(aliases=["--zero-ms"])] = 0.0
    clean: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="TABLE...")] = ()
    cache: Path | None = None


def train(recipe: FaceSyncRecipe) -> Path:
    """Train face_sync, or resume the run; return the path of the weights, in fp16."""
    torch.manual_seed(recipe.loop.seed)
    # The corpus offset is only written into the config of the weights: clips keep it in training.
    model = create_model("face_sync", weights=recipe.init, config={"zero_ms": 0.0}).train()
    assert isinstance(model, FaceSync)
    sources = _sources(recipe, model)
    step = FaceSyncStep(model, MARGIN_TOKENS + _tokens_to_middle(model))
    validation = StoreValidation(recipe.data[0], recipe.splits)
    chance = _chance(model, sources[0].segments)
    batches = _batches(recipe, sources, model)
    trained = fit(step, batches, recipe.loop, chance, validation, validation.watch)
    given = asdict(FaceSyncConfig())
    if recipe.init is not None:
        given |= checkpoints.load(weights_path(recipe.init)).config
    config = given | {"zero_ms": recipe.answer_offset_ms}
    return save_model(recipe.loop.output, "face_sync", trained, config, half=True)


def _sources(recipe: FaceSyncRecipe, model: FaceSync) -> list[FaceSequences]:
    if not recipe.data:
        raise ValueError("data must name at least one store of prepared clips, got none")
    clean = read_clean_lists(recipe.clean)
    # The corpus offset is taken off the model's answers: clips keep it, and those with another
    # offset are shifted to have it too.
    offset_ms = recipe.answer_offset_ms
    shifts_ms = {clip: moved_ms - offset_ms for clip, moved_ms in clean.moved_ms.items()}
    cache = MouthCache(_cache(recipe) / "mouths", model.pixels.crop_size + MOUTH_MARGIN)
    whisper = model.whisper.on(torch.device("cpu"))
    margin = whisper.margin_samples + MARGIN_TOKENS * whisper.hop_samples
    after = _tokens_to_middle(model) + model.speech.receptive_tokens // 2
    sources = []
    for number, path in enumerate(recipe.data):
        store = Store(path)
        indices = clips_of_split(store, recipe.splits if number == 0 else None, "train")
        kept = [index for index in indices if store.rows[index].id not in clean.dropped]
        clips = ClipWindows(store, kept, model.spec, clip_offsets_ms=shifts_ms)
        cache.fill(clips.crop_files)
        segments = VariedSegments(
            clips,
            frames=recipe.frames,
            margin_s=margin / SAMPLE_RATE,
            audio_window_s=after * whisper.hop_samples / SAMPLE_RATE,
            window_frames=model.spec.window_frames,
            max_speed=recipe.speed,
        )
        sources.append(FaceSequences(segments, cache))
    return sources


def _batches(recipe: FaceSyncRecipe, sources: list[FaceSequences], model: FaceSync) -> MakeBatch:
    """Make batches of augmented landmarks `(B, T, 62, 3)` and mouths `(B, T, H, W)`, and audio."""
    if recipe.share and len(recipe.share) != len(sources):
        raise ValueError(f"share must have {len(sources)} values, got {len(recipe.share)}")
    counts = np.array(recipe.share or [len(source) for source in sources], np.float64)
    shares, size = counts / counts.sum(), model.pixels.crop_size

    def make_batch(
        rng: np.random.Generator, draws: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        drawn = []
        for number in rng.choice(len(sources), recipe.batch, p=shares):
            index = int(rng.integers(len(sources[number])))
            drawn.append(sources[number].draw(index, rng))
        landmarks, mouths, wav = (torch.from_numpy(np.stack(p)) for p in zip(*drawn, strict=True))
        landmarks, mouths = augment_face(landmarks, mouths, size, draws, recipe.heavy)
        wav = alter_voices(wav, recipe.voice, draws)
        return landmarks, mouths, change_rooms(wav, SAMPLE_RATE, recipe.room, draws)

    return make_batch


def _tokens_to_middle(model: FaceSync) -> int:
    """Return the tokens of audio from the start of a window to its middle frame."""
    tokens = exact_div(SAMPLES_PER_FRAME, LocalWhisperEncoder.hop_samples)
    return tokens * (model.spec.window_frames // 2)


def _chance(model: FaceSync, segments: VariedSegments) -> float:
    """Return the chance level: ln of the number of audio steps plus ln of that of windows."""
    windows = segments.frames - model.spec.window_frames + 1
    whisper = model.whisper.on(torch.device("cpu"))
    tokens = 1 + (segments.samples - 2 * whisper.margin_samples) // whisper.hop_samples
    return math.log(tokens - model.speech.receptive_tokens + 1) + math.log(windows)


def _cache(recipe: FaceSyncRecipe) -> Path:
    return recipe.cache or cache_folder()
