import pytest
import torch
from torchvision.models.video import mc3_18

from avsync.encoders.pretrained.mc3 import Mc3Encoder

pytestmark = pytest.mark.arithmetic


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return Mc3Encoder((4, 8)).eval()


@torch.no_grad()
def test_the_published_widths_are_torchvisions_without_the_classifier():
    torch.manual_seed(0)
    reference, ours = mc3_18().eval(), Mc3Encoder().eval()
    state = {name: tensor for name, tensor in reference.state_dict().items() if "fc." not in name}
    ours.trunk.load_state_dict(state, strict=True)
    reference.fc = torch.nn.Identity()
    frames = torch.rand(1, 3, 2, 16, 16)
    expected = reference((frames - ours.mean) / ours.spread)
    torch.testing.assert_close(ours(frames).mean(1), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_every_frame_has_a_token_at_any_crop_size(tiny):
    assert tiny(torch.rand(2, 3, 5, 24, 48)).shape == (2, 5, 8)
    assert tiny(torch.rand(1, 3, 7, 40, 40)).shape == (1, 7, 8)


@torch.no_grad()
def test_a_token_sees_five_frames_to_either_side(tiny):
    frames = torch.rand(1, 3, 15, 16, 16)
    other = frames.clone()
    other[:, :, 12:] = torch.rand(1, 3, 3, 16, 16)
    differs = (tiny(other) - tiny(frames)).abs().amax((0, 2)) > 1e-6
    assert differs.tolist() == [False] * 7 + [True] * 8


@torch.no_grad()
def test_windows_are_encoded_as_if_alone(tiny):
    frames = torch.rand(2, 3, 14, 16, 16)
    windows = tiny.windows(frames, 5)
    assert windows.shape == (2, 10, 5, 8)
    for k in (0, 7, 9):
        torch.testing.assert_close(windows[:, k], tiny(frames[:, :, k : k + 5]))


@torch.no_grad()
def test_colours_are_normalised_as_in_torchvision(tiny):
    grey = tiny.mean.expand(3, 5, 16, 16)[None]
    torch.testing.assert_close(tiny(grey), tiny.trunk(0 * grey).mean((3, 4)).mT)


def test_weights_that_cannot_be_downloaded_are_named(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"weights of MC3-18 could not be downloaded \(no route"):
        Mc3Encoder(pretrained=True)


def test_wrong_input_is_named(tiny):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T, H, W\), got \(1, 5, 3"):
        tiny(torch.zeros(1, 5, 3, 16, 16))
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, H, W\), got \(1, 3, 4"):
        tiny.windows(torch.zeros(1, 3, 4, 16, 16), 5)
    with pytest.raises(ValueError, match=r"channels must be 1 to 4 widths, got \(\)"):
        Mc3Encoder(())
    with pytest.raises(ValueError, match=r"weights are of channels \(64, .*, got \(4, 8\)"):
        Mc3Encoder((4, 8), pretrained=True)
