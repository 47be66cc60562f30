import math

import pytest
import torch

from avsync.losses.cosine_bce import CosineBceLoss
from avsync.tasks.registry import create_model
from avsync.tasks.sync.lip_expert import LipExpertConfig, build_lip_expert
from avsync.training.data.sync import ClipData, audio_range_in_use
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.lip_expert import LipExpertRecipe, train
from avsync.training.steps.sync import PairStep


@pytest.mark.parametrize("context", [5, 25])
def test_a_recipe_gives_weights_that_the_registry_loads(store, tmp_path, context):
    loop = LoopSettings(output=tmp_path, steps=2, validate_every=0, device="cpu")
    clips = ClipData((store.path,), store.path / "splits.json", batch=3)
    sizes = LipExpertConfig(channels=(2, 3, 4, 5, 6), window_frames=context)
    model = create_model("lip_expert", weights=train(LipExpertRecipe(clips, loop, sizes)))
    assert model.spec.window_frames == context
    log = (tmp_path / LOG_FILE).read_text()
    assert f"within_1_at_{context}=" in log and "0.6931" in log


@torch.no_grad()
def test_the_loss_is_that_of_the_cosine_in_use():
    torch.manual_seed(0)
    model = build_lip_expert(LipExpertConfig(channels=(2, 3, 4, 5, 6))).eval()
    task, wav = PairStep(model, CosineBceLoss()), 0.1 * torch.randn(1, 16000)
    frames, audio = torch.rand(1, 3, 5, 48, 96), audio_range_in_use(model.spec)
    cut = wav[:, 6400 + audio.first :][:, : audio.samples]
    video = model.encode_video(frames)[0, 0]
    cosine = model.compare(video, model.encode_audio(wav, torch.tensor([0.4]))[0, 0]).item()
    assert 0.01 < cosine < 0.99
    in_sync, out = (task(frames, cut, torch.tensor([label])) for label in (1.0, 0.0))
    assert in_sync.item() == pytest.approx(-math.log(cosine), rel=1e-4)
    assert out.item() == pytest.approx(-math.log(1 - cosine), rel=1e-4)
