import json
from dataclasses import asdict

import pytest
import torch

from avsync import weights as checkpoints
from avsync.tasks.calibration import Calibration
from avsync.tasks.registry import create_model
from avsync.training.data.sync import ClipData
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.fine_tune import (
    FIGURES_FILE,
    FineTuneRecipe,
    train,
    tune,
)
from avsync.training.steps.sync import WindowMatchingStep

NARROW = {"channels": [4, 4, 8, 8, 8]}
CONFIGS = {
    "dense_sync": {
        "dim": 8, "mouth_channels": [4, 4, 4, 8], "mel_channels": [4, 4, 4, 8, 8], "zero_ms": 20.0,
    },
    "vocalist": NARROW | {"depth": 1},
}  # fmt: skip


@pytest.fixture(params=CONFIGS)
def trained(request, tmp_path):
    """Name and weights of a small model."""
    torch.manual_seed(0)
    config = CONFIGS[request.param]
    path = tmp_path / "start" / f"{request.param}.safetensors"
    model = create_model(request.param, config=config)
    checkpoints.save(path, model.state_dict(), config)
    return request.param, path


def recipe(store, output, name="dense_sync", weights=None, steps=3, **changes):
    loop = {"steps": steps, "warmup": 0, "lr": 1e-2, "ema": 0.0, "validate_every": 0}
    return FineTuneRecipe(
        clips=ClipData(data=(store.path,), splits=store.path / "splits.json", batch=2),
        loop=LoopSettings(output=output, device="cpu", **loop | changes.pop("loop", {})),
        model=name,
        weights=weights,
        windows=changes.pop("windows", 6),
        **changes,
    )


def test_a_tuned_model_is_exported_and_scores_otherwise(store, trained, tmp_path):
    name, start = trained
    path = train(recipe(store, tmp_path / "run", name, start))
    before, after = create_model(name, weights=start), create_model(name, weights=path)
    assert checkpoints.load(path).config == CONFIGS[name]
    frames = torch.rand(1, 3, 6, after.spec.height, after.spec.width)
    assert not torch.equal(scores(before, frames), scores(after, frames))
    figures = json.loads((tmp_path / "run" / FIGURES_FILE).read_text())
    assert (
        figures["before"].keys() == figures["after"].keys() == {"within_1_at_5", "within_1_at_15"}
    )


def test_a_tuned_model_does_not_keep_the_calibration_of_the_old_weights(store, tmp_path):
    path, config = tmp_path / "start.safetensors", CONFIGS["dense_sync"]
    checkpoints.save(path, create_model("dense_sync", config=config).state_dict(), config)
    checkpoints.save_calibration(path, asdict(Calibration()))
    model = create_model("dense_sync", weights=path)
    assert model.calibration == Calibration()
    tuned = tune(model, recipe(store, tmp_path / "tuned", steps=1)).model
    assert tuned.calibration is None and model.calibration is None
    file = train(recipe(store, tmp_path / "run", weights=path, steps=1))
    assert checkpoints.load(file).calibration is None


def scores(model, frames):
    with torch.inference_mode():
        wav = torch.linspace(-1, 1, 8000)[None].sin()
        audio = model.encode_audio(wav, torch.tensor([0.1, 0.14]))
        return model.compare(model.encode_video(frames), audio)


def test_what_is_frozen_stays_as_it_was_to_the_bit(store, tmp_path):
    path, config = tmp_path / "start.safetensors", CONFIGS["dense_sync"]
    checkpoints.save(path, create_model("dense_sync", config=config).state_dict(), config)
    tuned = train(recipe(store, tmp_path / "run", weights=path, encoders="last"))
    old, new = checkpoints.load(path).state_dict, checkpoints.load(tuned).state_dict
    changed = {key for key in old if not torch.equal(old[key], new[key])}
    ends = {"mouth.head.3.weight", "mouth.head.3.bias", "mel.head.1.weight", "mel.head.1.bias"}
    # Statistics of norms are part of the state: those of frozen layers do not move either.
    assert changed == ends | {"weight.weight", "weight.bias"}


def test_a_matching_model_costs_little_and_equal_scores_cost_chance():
    class Known(torch.nn.Module):
        spec = create_model("lip_expert", config=NARROW).spec
        scale = 40.0

        def encode_video(self, frames):
            return frames[:, 0, : -self.spec.window_frames + 1, 0, :6]

        def encode_audio(self, wav, starts_s):
            return torch.eye(len(starts_s)).expand(len(wav), -1, -1)

        def compare(self, video, audio):
            return self.scale * (video * audio).sum(-1)

    model = Known()
    task = WindowMatchingStep(model, windows=6)
    frames = torch.zeros(2, 3, 10, 48, 96)
    frames[:, 0, :6, 0, :6] = torch.eye(6)
    wav = torch.zeros(2, 16000)
    assert task(frames, wav) < 1e-6
    model.scale = 0.0
    assert float(task(frames, wav)) == pytest.approx(task.chance)
