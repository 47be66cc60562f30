import pytest
import torch

from avsync.tasks.sync.dense_sync import DenseSync, TimmDenseSyncConfig, build_timm_dense_sync
from avsync.training.recipes.sync.dense_sync import DenseSyncStep

pytestmark = pytest.mark.arithmetic

CONFIG = TimmDenseSyncConfig(
    backbone="test_resnet", dim=16, mel_channels=(4, 8, 8, 8, 16), n_mels=32, crop_size=40
)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return build_timm_dense_sync(CONFIG)


@torch.no_grad()
def test_embeddings_do_not_depend_on_where_the_clip_was_cut(tiny):
    assert isinstance(tiny.eval(), DenseSync)
    frames = torch.rand(1, 3, 12, 40, 40)
    video = tiny.encode_video(frames)
    assert video.shape == (1, 8, 16) and tiny.spec.window_frames == 5
    torch.testing.assert_close(tiny.encode_video(frames[:, :, 3:]), video[:, 3:])


def test_it_trains_as_dense_sync_does(tiny):
    task = DenseSyncStep(tiny, first_step=2)
    loss = task(torch.rand(2, 12, 40, 40), torch.randn(2, 32, 60))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tiny.parameters())
