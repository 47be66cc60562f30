import csv
from dataclasses import replace

import pytest
import torch
from data.wav_files import tone, write_wav_file
from training.steps.test_separator_config import sync_weights

from avsync import weights as checkpoints
from avsync.tasks.registry import PRETRAINED, create_model, model_card
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.separation.lip_mask import LipMaskRecipe, start_lip_mask, train

VISUAL = {"dim": 6, "mouth_channels": [4, 4, 4, 4], "mel_channels": [4, 4, 4, 4, 4]}
VISUAL |= {"crop_size": 48}


@pytest.fixture
def recipe(store, tmp_path):
    for number in range(5):
        write_wav_file(tmp_path / "music" / f"{number}.wav", tone(300 + 100 * number, 2.0))
    loop = LoopSettings(tmp_path / "run", steps=2, warmup=0, validate_every=0, device="cpu")
    return LipMaskRecipe(
        data=(store.path,),
        loop=loop,
        music=(tmp_path / "music",),
        cache=tmp_path / "cache",
        batch=2,
        seconds=1,
        visual=sync_weights(tmp_path, "dense_sync", VISUAL),
        width=0.1,
    )


def log(recipe):
    with open(recipe.loop.output / LOG_FILE) as file:
        return list(csv.DictReader(file))


def test_it_trains_and_its_weights_are_half_precision_and_load(recipe):
    path = train(recipe)
    assert path.name == "lip_mask.safetensors"
    state = checkpoints.load(path).state_dict
    assert {t.dtype for t in state.values() if t.is_floating_point()} == {torch.float16}
    model = create_model("lip_mask", weights=path)
    assert model.spec.frames == 100 and model.unet.head.weight.dtype == torch.float32
    # Every clip is seen once.
    assert len(list((recipe.cache / "features").rglob("*.npy"))) == 3


def test_it_has_the_visual_encoder_of_dense_sync_and_keeps_it(recipe):
    expected = create_model("dense_sync", weights=recipe.visual).mouth.state_dict()
    fresh = start_lip_mask(recipe).model
    trained = create_model("lip_mask", weights=train(recipe))
    for model, close in ((fresh, 0.0), (trained, 1e-3)):
        found = model.visual.encoder.state_dict()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=close, rtol=close)


def test_by_default_it_has_the_released_visual_encoder():
    _, model, config = start_lip_mask(LipMaskRecipe(data=("any",)))
    shipped = PRETRAINED / model_card("dense_sync").file
    released = checkpoints.load(shipped, as_float32=True)
    name = "stem.0.weight"
    assert torch.equal(
        model.visual.encoder.state_dict()[name], released.state_dict[f"mouth.{name}"]
    )
    assert config["dim"] == released.config["dim"]


def test_held_out_clips_are_measured_in_two_ways(store, recipe):
    # `val` has one clip: two are needed for a pair.
    splits = recipe.cache.parent / "splits.json"
    splits.write_text('{"train": ["one", "two"], "val": ["two", "three"]}')
    train(replace(recipe, splits=splits, validate_pairs=2))
    measured = log(recipe)[-1]["measured"]
    names = ("si_sdr_gain=", "own_face=", "si_sdr_gain_as_recorded=", "own_face_as_recorded=")
    assert all(name in measured for name in names)


def test_training_continues_from_weights_with_their_sizes_and_visual_encoder(recipe, tmp_path):
    first = train(recipe)
    still = replace(recipe.loop, output=tmp_path / "on", lr=0.0, ema=0.0)
    second = train(replace(recipe, loop=still, init=first, visual=None, width=1.0))
    one, other = (
        create_model("lip_mask", weights=path).unet.head.weight for path in (first, second)
    )
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match="init has its own visual encoder"):
        replace(recipe, init=first)


# Fifty steps; test_ynet.py trains its quicker network below chance.
@pytest.mark.slow
def test_the_loss_soon_falls_below_chance(recipe):
    loop = replace(recipe.loop, steps=50, lr=0.01, ema=0.0)
    train(replace(recipe, loop=loop, augment=False))
    losses = [float(row["loss"]) for row in log(recipe) if row["loss"]]
    assert losses[-1] < float(log(recipe)[0]["chance"]) - 0.1


def test_settings_are_checked(store):
    with pytest.raises(ValueError, match="at least one store"):
        LipMaskRecipe(data=())
    with pytest.raises(ValueError, match="share must have 1 values, got 2"):
        LipMaskRecipe(data=(store.path,), share=(0.5, 0.5))
    with pytest.raises(ValueError, match=r"got 0, 1\.0 and 24"):
        LipMaskRecipe(data=(store.path,), batch=0)
