import pytest
import torch

from avsync.encoders.pretrained.timm_backbone import BATCH_FRAMES, TimmFrameEncoder

pytestmark = pytest.mark.arithmetic

SMALL = "test_resnet"
SIZE = (32, 48)


@pytest.fixture(scope="module", params=[True, False], ids=["padded", "valid"])
def tiny(request):
    torch.manual_seed(0)
    return TimmFrameEncoder(8, SMALL, SIZE, padded=request.param).eval()


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "resnet18"])
def test_any_kind_of_backbone_gives_tokens(backbone):
    frames = torch.rand(2, 3, 6, *SIZE)
    encoder = TimmFrameEncoder(8, backbone, SIZE).eval()
    assert encoder(frames).shape == (2, 6, 8)
    assert TimmFrameEncoder(8, backbone, SIZE, padded=False).eval()(frames).shape == (2, 2, 8)


@torch.no_grad()
def test_windows_are_encoded_as_if_alone(tiny):
    frames = torch.rand(2, 3, 11, *SIZE)
    windows = tiny.windows(frames, 6)
    assert windows.shape == (2, 6, 6 if tiny.padding else 2, 8)
    for k in (0, 3, 5):
        torch.testing.assert_close(windows[:, k], tiny(frames[:, :, k : k + 6]))


@torch.no_grad()
def test_a_token_sees_five_frames(tiny):
    frames = torch.rand(1, 3, 11, *SIZE)
    other = frames.clone()
    other[:, :, 6] = 0
    changed = ((tiny(other) - tiny(frames)).abs().amax((0, 2)) > 1e-6).nonzero()[:, 0]
    first = 4 if tiny.padding else 2
    assert changed.tolist() == list(range(first, first + 5))


@torch.no_grad()
def test_unpadded_tokens_do_not_depend_on_the_cut():
    torch.manual_seed(0)
    encoder = TimmFrameEncoder(8, SMALL, SIZE, padded=False).eval()
    frames = torch.rand(1, 3, 12, *SIZE)
    torch.testing.assert_close(encoder(frames[:, :, 3:]), encoder(frames)[:, 3:])


@torch.no_grad()
def test_grey_frames_are_rgb_frames_of_equal_channels(tiny):
    grey = torch.rand(1, 6, *SIZE)
    torch.testing.assert_close(tiny.encode_grey(grey), tiny(torch.stack([grey] * 3, dim=1)))


@torch.no_grad()
def test_colours_are_normalised_as_the_backbone_expects(tiny):
    frames = torch.rand(1, 3, 5, *SIZE)
    config = tiny.backbone.pretrained_cfg
    scaled = (frames[0].transpose(0, 1) - torch.tensor(config["mean"]).view(3, 1, 1)) / (
        torch.tensor(config["std"]).view(3, 1, 1)
    )
    torch.testing.assert_close(tiny.frame_features(frames)[0], tiny.backbone(scaled))


@torch.no_grad()
def test_training_takes_batch_statistics_over_all_frames():
    torch.manual_seed(0)
    encoder = TimmFrameEncoder(8, SMALL, SIZE)
    frames = torch.rand(1, 3, BATCH_FRAMES + 6, *SIZE)
    scaled = (frames[0].transpose(0, 1) - encoder.mean) / encoder.spread
    expected = encoder.backbone(scaled)
    torch.testing.assert_close(encoder.frame_features(frames)[0], expected, atol=1e-4, rtol=1e-4)


def test_a_new_encoder_is_in_training_mode_with_fresh_statistics():
    encoder = TimmFrameEncoder(8, SMALL, SIZE)
    assert all(module.training for module in encoder.modules())
    norms = [m for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and all((norm.running_mean == 0).all() for norm in norms)


def test_weights_that_cannot_be_downloaded_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match="weights of resnet18 could not be downloaded"):
        TimmFrameEncoder(8, "resnet18", SIZE, pretrained=True)


def test_wrong_input_is_named(tiny):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= \d, 32, 48\), got"):
        tiny(torch.zeros(1, 3, 5, 48, 32))
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, H, W\), got"):
        tiny.windows(torch.zeros(1, 3, 4, *SIZE), 5)
    with pytest.raises(ValueError, match="backbone must be a model that timm lists, got 'resnut'"):
        TimmFrameEncoder(8, "resnut")
