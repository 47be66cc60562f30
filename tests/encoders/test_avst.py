import pytest
import torch

from avsync.encoders.avst import AvstAudioEncoder, AvstVisualEncoder

pytestmark = pytest.mark.arithmetic

CHANNELS = (2, 3, 4, 6)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return AvstVisualEncoder(CHANNELS, size=40).eval()


def test_the_published_sizes_give_the_published_parameters():
    with torch.device("meta"):
        encoder = AvstVisualEncoder(size=224)
    positions = 512 * 14 * 14
    # Those of ResNet-18 without its classifier, and the two outer taps in time of the 3-D kernels.
    flat = 11_689_512 - (512 * 1000 + 1000)
    taps = 2 * 9 * (128 * 256 + 3 * 256**2 + 256 * 512 + 3 * 512**2)
    assert sum(p.numel() for p in encoder.parameters()) == flat + taps + positions


@torch.no_grad()
def test_windows_are_encoded_as_if_alone(encoder):
    frames = torch.rand(2, 3, 14, 40, 40)
    windows = encoder.windows(frames, 5)
    assert windows.shape == (2, 10, 5, 6)
    for k in (0, 4, 9):
        torch.testing.assert_close(windows[:, k], encoder(frames[:, :, k : k + 5]))


@torch.no_grad()
def test_tokens_depend_on_motion(encoder):
    frames = torch.rand(1, 3, 6, 40, 40)
    tokens, backwards = encoder(frames), encoder(frames.flip(2)).flip(1)
    assert tokens.shape == (1, 6, 6)
    assert not torch.allclose(tokens, backwards, atol=1e-4)


@torch.no_grad()
def test_each_spatial_position_has_its_own_embedding():
    torch.manual_seed(0)
    encoder = AvstVisualEncoder(CHANNELS, size=32).eval()
    frames = torch.rand(1, 3, 3, 32, 32)
    before = encoder(frames)
    encoder.places[:, :, 0, 0] += 1000
    torch.testing.assert_close(encoder(frames), before + 1000, atol=20, rtol=0)


@pytest.mark.parametrize("shape", [(1, 3, 5, 40, 41), (1, 5, 3, 40, 40), (3, 5, 40, 40)])
def test_frames_of_another_shape_are_named(encoder, shape):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T, 40, 40\), got"):
        encoder(torch.zeros(shape))


def test_a_clip_shorter_than_a_window_is_named(encoder):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, H, W\), got \(1, 3, 4"):
        encoder.windows(torch.zeros(1, 3, 4, 40, 40), 5)


@pytest.fixture(scope="module")
def audio_encoder():
    torch.manual_seed(0)
    return AvstAudioEncoder(channels=(2, 3, 4, 4, 6)).eval()


@torch.no_grad()
@pytest.mark.parametrize(("columns", "tokens"), [(7, 1), (20, 4), (40, 9), (100, 24)])
def test_token_count_is_the_number_of_tokens(audio_encoder, columns, tokens):
    assert audio_encoder(torch.randn(2, 80, columns)).shape == (2, tokens, 6)
    assert audio_encoder.token_count(columns) == tokens


@torch.no_grad()
def test_a_token_sees_nearby_columns_only(audio_encoder):
    mel = torch.randn(1, 80, 100)
    other = mel.clone()
    other[..., 60:] += 5
    changed = (audio_encoder(other) - audio_encoder(mel)).abs().amax((0, 2)) > 1e-6
    assert not changed[:8].any() and changed[15:].all()


@torch.no_grad()
def test_mels_of_a_batch_do_not_mix(audio_encoder):
    mel = torch.randn(3, 80, 20)
    torch.testing.assert_close(
        audio_encoder(mel), torch.cat([audio_encoder(one[None]) for one in mel])
    )


@pytest.mark.parametrize("shape", [(1, 80, 6), (1, 64, 20), (80, 20)])
def test_a_mel_of_another_shape_is_named(audio_encoder, shape):
    with pytest.raises(ValueError, match=r"mel must be \(B, 80, S >= 7\), got"):
        audio_encoder(torch.zeros(shape))
