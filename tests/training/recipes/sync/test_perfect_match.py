import math

import numpy as np
import pytest
import torch

from avsync.losses.n_way_matching import NWayMatchingLoss, ScaledCosine
from avsync.tasks.registry import create_model
from avsync.tasks.sync.perfect_match import PerfectMatchConfig, build_perfect_match
from avsync.training.data.sync import ClipData
from avsync.training.data.sync_batches import sequence_batches
from avsync.training.engine.batches import as_floats
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.perfect_match import PerfectMatchRecipe, train
from avsync.training.steps.sync import EmbeddingMatchingStep

TINY = PerfectMatchConfig((2, 3, 4), (2, 3, 4, 5, 6), dim=6, size=64, crop="face")


@pytest.mark.parametrize("similarity", ["cosine", "distance"])
def test_a_recipe_gives_weights_that_the_registry_loads(store, tmp_path, similarity):
    loop = LoopSettings(output=tmp_path, steps=2, validate_every=0, device="cpu")
    clips = ClipData((store.path,), store.path / "splits.json", batch=3)
    path = train(PerfectMatchRecipe(clips, loop, TINY, windows=8, similarity=similarity))
    assert create_model("perfect_match", weights=path).spec.width == 64
    log = (tmp_path / LOG_FILE).read_text()
    assert "within_1_at_5=" in log and f"{math.log(8):.4f}" in log


@torch.no_grad()
def test_a_model_that_gives_all_windows_one_embedding_costs_chance(store):

    model = build_perfect_match(TINY).eval()
    for head in (model.visual.head, model.audio.head):
        head[-1].weight.zero_()
    clips = ClipData((store.path,), batch=2)
    make = sequence_batches(clips, model.spec, 7)
    batch = as_floats(make(np.random.default_rng(0), torch.Generator()))
    assert batch[0].shape == (2, 3, 11, 64, 64)
    task = EmbeddingMatchingStep(model, 7, NWayMatchingLoss(ScaledCosine()))
    assert task(*batch).item() == pytest.approx(task.chance) == pytest.approx(math.log(7))


@torch.no_grad()
def test_the_audio_of_a_sequence_is_just_that_of_its_windows(store):
    model = build_perfect_match(TINY).eval()
    task = EmbeddingMatchingStep(model, 7, NWayMatchingLoss(ScaledCosine()))
    frames = torch.rand(1, 3, 11, 64, 64)

    make = sequence_batches(ClipData((store.path,), batch=1), model.spec, 7)
    _, wav = make(np.random.default_rng(0), torch.Generator())
    task(frames, wav)
    with pytest.raises(ValueError, match="starts_s must leave each window's audio"):
        task(frames, wav[:, :-160])
