import pytest
import torch

from avsync import weights as checkpoints
from avsync.encoders.av_hubert import AvHubertConfig
from avsync.tasks.registry import create_model
from avsync.tasks.sync.lip_expert import LipExpertConfig
from avsync.tasks.talking.generator import TalkingFaceConfig
from avsync.tasks.talking.synctalklip import SyncTalklipConfig, build_synctalklip
from avsync.tasks.talking.wav2lip import Wav2LipConfig
from avsync.training.data.sync import ClipData
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.talking import wav2lip
from avsync.training.recipes.talking.synctalklip import (
    SyncTalklipRecipe,
    freeze_audio_encoder,
    train,
)
from avsync.training.recipes.talking.wav2lip import Wav2LipRecipe
from avsync.training.steps.talking import LossWeights

AUDIO_ENCODER = AvHubertConfig(16, 2, 2, 32, channels=(2, 3, 4, 5), position_frames=5)
GENERATOR = TalkingFaceConfig((2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3), 2)
CRITIC = (2, 3, 4, 5, 6)
EXPERT = {
    "reader": {
        "encoder": {
            "dim": 16,
            "depth": 2,
            "heads": 2,
            "ffn": 32,
            "channels": [2, 3, 4, 5],
            "position_frames": 5,
        },
        "decoder_depth": 1,
        "crop_size": 24,
    },
    "window": 5,
}


@pytest.fixture(scope="module")
def expert(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("expert") / "av_syncnet.safetensors"
    checkpoints.save(path, create_model("av_syncnet", config=EXPERT).state_dict(), EXPERT)
    return path


@pytest.fixture
def clips(store):
    return ClipData((store.path,), store.path / "splits.json", batch=2)


def loop(folder):
    return LoopSettings(output=folder, steps=2, warmup=0, validate_every=0, device="cpu")


def test_a_recipe_with_an_expert_gives_weights_that_the_registry_loads(clips, expert, tmp_path):
    transcripts = tmp_path / "said"
    transcripts.mkdir()
    for name in ("one", "two"):
        (transcripts / f"{name}.txt").write_text("bin blue")
    weights = train(
        SyncTalklipRecipe(
            clips,
            loop(tmp_path / "run"),
            SyncTalklipConfig(generator=GENERATOR),
            LossWeights(lip=1e-3, contrast=1e-3),
            expert=expert,
            transcripts=transcripts,
            learns=1,
            runs=2,
            critic=CRITIC,
        )
    )
    model = create_model("synctalklip", weights=weights)
    assert model.window == 5 and model.encoder.config.dim == 16
    before = create_model("av_syncnet", weights=expert).encoder.state_dict()
    moved = {
        key
        for key, value in model.encoder.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert moved and all(key.startswith("transformer.layers.1.") for key in moved)
    log = (tmp_path / "run" / LOG_FILE).read_text()
    assert "psnr=" in log and "l1=" in log


def test_talklips_variant_trains_what_it_compares_with(clips, expert, tmp_path):
    weights = train(
        SyncTalklipRecipe(
            clips,
            loop(tmp_path),
            SyncTalklipConfig(generator=GENERATOR),
            LossWeights(gan=0.0, contrast=1.0),
            expert=expert,
            contrast="talklip",
            reference="trained",
            learns=0,
            runs=1,
        )
    )
    before = create_model("av_syncnet", weights=expert).audio_proj.weight
    assert not torch.equal(create_model("synctalklip", weights=weights).audio_proj.weight, before)


def test_without_an_expert_a_fresh_encoder_learns(clips, tmp_path):
    sizes = SyncTalklipConfig(AUDIO_ENCODER, GENERATOR, window=5)
    none = LossWeights(gan=0.0)
    first = train(SyncTalklipRecipe(clips, loop(tmp_path / "a"), sizes, none, runs=1))
    again = SyncTalklipRecipe(
        clips, loop(tmp_path / "b"), sizes, none, learns=0, runs=1, init=first
    )
    one, two = (create_model("synctalklip", weights=path) for path in (first, train(again)))
    assert torch.equal(one.encoder.audio_proj.weight, two.encoder.audio_proj.weight)
    assert not torch.equal(one.generator.audio_map.weight, two.generator.audio_map.weight)


def test_only_the_last_layers_of_the_audio_encoder_are_trained():
    model = build_synctalklip(SyncTalklipConfig(AUDIO_ENCODER, GENERATOR))
    freeze_audio_encoder(model, 1, compared=False)
    learns = {name for name, p in model.encoder.named_parameters() if p.requires_grad}
    assert learns and all(name.startswith("transformer.layers.1.") for name in learns)
    assert not model.audio_proj.weight.requires_grad
    freeze_audio_encoder(model, None, compared=True)
    assert model.encoder.audio_proj.weight.requires_grad and model.audio_proj.weight.requires_grad
    assert not any(p.requires_grad for p in model.encoder.mouth.parameters())
    with pytest.raises(ValueError, match="learns must be 0 to 2, got 3"):
        freeze_audio_encoder(model, 3, compared=False)


def test_wav2lip_is_trained_with_the_lip_expert(clips, tmp_path):
    torch.manual_seed(0)
    sizes = {"channels": [2, 3, 4, 5, 6]}
    expert = tmp_path / "lip_expert.safetensors"
    checkpoints.save(expert, create_model("lip_expert", config=sizes).state_dict(), sizes)
    assert LipExpertConfig().window_frames == 5
    recipe = Wav2LipRecipe(
        clips,
        loop(tmp_path / "run"),
        Wav2LipConfig((2, 3, 4, 5), GENERATOR),
        expert=expert,
        critic=CRITIC,
    )
    assert create_model("wav2lip", weights=wav2lip.train(recipe)).audio.window_columns == 16
