import math

import pytest
import torch

from avsync.encoders.pretrained.mc3 import Mc3Encoder
from avsync.encoders.pretrained.timm_backbone import TimmFrameEncoder
from avsync.tasks.registry import create_model
from avsync.tasks.sync.vocalist import VocalistConfig, build_vocalist
from avsync.training.data.sync import ClipData, Negatives
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.vocalist import VocalistRecipe, train
from avsync.training.steps.vocalist import VocalistStep

TINY = VocalistConfig(channels=(2, 3, 4, 5, 8), depth=1, heads=2)


def recipe(store, folder, **changes):
    loop = LoopSettings(output=folder, steps=2, validate_every=0, device="cpu")
    clips = ClipData((store.path,), store.path / "splits.json", batch=3)
    return VocalistRecipe(**{"clips": clips, "loop": loop, "model": TINY, **changes})


def test_a_recipe_gives_weights_that_the_registry_loads(store, tmp_path):
    path = train(recipe(store, tmp_path))
    model = create_model("vocalist", weights=path)
    assert model.columns == 16 and len(model.classifier.weight[0]) == 8
    log = (tmp_path / LOG_FILE).read_text()
    assert "within_1_at_5=" in log and "within_1_at_15=" in log and "0.6931" in log


def test_the_published_contexts_train(store, tmp_path):
    for context in (10, 25):
        sizes = VocalistConfig(TINY.channels, 1, 2, context)
        path = train(recipe(store, tmp_path / str(context), model=sizes))
        assert create_model("vocalist", weights=path).spec.window_frames == context


def test_it_trains_with_a_backbone_of_timm(store, tmp_path):
    path = train(recipe(store, tmp_path, backbone="test_resnet"))
    assert path.name == "vocalist_timm.safetensors"
    assert isinstance(create_model("vocalist_timm", weights=path).visual, TimmFrameEncoder)


def test_it_trains_with_mc3_as_wide_as_its_tokens(store, tmp_path):
    path = train(recipe(store, tmp_path, backbone="mc3_18"))
    assert path.name == "vocalist_mc3.safetensors"
    visual = create_model("vocalist_mc3", weights=path).visual
    assert isinstance(visual, Mc3Encoder)
    assert [len(stage[0].conv1[1].weight) for stage in visual.trunk[1:]] == [1, 2, 4, 8]


def test_training_goes_on_from_given_weights_with_their_sizes(store, tmp_path):
    first = train(recipe(store, tmp_path / "first"))
    still = LoopSettings(output=tmp_path / "on", steps=1, lr=0.0, ema=0.0, device="cpu")
    second = train(recipe(store, tmp_path, loop=still, init=first, model=VocalistConfig()))
    weights = [create_model("vocalist", weights=p).classifier.weight for p in (first, second)]
    assert torch.equal(*weights)


def test_a_model_that_knows_nothing_costs_ln_2(store):
    model = build_vocalist(TINY)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
    task = VocalistStep(model)
    loss = task(torch.rand(4, 3, 5, 48, 96), torch.randn(4, 3200), torch.tensor([1.0, 0, 1, 0]))
    assert loss.item() == pytest.approx(task.chance) == pytest.approx(math.log(2))


def test_the_mel_is_that_of_the_window_alone_less_its_last_column(monkeypatch):
    model = build_vocalist(TINY).eval()
    task, wav = VocalistStep(model), torch.randn(2, 3200)
    seen = []
    hook = model.audio.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    task(torch.rand(2, 3, 5, 48, 96), wav, torch.ones(2))
    hook.remove()
    torch.testing.assert_close(seen[0], model.front_end(wav)[..., :16])


def test_aligned_encoders_get_their_own_gradient_and_the_loss_says_the_same():
    torch.manual_seed(0)
    model = build_vocalist(TINY)
    batch = (torch.rand(4, 3, 5, 48, 96), torch.randn(4, 3200), torch.tensor([1.0, 0, 1, 0]))
    losses, norms = [], []
    for align in (0.0, 1.0):
        model.zero_grad()
        torch.manual_seed(1)
        loss = VocalistStep(model, align)(*batch)
        loss.backward()
        losses.append(loss.item())
        norms.append(model.visual.blocks[-1].conv.weight.grad.norm().item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert norms[1] > 2 * norms[0]
    with pytest.raises(ValueError, match="align must be 0 or more, got -1"):
        VocalistStep(model, -1)


def test_frames_with_two_audio_windows_are_encoded_once_and_score_as_if_twice():
    torch.manual_seed(0)
    model = build_vocalist(TINY).eval()
    frames, mel = torch.rand(2, 3, 5, 48, 96), torch.randn(4, 80, 16)
    once = model(frames, mel)
    torch.testing.assert_close(once, model(frames.repeat_interleave(2, 0), mel))
    with pytest.raises(ValueError, match="audio windows for each of 2 windows of frames, got 3"):
        model(frames, mel[:3])


def test_each_window_may_come_with_its_own_and_with_wrong_audio(store, tmp_path):
    both = Negatives(both=True)
    path = train(recipe(store, tmp_path, negatives=both))
    assert create_model("vocalist", weights=path).columns == 16
