import pytest
import torch

from avsync.scoring.embeddings import tree_map
from avsync.tasks.sync.vocalist import Vocalist
from avsync.tasks.sync.vocalist_variants import (
    Mc3VocalistConfig,
    TimmVocalistConfig,
    build_mc3_vocalist,
    build_timm_vocalist,
)

pytestmark = pytest.mark.arithmetic

SIZES = dict(channels=(2, 2, 3, 4, 16), depth=1, heads=2)


@pytest.fixture(scope="module", params=["mc3", "timm"])
def tiny(request):
    torch.manual_seed(0)
    if request.param == "mc3":
        return build_mc3_vocalist(Mc3VocalistConfig(visual_channels=(2, 4, 16), **SIZES)).eval()
    return build_timm_vocalist(TimmVocalistConfig(backbone="test_resnet", **SIZES)).eval()


@torch.no_grad()
def test_comparing_embeddings_equals_the_forward_pass(tiny):
    assert isinstance(tiny, Vocalist)
    frames, mel = torch.rand(1, 3, 6, 48, 96), torch.randn(2, 80, 16)
    video, audio = tiny.encode_video(frames), tiny.encode_features(mel)
    grid = tiny.compare(
        tree_map(lambda e: e[0][:, None], video), tree_map(lambda e: e[None], audio)
    )
    assert grid.shape == (2, 2)
    for k in range(2):
        window = frames[:, :, k : k + 5].expand(2, -1, -1, -1, -1)
        torch.testing.assert_close(grid[k], tiny(window, mel), atol=1e-5, rtol=1e-5)


def test_every_frame_affects_the_logits(tiny):
    frames = torch.rand(1, 3, 5, 48, 96, requires_grad=True)
    tiny(frames, torch.randn(1, 80, 16)).sum().backward()
    assert (frames.grad.abs().amax((1, 3, 4)) > 0).all()


def test_all_but_the_visual_encoder_is_vocalists_own():
    with torch.device("meta"):
        model = build_mc3_vocalist(Mc3VocalistConfig())
    rest = sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for p in model.visual.parameters()
    )
    assert rest == 80_106_561 - 38_608_448


def test_streams_of_different_width_are_named():
    with pytest.raises(ValueError, match=r"must be the same width, got \(2, 4\) and"):
        build_mc3_vocalist(Mc3VocalistConfig(visual_channels=(2, 4), **SIZES))
