import numpy as np
import pytest
import torch
from torch import nn

from avsync.encoders.frame_tokens import SIZE, WINDOW, FrameTokens, LipCropEncoder
from avsync.faces.crops import mouth_square

pytestmark = pytest.mark.arithmetic

# Landmarks of the published mean face, 224 wide and 244 high: eyes, nose tip, mouth corners.
MEAN_FACE = np.array(
    [[64.35, 44.09], [163.99, 41.39], [116.46, 105.3], [80.68, 168.96], [157.32, 167.54]]
)


class Sums(nn.Module):
    """Encoder whose tokens show which frames they were computed from."""

    def __init__(self, window_frames):
        super().__init__()
        self.window_frames = window_frames

    def forward(self, frames):
        means = frames.mean((1, 3, 4)).unfold(1, self.window_frames, 1)
        return torch.stack([means.mean(-1), means[..., 0]], dim=-1)


@pytest.fixture
def frames():
    return torch.arange(9.0)[None, None, :, None, None].expand(2, 3, 9, 4, 4)


def test_a_frame_has_the_token_of_the_window_centred_on_it(frames):
    tokens = FrameTokens(Sums(5), 5)(frames)
    assert tokens.shape == (2, 9, 2)
    assert tokens[0, :, 0].tolist() == [2, 2, 2, 3, 4, 5, 6, 6, 6]


def test_an_even_window_has_one_more_frame_after_its_centre(frames):
    starts = FrameTokens(Sums(4), 4)(frames)[0, :, 1]
    assert starts.tolist() == [0, 0, 1, 2, 3, 4, 5, 5, 5]


def test_tokens_can_be_normalised_to_unit_length(frames):
    tokens = FrameTokens(Sums(5), 5, unit=True)(frames)
    torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(2, 9))


def test_an_empty_window_is_rejected():
    with pytest.raises(ValueError, match="window_frames must be 1 or more, got 0"):
        FrameTokens(Sums(5), 0)


def test_the_lip_window_is_that_cut_out_of_the_mean_face():
    centre, side, roll = mouth_square(MEAN_FACE)
    assert abs(roll) < 0.04
    # Columns 20 to 79 of 96 and rows 60 to 99 of 128.
    edges = np.array([20 / 96 * 224, 60 / 128 * 244, 80 / 96 * 224, 100 / 128 * 244])
    corner = np.tile(centre - side / 2, 2)
    np.testing.assert_allclose((edges - corner) / side, WINDOW, atol=0.005)


def test_pixels_outside_the_window_do_not_matter():
    crop = LipCropEncoder(nn.Identity(), size=8)
    frames = torch.rand(1, 3, 2, 40, 40)
    other = frames.clone()
    left, top, right, bottom = (round(40 * share) for share in WINDOW)
    other[..., :top, :] = other[..., bottom:, :] = other[..., :left] = other[..., right:] = 9.0
    torch.testing.assert_close(crop(frames), crop(other))
    assert crop(frames).shape == (1, 3, 2, 8, 8)


def test_corners_of_the_window_map_to_corners_of_the_square():
    frames = torch.rand(1, 1, 1, 40, 40)
    lips = LipCropEncoder(nn.Identity(), window=(0.25, 0.5, 0.75, 1.0)).lips(frames)[0, 0, 0]
    assert lips.shape == (SIZE, SIZE)
    assert lips[0, 0] == frames[0, 0, 0, 20, 10]
    assert lips[-1, -1] == frames[0, 0, 0, 39, 29]


def test_a_window_outside_the_crop_is_rejected():
    with pytest.raises(ValueError, match=r"window must be left, top, right, bottom in \[0, 1\]"):
        LipCropEncoder(nn.Identity(), window=(0.5, 0.0, 0.4, 1.0))


def test_frames_of_another_shape_are_named():
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T, H, W\), got \(1, 3, 40, 40\)"):
        LipCropEncoder(nn.Identity())(torch.zeros(1, 3, 40, 40))
