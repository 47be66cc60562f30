import pytest
import torch

from avsync.losses.margin_contrastive import MarginContrastiveLoss
from avsync.tasks.registry import create_model
from avsync.tasks.sync.syncnet import SyncNetConfig, build_syncnet
from avsync.training.data.sync import ClipData, audio_range_in_use
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.syncnet import SyncNetRecipe, train
from avsync.training.steps.sync import PairStep

TINY = SyncNetConfig((2, 3, 4), (2, 3, 4, 5, 6), dim=6, size=64, crop="face")


def test_a_recipe_gives_weights_that_the_registry_loads(store, tmp_path):
    loop = LoopSettings(output=tmp_path, steps=2, validate_every=0, device="cpu")
    clips = ClipData((store.path,), store.path / "splits.json", batch=3)
    path = train(SyncNetRecipe(clips, loop, TINY, margin=4.0))
    model = create_model("syncnet", weights=path)
    assert (model.spec.crop, model.spec.width) == ("face", 64)
    log = (tmp_path / LOG_FILE).read_text()
    assert "within_1_at_5=" in log and "2.0000" in log


def test_the_audio_of_a_window_gives_its_columns_and_no_more():
    model = build_syncnet(TINY)
    audio = audio_range_in_use(model.spec)
    assert audio.first == -1
    assert model.front_end.columns(torch.zeros(1, audio.samples)).shape[-1] == 20
    assert model.front_end.columns(torch.zeros(1, audio.samples - 1)).shape[-1] == 19


@torch.no_grad()
def test_the_loss_is_that_of_the_distances_in_use():
    torch.manual_seed(0)
    model = build_syncnet(TINY).eval()
    task, wav = PairStep(model, MarginContrastiveLoss(4.0), sign=-1), 0.1 * torch.randn(1, 16000)
    frames, audio = torch.rand(1, 3, 5, 64, 64), audio_range_in_use(model.spec)
    cut = wav[:, 6400 + audio.first :][:, : audio.samples]
    video = model.encode_video(frames)[0, 0]
    distance = -model.compare(video, model.encode_audio(wav, torch.tensor([0.4]))[0, 0])
    in_sync, out = (task(frames, cut, torch.tensor([label])) for label in (1.0, 0.0))
    assert in_sync.item() == pytest.approx(distance.item() ** 2 / 2, rel=1e-5)
    assert out.item() == pytest.approx(max(4 - distance.item(), 0) ** 2 / 2, rel=1e-5)
