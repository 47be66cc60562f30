import shutil

import numpy as np
import pytest
import torch

from avsync.data.cache.mouths import MouthCache
from avsync.data.store.curation import CleanRow, write_clean_list
from avsync.data.store.reader import clip_folder
from avsync.faces.face_frame import motion_of
from avsync.tasks.registry import create_model
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.face_sync import FaceSyncRecipe, _batches, _sources, train
from avsync.training.steps.face_sync import FaceSyncStep


def recipe(store, folder, **changes):
    loop = LoopSettings(output=folder, steps=2, warmup=1, validate_every=0, device="cpu")
    small = dict(data=(store.path,), splits=store.path / "splits.json", batch=2, frames=12)
    return FaceSyncRecipe(**{"loop": loop, **small, "cache": folder / "cache", **changes})


def test_a_recipe_gives_weights_that_the_registry_loads(store, tmp_path):
    path = train(recipe(store, tmp_path, answer_offset_ms=25.0))
    model = create_model("face_sync", weights=path)
    assert model.spec.audio_from_s == pytest.approx(-0.0525 + 0.025)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    # Frozen networks have files of their own.
    assert not [name for name in model.state_dict() if name.startswith(("mesh", "whisper"))]
    assert path.stat().st_size < 3e6
    assert "within_1_at_5=" in (tmp_path / LOG_FILE).read_text()


def test_the_face_mesh_runs_once_over_each_clip(store, tmp_path):
    crops = [str(clip_folder(store.path, row.id) / "mesh.npy") for row in store.rows]
    cache = MouthCache(tmp_path, 64)
    assert cache.fill(crops) == 3
    assert MouthCache(tmp_path, 64).fill(crops) == 0
    assert cache.landmarks(crops[0], 3, 5).shape == (5, 62, 3)
    assert cache.mouths(crops[0], 3, 5).shape == (5, 64, 64)


def test_the_audio_of_the_first_window_is_where_the_step_looks_for_it(store, tmp_path):
    made = recipe(store, tmp_path, speed=1.0, frames=20)
    model = create_model("face_sync").eval()
    sources = _sources(made, model)
    segments = sources[0].segments
    make_batch = _batches(made, sources, model)
    landmarks, mouths, wav = make_batch(np.random.default_rng(0), torch.Generator().manual_seed(0))
    assert landmarks.shape == (2, 20, 62, 3) and mouths.shape == (2, 20, 48, 48)
    step = FaceSyncStep(model, 15 + 4)
    # encode_audio finds the same embedding at the first window's start.
    start_s = torch.tensor([segments.margin / 16000])
    with torch.no_grad():
        expected = model.encode_audio(wav, start_s)[:, 0]
        tokens = model.whisper.on(torch.device("cpu"))(wav)
        found = model.encode_speech(tokens)[:, step.first_step]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_training_sees_mouths_as_the_model_does(store, tmp_path):
    model = create_model("face_sync").eval()
    crops = str(clip_folder(store.path, store.rows[0].id) / "mesh.npy")
    cache = MouthCache(tmp_path, model.pixels.crop_size)
    cache.fill([crops])
    frames = torch.from_numpy(np.load(crops)).movedim(-1, 0)[None] / 255
    landmarks = torch.from_numpy(cache.landmarks(crops, 0, frames.shape[2])).float()[None]
    mouths = torch.from_numpy(cache.mouths(crops, 0, frames.shape[2]))[None] / 255
    step = FaceSyncStep(model, 15 + 4).eval()
    with torch.no_grad():
        expected = model.encode_video(frames)
        found = step.encode_mouths(motion_of(landmarks, model.mean_frames), mouths)
    # The cache rounds: landmarks to half precision, mouths to bytes.
    torch.testing.assert_close(found, expected, atol=0.02 * float(expected.abs().max()), rtol=0)


def test_clips_that_a_clean_table_drops_are_not_trained_on(store, tmp_path):
    rows = [CleanRow("one.0", "folder/one.mp4", "drop", None, 1.0, "")]
    write_clean_list(tmp_path / "clean.csv", rows)
    model = create_model("face_sync")
    (source,) = _sources(recipe(store, tmp_path, clean=(tmp_path / "clean.csv",)), model)
    assert [row.id for row in source.segments.clips.rows] == ["two.0"]


def test_a_store_without_mesh_crops_is_refused_with_the_command(store, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(store.path, copy)
    for path in copy.rglob("mesh.npy"):
        path.unlink()
    with pytest.raises(ValueError, match="avsync prepare --crops mesh"):
        train(recipe(store, tmp_path, data=(copy,), splits=copy / "splits.json"))
