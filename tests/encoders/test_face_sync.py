"""Encoders of face_sync: tokens of windows, and what they do not depend on."""

import pytest
import torch

from avsync.encoders.face_sync import LandmarkEncoder, MouthPixelEncoder, SpeechTokenEncoder


def landmarks(batch=2, frames=12):
    return torch.randn(batch, frames, 62, 3, generator=torch.Generator().manual_seed(0))


def mouths(batch=2, frames=12):
    return torch.rand(batch, frames, 48, 48, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize(
    ("encoder", "clip"),
    [(LandmarkEncoder(24), landmarks()), (MouthPixelEncoder(24, 4), mouths())],
    ids=["landmarks", "pixels"],
)
def test_a_token_depends_on_its_five_frames_only(encoder, clip):
    encoder.eval()
    tokens = encoder(clip)
    assert tokens.shape == (2, 8, 24)
    for k in (0, 3, 7):
        torch.testing.assert_close(encoder(clip[:, k : k + 5])[:, 0], tokens[:, k])
        changed = clip.clone()
        changed[:, :k] = 0
        changed[:, k + 5 :] = 0
        torch.testing.assert_close(encoder(changed)[:, k], tokens[:, k])
        changed[:, k] = changed[:, k].flip(1)
        assert not torch.allclose(encoder(changed)[:, k], tokens[:, k])


@torch.no_grad()
def test_exposure_and_contrast_of_a_mouth_do_not_matter():
    encoder = MouthPixelEncoder(24, 4).eval()
    clip = mouths()
    torch.testing.assert_close(encoder(0.5 + 4 * clip), encoder(clip), atol=0.05, rtol=0.05)


@torch.no_grad()
def test_velocity_and_acceleration_are_those_around_the_frame():
    encoder = LandmarkEncoder(8).eval()
    # The first layer passes one velocity and one acceleration on.
    layer = encoder.layers[0]
    layer.weight.zero_()
    layer.bias.zero_()
    layer.weight[0, 62 * 3] = 1
    layer.weight[1, 2 * 62 * 3] = 1
    clip = torch.zeros(1, 5, 62, 3)
    clip[0, :, 0, 0] = torch.tensor([0.0, 1.0, 4.0, 9.0, 16.0])
    seen = []
    layer.register_forward_hook(lambda _, __, output: seen.append(output[0, :2]))
    encoder(clip)
    torch.testing.assert_close(seen[0][0], 3 * torch.tensor([1.0, 3.0, 5.0]))
    torch.testing.assert_close(seen[0][1], 3 * torch.tensor([2.0, 2.0, 2.0]))


@torch.no_grad()
def test_a_speech_token_depends_on_its_eleven_tokens_only():
    encoder = SpeechTokenEncoder(8, in_dim=12, hidden=16).eval()
    tokens = torch.randn(1, 20, 12, generator=torch.Generator().manual_seed(2))
    encoded = encoder(tokens)
    assert encoded.shape == (1, 10, 8) and encoder.receptive_tokens == 11
    torch.testing.assert_close(encoder(tokens[:, 4:15])[:, 0], encoded[:, 4])


@pytest.mark.parametrize(
    ("encoder", "given", "message"),
    [
        (LandmarkEncoder(8), torch.zeros(1, 4, 62, 3), r"landmarks must be \(B, T >= 5, 62, 3\)"),
        (LandmarkEncoder(8), torch.zeros(1, 5, 68, 3), r"got \(1, 5, 68, 3\)"),
        (MouthPixelEncoder(8, 2), torch.zeros(1, 5, 56, 56), r"grey must be .*48, 48\), got"),
        (SpeechTokenEncoder(8), torch.zeros(1, 10, 384), r"tokens must be \(B, L >= 11, D\)"),
    ],
)
def test_another_shape_is_refused_with_the_shape(encoder, given, message):
    with pytest.raises(ValueError, match=message):
        encoder(given)
