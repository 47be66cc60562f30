import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from training.spoken import READER, write_transcripts

from avsync import weights
from avsync.tasks.registry import create_model
from avsync.tasks.sync.av_syncnet import AvSyncNetConfig, build_av_syncnet
from avsync.training.data.sync import ClipData
from avsync.training.data.utterances import TranscriptData
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.lipreading.lip_reader import LipReaderRecipe
from avsync.training.recipes.lipreading.lip_reader import train as train_reader
from avsync.training.recipes.sync.av_syncnet import (
    AvSyncNetRecipe,
    AvSyncNetStep,
    av_syncnet_batches,
    train,
)

pytestmark = pytest.mark.arithmetic

TINY = AvSyncNetConfig(READER, window=3)
LETTERS = replace(TINY, reader=replace(READER, unit="characters"))


def loop(folder):
    return LoopSettings(output=folder, steps=2, validate_every=0, device="cpu")


def test_alignment_alone_needs_no_transcripts(store, tmp_path):
    clips = ClipData((store.path,), store.path / "splits.json", batch=2)
    recipe = AvSyncNetRecipe(clips, loop(tmp_path), LETTERS, windows=6, contrast="clip")
    model = create_model("av_syncnet", weights=train(recipe))
    assert model.spec.window_frames == 7
    log = (tmp_path / LOG_FILE).read_text()
    assert "within_1_at_7=" in log and f"{math.log(6):.4f}" in log


def test_it_starts_from_a_lip_reader_and_goes_on_reading(store, tmp_path):
    said = write_transcripts(tmp_path / "said")
    clips = ClipData((store.path,), batch=2)
    reader = train_reader(
        LipReaderRecipe(TranscriptData(said), clips, loop(tmp_path / "reader"), READER)
    )
    recipe = AvSyncNetRecipe(
        clips, loop(tmp_path / "run"), TINY, transcripts=said, windows=6, reader=reader, sentences=2
    )
    path = train(replace(recipe, loop=replace(recipe.loop, lr=1e-9)))
    before = weights.load(reader).state_dict["encoder.audio_proj.weight"]
    after = weights.load(path).state_dict["reader.encoder.audio_proj.weight"]
    torch.testing.assert_close(after, before)
    assert create_model("av_syncnet", weights=path).reader.vocabulary.unit == "words"


@pytest.mark.parametrize(("contrast", "chance"), [("talklip", math.log(7)), ("synctalklip", 0.0)])
def test_tokens_that_all_agree_cost_what_chance_says(contrast, chance):
    model = build_av_syncnet(LETTERS)
    for proj in (model.encoder.transformer.norm, model.audio_proj):
        torch.nn.init.zeros_(proj.weight)
        torch.nn.init.ones_(proj.bias)
    task = AvSyncNetStep(model, contrast, frames=12, windows=6, lip=0.0)
    loss = task(torch.rand(2, 12, 24, 24), torch.randn(2, 8, 104))
    assert loss.item() == pytest.approx(task.chance, abs=1e-5) == pytest.approx(chance, abs=1e-5)


@torch.no_grad()
def test_what_is_trained_on_is_what_is_compared_in_use(store):
    model = build_av_syncnet(LETTERS).eval()
    clips = ClipData((store.path,), batch=2)
    recipe = AvSyncNetRecipe(clips, windows=6, augment="none", model=LETTERS)
    make = av_syncnet_batches(recipe, model, None)
    video, audio = make(np.random.default_rng(0), torch.Generator().manual_seed(0))
    assert video.shape == (2, 12, 24, 24) and audio.shape == (2, 8, 104)
    assert model.encode_grey_mouths(video).shape == model.encode_fbank(audio).shape == (2, 6, 8)


def test_reading_counts_by_its_weight():
    model = build_av_syncnet(LETTERS).eval()
    video, audio = torch.rand(2, 12, 24, 24), torch.randn(2, 8, 104)
    batch = model.reader.vocabulary.batch(["a b"])
    spoken = (torch.rand(1, 9, 24, 24), torch.tensor([9]), *batch, None, torch.randn(1, 9, 104))
    parts = [
        AvSyncNetStep(model, "clip", 12, 6, lip)(video, audio, *spoken).item()
        for lip in (0.0, 1.0, 2.0)
    ]
    assert parts[2] - parts[1] == pytest.approx(parts[1] - parts[0], rel=1e-4) != 0


def test_wrong_settings_are_named(store, tmp_path):
    with pytest.raises(ValueError, match="contrast must be one of talklip, synctalklip, clip"):
        AvSyncNetStep(build_av_syncnet(LETTERS), "triplet", 12, 6)
    clips = ClipData((store.path,), batch=2)
    recipe = AvSyncNetRecipe(clips, loop(tmp_path), reader=tmp_path, init=tmp_path)
    with pytest.raises(ValueError, match="reader and init must not both be given"):
        train(recipe)
