import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training.spoken import READER, write_transcripts

from avsync.tasks.lipreading.lip_reader import build_lip_reader
from avsync.tasks.registry import create_model
from avsync.training.data.sync import ClipData
from avsync.training.data.utterances import TranscribedClips, TranscriptData
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.lipreading.lip_reader import (
    LipReaderRecipe,
    LipReaderStep,
    ctc_loss,
    train,
)

WORDS = ("bin", "blue", "now", "please")


@pytest.fixture
def transcripts(tmp_path):
    return write_transcripts(tmp_path / "said")


def test_a_recipe_gives_weights_that_the_registry_loads(store, tmp_path, transcripts):
    loop = LoopSettings(output=tmp_path / "run", steps=2, validate_every=0, device="cpu")
    clips = ClipData((store.path,), store.path / "splits.json", batch=2)
    path = train(
        LipReaderRecipe(TranscriptData(transcripts), clips, loop, READER, ctc=0.5, by_frame=1.0)
    )
    model = create_model("lip_reader", weights=path)
    assert model.vocabulary.symbols == WORDS
    assert len(model.read(torch.rand(1, 3, 9, 24, 24), longest=4)) == 1
    log = (tmp_path / "run" / LOG_FILE).read_text()
    assert "told_from_video=" in log and "told_from_audio=" in log


@pytest.mark.parametrize("streams", ["both", "video", "audio"])
def test_a_model_that_knows_nothing_costs_the_logarithm_of_the_vocabulary(
    store, transcripts, streams
):
    model = build_lip_reader(replace(READER, symbols=WORDS))
    torch.nn.init.zeros_(model.classifier.weight)
    torch.nn.init.zeros_(model.classifier.bias)
    make = TranscribedClips(ClipData((store.path,), batch=3), TranscriptData(transcripts)).batches(
        model
    )
    batch = make(np.random.default_rng(0), torch.Generator().manual_seed(0))
    task = LipReaderStep(model, streams, ctc=1.0)
    assert task(*batch).item() == pytest.approx(task.chance) == pytest.approx(math.log(5))


def test_batches_say_what_counts(store, transcripts):
    model = build_lip_reader(replace(READER, symbols=WORDS))
    make = TranscribedClips(ClipData((store.path,), batch=4), TranscriptData(transcripts)).batches(
        model
    )
    batch = make(np.random.default_rng(1), torch.Generator().manual_seed(0))
    video, lengths, inputs, targets, said, audio = batch
    longest = int(lengths.max())
    assert video.shape == (4, longest, 24, 24) and audio.shape == (4, longest, 104)
    assert inputs.shape == targets.shape and (inputs[:, 0] == 0).all()
    for clip, length in enumerate(lengths.tolist()):
        # Silence apart, the words of the frames are those of the text in their order.
        words = said[clip, :length][said[clip, :length] != 0].unique_consecutive().tolist()
        assert words == [symbol for symbol in targets[clip].tolist() if symbol > 0]
        assert (said[clip, length:] == -100).all()
    again = make(np.random.default_rng(1), torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))


@torch.no_grad()
def test_padding_does_not_change_the_loss(store, transcripts):
    task = LipReaderStep(build_lip_reader(replace(READER, symbols=WORDS)), "audio", ctc=1.0).eval()
    audio, inputs, targets = torch.randn(1, 9, 104), torch.tensor([[0, 1]]), torch.tensor([[1, 0]])
    said = torch.tensor([[0] * 5 + [1] * 4])
    loss = task(None, torch.tensor([9]), inputs, targets, said, audio)
    longer, silent = F.pad(audio, (0, 0, 0, 4), value=7.0), F.pad(said, (0, 4), value=-100)
    padded = task(None, torch.tensor([9]), inputs, targets, silent, longer)
    torch.testing.assert_close(padded, loss)


def test_ctc_on_paper():
    # Two frames, one symbol: it is said in the first, in the second or in both.
    logits = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]]).log()
    loss = ctc_loss(logits, torch.tensor([2]), torch.tensor([[1, 0]]))
    assert loss.item() == pytest.approx(-math.log(1 - 0.5 * 0.25))


@pytest.mark.parametrize("aid", ["ctc", "by_frame"])
def test_losses_on_the_tokens_train_the_encoder_and_are_not_reported(aid):
    model = build_lip_reader(replace(READER, symbols=WORDS)).eval()
    batch = model.vocabulary.batch(["bin now"])
    said = torch.tensor([[1] * 4 + [0] * 2 + [3] * 3])
    given = (None, torch.tensor([9]), *batch, said, torch.randn(1, 9, 104))
    values, slopes = [], []
    for weight in (0.0, 1.0):
        task = LipReaderStep(model, "audio", **{aid: weight})
        model.zero_grad()
        loss = task(*given)
        loss.backward()
        values.append(loss.item())
        slopes.append([model.classifier.weight.grad, model.encoder.audio_proj.weight.grad.clone()])
    assert values[0] == pytest.approx(values[1])
    assert not torch.allclose(slopes[0][1], slopes[1][1])


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="ctc and by_frame must be 0 or more, got -1 and 0"):
        LipReaderStep(build_lip_reader(replace(READER, symbols=WORDS)), ctc=-1)
    with pytest.raises(ValueError, match="by_frame needs a vocabulary of words"):
        LipReaderStep(build_lip_reader(replace(READER, unit="characters")), by_frame=1.0)
