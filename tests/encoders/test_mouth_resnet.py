import pytest
import torch

from avsync.encoders.av_hubert import MouthResnetEncoder

WIDTHS = (4, 5, 6, 7)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return MouthResnetEncoder(WIDTHS).eval()


@torch.no_grad()
def test_the_stem_is_a_convolution_in_three_dimensions(encoder):
    grey = torch.rand(2, 7, 32, 40)
    seen = {}
    encoder.stem_norm.register_forward_pre_hook(lambda _, given: seen.update(x=given[0]))
    encoder(grey)
    normal = (grey[:, None] - 0.421) / 0.165
    weight = encoder.stem.weight
    whole = torch.nn.functional.conv3d(normal, weight, stride=(1, 2, 2), padding=(2, 3, 3))
    expected = whole.transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(seen["x"], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_token_sees_two_frames_to_either_side(encoder):
    grey = torch.rand(1, 11, 24, 24)
    moved = grey.clone()
    moved[:, 5] = 0
    apart = (encoder(moved) - encoder(grey)).abs().amax(-1)[0]
    assert (apart > 1e-6).nonzero()[:, 0].tolist() == [3, 4, 5, 6, 7]


@torch.no_grad()
def test_frames_that_do_not_count_are_not_computed(encoder):
    grey, lengths = torch.rand(2, 6, 24, 24), torch.tensor([6, 3])
    seen = []
    encoder.trunk.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    tokens = encoder(grey, lengths)
    assert seen == [9] and not tokens[1, 3:].any()
    whole = encoder(grey)
    torch.testing.assert_close(tokens[0], whole[0])
    torch.testing.assert_close(tokens[1, :3], whole[1, :3])


def test_an_88_pixel_mouth_ends_as_three_by_three(encoder):
    sizes = []
    encoder.trunk.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape)))
    assert encoder(torch.rand(1, 3, 88, 88)).shape == (1, 3, 7)
    assert sizes == [(3, 7, 3, 3)]


def test_parameters_are_those_of_the_published_front_end():
    # Stem 64 * 5 * 49 + 64 * 2 + 64; the trunk is ResNet-18's of 11 166 976 with the norms of its
    # stem, 128, apart, and a learnt slope for each channel of two activations in each block.
    stem = 64 * 5 * 49 + 3 * 64
    trunk = 11_176_512 - 64 * 3 * 49 - 128 + 2 * 2 * (64 + 128 + 256 + 512)
    assert sum(p.numel() for p in MouthResnetEncoder().parameters()) == stem + trunk


def test_pictures_that_are_not_grey_or_too_small_are_named(encoder):
    with pytest.raises(ValueError, match=r"video must be grey \(B, T, H, W\) of at least 16"):
        encoder(torch.rand(1, 3, 5, 88, 88))
    with pytest.raises(ValueError, match=r"got \(1, 5, 8, 88\)"):
        encoder(torch.rand(1, 5, 8, 88))
