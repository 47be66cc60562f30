import pytest
import torch

from avsync.encoders.dense_sync import DenseSyncAudioEncoder, DenseSyncVisualEncoder, stack_frames

pytestmark = pytest.mark.arithmetic


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return DenseSyncVisualEncoder(dim=12, channels=(4, 8, 8, 16)).eval()


@pytest.fixture
def frames():
    return torch.rand(2, 3, 12, 40, 40, generator=torch.Generator().manual_seed(0))


def test_a_token_sees_five_frames_only(encoder, frames):
    changed = frames.clone()
    changed[:, :, 6] = 0.5 * torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    differs = (encoder(frames) - encoder(changed)).abs().amax((0, 2)) > 1e-6
    assert differs.tolist() == [False, False, True, True, True, True, True, False]


def test_tokens_do_not_depend_on_the_cut_of_a_clip(encoder, frames):
    whole = encoder(frames)
    torch.testing.assert_close(encoder(frames[:, :, 3:10]), whole[:, 3:6], atol=1e-5, rtol=1e-4)


def test_exposure_does_not_matter(encoder, frames):
    darker = 0.5 * frames + 0.1
    torch.testing.assert_close(encoder(darker), encoder(frames), atol=0.05, rtol=0.05)


def test_a_2d_convolution_of_stacked_frames_is_a_3d_one():
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


@pytest.fixture(scope="module")
def audio_encoder():
    torch.manual_seed(0)
    return DenseSyncAudioEncoder(dim=12, n_mels=32, channels=(4, 8, 8, 8, 16)).eval()


@pytest.fixture
def mel():
    return torch.randn(2, 32, 60, generator=torch.Generator().manual_seed(0))


def test_a_token_sees_18_columns_only(audio_encoder, mel):
    changed = mel.clone()
    changed[:, :, 30] += 3
    differs = (audio_encoder(mel) - audio_encoder(changed)).abs().amax((0, 2)) > 1e-6
    assert differs.nonzero().flatten().tolist() == list(range(13, 31))


def test_tokens_do_not_depend_on_the_cut_of_a_mel(audio_encoder, mel):
    torch.testing.assert_close(audio_encoder(mel[:, :, 7:40]), audio_encoder(mel)[:, 7:23])


def test_a_wrong_number_of_mel_bands_is_named(audio_encoder):
    with pytest.raises(ValueError, match=r"mel must be \(B, 32, S >= 18\), got \(1, 80, 60\)"):
        audio_encoder(torch.randn(1, 80, 60))
    with pytest.raises(ValueError, match="n_mels must be a multiple of 16, got 40"):
        DenseSyncAudioEncoder(n_mels=40)
