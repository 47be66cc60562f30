import pytest
import torch

from avsync.encoders.dense_sync import DenseSyncVisualEncoder, stack_frames


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return DenseSyncVisualEncoder(dim=12, channels=(4, 8, 8, 16)).eval()


@pytest.fixture
def frames():
    return torch.rand(2, 3, 12, 40, 40, generator=torch.Generator().manual_seed(0))


def test_a_token_sees_five_frames_and_no_more(encoder, frames):
    changed = frames.clone()
    changed[:, :, 6] = 0.5 * torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    moved = (encoder(frames) - encoder(changed)).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [False, False, True, True, True, True, True, False]


def test_a_cut_clip_gives_the_same_tokens(encoder, frames):
    whole = encoder(frames)
    torch.testing.assert_close(encoder(frames[:, :, 3:10]), whole[:, 3:6], atol=1e-5, rtol=1e-4)


def test_exposure_does_not_matter(encoder, frames):
    darker = 0.5 * frames + 0.1
    torch.testing.assert_close(encoder(darker), encoder(frames), atol=0.05, rtol=0.05)


def test_stacked_frames_make_a_2d_convolution_a_3d_one():
    x = torch.randn(2, 7, 4, 9, 9)
    kernel = torch.randn(5, 4, 3, 3, 3)  # out, in, time, height, width
    expected = torch.nn.functional.conv3d(x.transpose(1, 2), kernel, padding=(0, 1, 1))
    flat = kernel.transpose(1, 2).reshape(5, 12, 3, 3)
    got = torch.nn.functional.conv2d(stack_frames(x, 3), flat, padding=1)
    torch.testing.assert_close(
        got.reshape(2, 5, 5, 9, 9).transpose(1, 2), expected, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("shape", [(1, 12, 3, 40, 40), (1, 3, 4, 40, 40), (3, 12, 24, 24)])
def test_wrong_frames_are_named(encoder, shape):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, H, W\), got"):
        encoder(torch.rand(shape))
