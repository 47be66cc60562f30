import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from training.separation_recipes import recipe
from training.steps.test_separator_config import CHANNELS, sync_weights

from avsync import weights as checkpoints
from avsync.data.cache.features import FeatureCache
from avsync.data.sampling.mixture_manifest import read_manifest
from avsync.data.sampling.mixtures import MixtureLevels
from avsync.tasks.registry import create_model
from avsync.training.engine.contact_sheet import SHEET_FILE
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.recipes.separation.ynet import HELD_OUT_FILE, LOOP, start_separator, train
from avsync.training.steps.separator_config import MODELS, describe_visual_encoder

VOCALIST = {"channels": CHANNELS, "depth": 1, "heads": 2}


def test_the_audio_only_network_trains_and_is_measured(store, tmp_path):
    path = train(recipe(store, tmp_path))
    model = create_model("unet", weights=path)
    assert path.name == "unet.safetensors" and model.sources == 3
    log = (tmp_path / "run" / LOG_FILE).read_text()
    assert all(f"{name}=" in log for name in ("si_sdr_gain", "si_sdr", "sdr"))
    assert len(read_manifest(tmp_path / "run" / HELD_OUT_FILE, model.spec)) == 3
    assert not (tmp_path / "run" / SHEET_FILE).exists()


def test_it_trains_end_to_end_with_the_mouth(store, tmp_path):
    given = recipe(store, tmp_path, kind="m")
    fresh = start_separator(given).model.visual.state_dict()
    trained = create_model("ynet_m", weights=train(given)).visual.state_dict()
    assert any(not torch.equal(trained[name], fresh[name]) for name in fresh)
    assert (tmp_path / "run" / SHEET_FILE).is_file()
    assert not (tmp_path / "cache" / "features").exists()


def test_a_frozen_encoder_learns_nothing_and_sees_each_clip_once(store, tmp_path, monkeypatch):
    weights = sync_weights(tmp_path, "vocalist", VOCALIST)
    given = recipe(store, tmp_path, kind="v", visual=weights)
    path = train(given)
    expected = create_model("vocalist", weights=weights).visual.state_dict()
    found = create_model("ynet_v", weights=path).visual.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    # Two clips to train on and one that is measured on, from the first run on.
    assert len(list((tmp_path / "cache" / "features").rglob("*.npy"))) == 3
    made = []
    fill = FeatureCache.fill
    monkeypatch.setattr(FeatureCache, "fill", lambda *a: made.append(fill(*a)))
    train(replace(given, loop=replace(given.loop, output=tmp_path / "again")))
    assert made == [0]


@pytest.mark.parametrize("kind", ["s", "dense-sync", "llcp"])
def test_every_kind_with_a_pretrained_visual_encoder_trains(kind, store, tmp_path):
    path = train(recipe(store, tmp_path, kind=kind, end_to_end=kind != "dense-sync"))
    model = create_model(MODELS[kind], weights=path)
    assert model.frozen == (kind == "dense-sync")


def test_it_trains_on_the_landmarks_of_each_clip(store, tmp_path):
    for number, row in enumerate(store.rows):
        points = np.random.default_rng(number).integers(0, 96, (row.frames, 68, 2), np.int16)
        np.savez(tmp_path / f"{row.id}.npz", landmarks=points)
    given = recipe(store, tmp_path, kind="g", visual_width=1.0)
    path = train(replace(given, clips=replace(given.clips, landmarks=tmp_path)))
    assert create_model("ynet_g", weights=path).spec.landmarks


def test_vocalist_can_encode_windows_as_it_was_trained(store, tmp_path):
    weights = sync_weights(tmp_path, "vocalist", VOCALIST)
    whole, windows = (
        start_separator(recipe(store, tmp_path, kind="v", visual=weights, window_frames=frames))
        for frames in (0, 5)
    )
    frames = torch.rand(1, 3, 25, 48, 96)
    tokens = [separator.model.eval().encode_video(frames) for separator in (whole, windows)]
    # In the middle of a window and in the middle of a clip other frames are to be tokens.
    assert not torch.allclose(*tokens) and tokens[0].shape == tokens[1].shape
    keys = [
        describe_visual_encoder(separator.name, separator.config) for separator in (whole, windows)
    ]
    assert keys[0] != keys[1]
    with pytest.raises(ValueError, match="window_frames is for kind v, got kind m"):
        start_separator(recipe(store, tmp_path, kind="m", window_frames=5))


