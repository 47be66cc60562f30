import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from avsync import weights as checkpoints
from avsync.data.store.curation import CleanRow, write_clean_list
from avsync.encoders.pretrained.timm_backbone import TimmFrameEncoder
from avsync.tasks.registry import create_model
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync import dense_sync
from avsync.training.recipes.sync.dense_sync import DenseSyncRecipe, train


def recipe(store, folder, **changes):
    loop = LoopSettings(output=folder, steps=2, warmup=1, validate_every=0, device="cpu")
    splits = store.path / "splits.json"
    small = dict(data=(store.path,), splits=splits, batch=2, frames=12)
    return DenseSyncRecipe(**{"loop": loop, **small, **changes})


def test_a_recipe_gives_weights_that_the_registry_loads(store, tmp_path):
    path = train(recipe(store, tmp_path, answer_offset_ms=25.0))
    model = create_model("dense_sync", weights=path)
    assert model.spec.audio_from_s == pytest.approx(0.025)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert "within_1_at_5=" in (tmp_path / LOG_FILE).read_text()


def test_training_goes_on_from_given_weights(store, tmp_path):
    first = train(recipe(store, tmp_path / "first"))
    still = LoopSettings(output=tmp_path / "on", steps=1, lr=0.0, ema=0.0, device="cpu")
    second = train(recipe(store, tmp_path, loop=still, init=first))
    weights = [create_model("dense_sync", weights=path).state_dict() for path in (first, second)]
    name = "mel.head.1.weight"
    torch.testing.assert_close(weights[0][name], weights[1][name], atol=1e-3, rtol=1e-2)


def test_weights_of_another_size_are_saved_with_their_own_config(store, tmp_path):
    sizes = dict(dim=16, mouth_channels=[4, 8, 8, 16], mel_channels=[4, 8, 8, 8, 16], n_mels=32)
    first = tmp_path / "small.safetensors"
    checkpoints.save(first, create_model("dense_sync", config=sizes).state_dict(), sizes)
    second = train(recipe(store, tmp_path, init=first, answer_offset_ms=10.0))
    model = create_model("dense_sync", weights=second)
    assert model.encode_video(torch.rand(1, 3, 6, 56, 56)).shape == (1, 2, 16)
    assert model.spec.audio_from_s == pytest.approx(0.01)


FEW_HANDLES = """
import resource, sys
from pathlib import Path
from avsync.training.recipes.sync.dense_sync import DenseSyncRecipe, train
from avsync.training.engine.settings import LoopSettings

store, output = map(Path, sys.argv[1:])
loop = LoopSettings(output=output, steps=1, warmup=0, validate_every=0, device="cpu")
recipe = DenseSyncRecipe(loop, (store,), splits=store / "splits.json", frames=12, width=0.05)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
train(recipe)
"""


def test_a_store_may_have_more_arrays_than_the_process_may_open_files(store, tmp_path):
    many = tmp_path / "many"
    names = [f"copy{number}" for number in range(50)]
    for name in names:
        shutil.copytree(store.path / "clips/one", many / "clips" / name, copy_function=os.link)
    rows = [
        store.rows[0]._replace(id=f"{name}.0", source=f"{name}.mp4").to_json() for name in names
    ]
    (many / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (many / "splits.json").write_text(json.dumps({"train": names[:25], "val": names[25:]}))
    command = [sys.executable, "-c", FEW_HANDLES, str(many), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_trains_with_a_backbone_of_timm(store, tmp_path):
    path = train(recipe(store, tmp_path, backbone="test_resnet", answer_offset_ms=25.0))
    assert path.name == "dense_sync_timm.safetensors"
    model = create_model("dense_sync_timm", weights=path)
    assert isinstance(model.mouth, TimmFrameEncoder)
    assert model.spec.audio_from_s == pytest.approx(0.025)


def test_shares_must_fit_the_stores(store, tmp_path):
    with pytest.raises(ValueError, match="share must have 1 values, got 2"):
        train(recipe(store, tmp_path, share=(0.5, 0.5)))
    with pytest.raises(ValueError, match="data must name at least one store"):
        train(recipe(store, tmp_path, data=()))


def test_clips_that_an_audit_dropped_are_not_trained_on(store, tmp_path):
    rows = [CleanRow(f"{name}.0", "", "drop", None, 0.0, "no_match") for name in ("one", "two")]
    write_clean_list(tmp_path / "clean.csv", rows)
    with pytest.raises(ValueError, match="clips must hold one of 12 frames or more, got 0"):
        train(recipe(store, tmp_path, clean=(tmp_path / "clean.csv",)))


@pytest.mark.parametrize("augment", ["both", "mouth", "voice", "none"])
def test_only_what_the_recipe_says_is_altered(augment, store, tmp_path, monkeypatch):
    altered = []

    def counted(name, real):
        return lambda *given: altered.append(name) or real(*given)

    for name, function in (("mouth", "augment_mouth"), ("voice", "augment_mel")):
        path = f"avsync.training.recipes.sync.dense_sync.{function}"
        monkeypatch.setattr(path, counted(name, getattr(dense_sync, function)))
    train(recipe(store, tmp_path, augment=augment))
    assert set(altered) == {"both": {"mouth", "voice"}, "none": set()}.get(augment, {augment})
