import math

import numpy as np
import pytest
import torch

from avsync.tasks.registry import create_model
from avsync.tasks.sync.avst import AvstConfig, build_avst
from avsync.training.data.sync import ClipData
from avsync.training.data.sync_batches import sequence_batches
from avsync.training.engine.batches import as_floats
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.avst import AvstRecipe, train
from avsync.training.steps.sync import WindowMatchingStep

SIZES = dict(visual_channels=(2, 3, 4, 8), audio_channels=(2, 3, 4, 5, 8), depth=1, heads=2)


@pytest.mark.parametrize("context", [5, 10])
def test_a_recipe_gives_weights_that_the_registry_loads(store, tmp_path, context):
    loop = LoopSettings(output=tmp_path, steps=2, validate_every=0, device="cpu")
    clips = ClipData((store.path,), store.path / "splits.json", batch=2)
    path = train(AvstRecipe(clips, loop, AvstConfig(**SIZES, window_frames=context), windows=6))
    assert create_model("avst", weights=path).spec.window_frames == context
    log = (tmp_path / LOG_FILE).read_text()
    assert f"within_1_at_{context}=" in log and f"{math.log(6):.4f}" in log


@torch.no_grad()
def test_a_model_that_knows_nothing_costs_the_logarithm_of_the_candidates(store):
    model = build_avst(AvstConfig(**SIZES)).eval()
    model.head.weight.zero_()
    make = sequence_batches(ClipData((store.path,), batch=2), model.spec, 6)
    batch = as_floats(make(np.random.default_rng(0), torch.Generator()))
    assert batch[0].shape == (2, 3, 10, 96, 96)
    task = WindowMatchingStep(model, 6)
    assert task(*batch).item() == pytest.approx(task.chance) == pytest.approx(math.log(6))


@torch.no_grad()
def test_windows_are_matched_within_their_own_clip_only(store):
    torch.manual_seed(0)
    model = build_avst(AvstConfig(**SIZES)).eval()
    make = sequence_batches(ClipData((store.path,), batch=3), model.spec, 6)
    frames, wav = as_floats(make(np.random.default_rng(0), torch.Generator()))
    task = WindowMatchingStep(model, 6)
    alone = torch.stack([task(f[None], w[None]) for f, w in zip(frames, wav, strict=True)])
    torch.testing.assert_close(task(frames, wav), alone.mean())


def test_statistics_are_those_of_the_whole_batch():
    # One clip's alone would make what is trained another model than what is measured.
    model = build_avst(AvstConfig(**SIZES)).train()
    samples = round(model.spec.audio_until_s * 16000) + 12 * 640
    WindowMatchingStep(model, 13)(torch.rand(6, 3, 17, 96, 96), 0.1 * torch.randn(6, samples))
    counts = {n: int(b) for n, b in model.named_buffers() if n.endswith("num_batches_tracked")}
    assert counts and set(counts.values()) == {1}