def test_the_same_encoder_can_learn_too(store, tmp_path):
    weights = sync_weights(tmp_path, "vocalist", VOCALIST)
    given = recipe(store, tmp_path, kind="v", visual=weights, end_to_end=True)
    before = create_model("vocalist", weights=weights).visual.state_dict()
    after = create_model("ynet_v", weights=train(given)).visual.state_dict()
    assert any(not torch.equal(after[name], before[name]) for name in before)


def test_it_learns_to_separate_a_voice_from_music(store, tmp_path):
    given = recipe(store, tmp_path, levels=MixtureLevels(second_share=0))
    loop = replace(given.loop, steps=40, optimizer="adamw", lr=0.01, warmup=0, ema=0.0)
    train(replace(given, loop=loop))
    with open(tmp_path / "run" / LOG_FILE) as file:
        rows = [row for row in csv.DictReader(file) if row["loss"]]
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[-1]["chance"])


def test_training_goes_on_from_given_weights_with_their_sizes(store, tmp_path):
    first = train(recipe(store, tmp_path))
    still = replace(recipe(store, tmp_path).loop, output=tmp_path / "on", lr=0.0, ema=0.0)
    second = train(recipe(store, tmp_path, loop=still, init=first, width=1.0))
    weights = [create_model("unet", weights=p).unet.head.weight for p in (first, second)]
    assert torch.equal(*weights)


def test_a_mixture_of_two_sources_is_divided_by_two(store, tmp_path):
    alone = recipe(store, tmp_path, levels=MixtureLevels(second_share=0))
    assert start_separator(alone).model.sources == 2


def test_the_published_way_is_the_default():
    loop = LOOP
    assert (loop.optimizer, loop.lr, loop.momentum, loop.weight_decay) == ("sgd", 0.01, 0.8, 1e-5)
    assert (loop.warmup, loop.decay, loop.ema, loop.clip) == (0, 0.0, 0.0, float("inf"))


def test_weights_with_a_visual_encoder_take_no_other(store, tmp_path):
    given = recipe(store, tmp_path, kind="m", init=tmp_path / "x", kinetics=True)
    with pytest.raises(ValueError, match="init has its own visual encoder"):
        start_separator(given)


def test_a_chunk_longer_than_the_clips_says_so(store, tmp_path):
    with pytest.raises(ValueError, match="one of 50 frames or more, the longest has 40"):
        train(recipe(store, tmp_path, seconds=2))


def test_runs_are_measured_on_one_manifest(store, tmp_path):
    train(recipe(store, tmp_path))
    given = recipe(store, tmp_path)
    spec = start_separator(given).model.spec
    rows = read_manifest(tmp_path / "run" / HELD_OUT_FILE, spec)
    clips = replace(given.clips, held_out=tmp_path / "run" / HELD_OUT_FILE, validate_mixtures=9)
    again = replace(given, clips=clips, loop=replace(given.loop, output=tmp_path / "again", seed=5))
    train(again)
    without_splits = replace(again.clips, splits=None)
    unsplit = replace(again.loop, output=tmp_path / "unsplit")
    train(replace(again, clips=without_splits, loop=unsplit))
    assert read_manifest(tmp_path / "unsplit" / HELD_OUT_FILE, spec) == rows
    assert "si_sdr_gain=" in (tmp_path / "unsplit" / LOG_FILE).read_text()
    path = tmp_path / "again" / HELD_OUT_FILE
    assert read_manifest(path, spec) == rows
    assert checkpoints.load(tmp_path / "again" / "unet.safetensors").config["seconds"] == 1
