import pytest
import torch

from avsync.encoders.avst import AvstVisualEncoder

CHANNELS = (2, 3, 4, 6)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return AvstVisualEncoder(CHANNELS, size=40).eval()


def test_the_published_sizes_give_the_published_parameters():
    with torch.device("meta"):
        encoder = AvstVisualEncoder(size=224)
    places = 512 * 14 * 14
    # Those of ResNet-18 without its classifier, and the two outer taps in time of 3-D kernels.
    flat = 11_689_512 - (512 * 1000 + 1000)
    taps = 2 * 9 * (128 * 256 + 3 * 256**2 + 256 * 512 + 3 * 512**2)
    assert sum(p.numel() for p in encoder.parameters()) == flat + taps + places


@torch.no_grad()
def test_windows_encoded_together_are_windows_encoded_alone(tiny):
    frames = torch.rand(2, 3, 14, 40, 40)
    windows = tiny.windows(frames, 5)
    assert windows.shape == (2, 10, 5, 6)
    for k in (0, 4, 9):
        torch.testing.assert_close(windows[:, k], tiny(frames[:, :, k : k + 5]))


@torch.no_grad()
def test_tokens_depend_on_motion(tiny):
    frames = torch.rand(1, 3, 6, 40, 40)
    tokens, backwards = tiny(frames), tiny(frames.flip(2)).flip(1)
    assert tokens.shape == (1, 6, 6)
    assert not torch.allclose(tokens, backwards, atol=1e-4)


@torch.no_grad()
def test_where_in_the_picture_something_is_found_can_tell():
    torch.manual_seed(0)
    encoder = AvstVisualEncoder(CHANNELS, size=32).eval()
    frames = torch.rand(1, 3, 3, 32, 32)
    before = encoder(frames)
    encoder.places[:, :, 0, 0] += 1000
    torch.testing.assert_close(encoder(frames), before + 1000, atol=20, rtol=0)


@pytest.mark.parametrize("shape", [(1, 3, 5, 40, 41), (1, 5, 3, 40, 40), (3, 5, 40, 40)])
def test_frames_of_another_shape_are_named(tiny, shape):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T, 40, 40\), got"):
        tiny(torch.zeros(shape))


def test_a_clip_shorter_than_a_window_is_named(tiny):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, H, W\), got \(1, 3, 4"):
        tiny.windows(torch.zeros(1, 3, 4, 40, 40), 5)
