import pytest
import torch
from torch import nn

from avsync.encoders.frame_tokens import FrameTokens


class Sums(nn.Module):
    """Tokens that say which frames they are made of."""

    def __init__(self, window_frames):
        super().__init__()
        self.window_frames = window_frames

    def forward(self, frames):
        means = frames.mean((1, 3, 4)).unfold(1, self.window_frames, 1)
        return torch.stack([means.mean(-1), means[..., 0]], dim=-1)


@pytest.fixture
def frames():
    return torch.arange(9.0)[None, None, :, None, None].expand(2, 3, 9, 4, 4)


def test_a_frame_has_the_token_of_the_window_around_it(frames):
    tokens = FrameTokens(Sums(5), 5)(frames)
    assert tokens.shape == (2, 9, 2)
    assert tokens[0, :, 0].tolist() == [2, 2, 2, 3, 4, 5, 6, 6, 6]


def test_an_even_window_has_one_frame_more_after_it(frames):
    starts = FrameTokens(Sums(4), 4)(frames)[0, :, 1]
    assert starts.tolist() == [0, 0, 1, 2, 3, 4, 5, 5, 5]


def test_tokens_are_of_length_one_where_asked(frames):
    tokens = FrameTokens(Sums(5), 5, unit=True)(frames)
    torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(2, 9))


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="window_frames must be 1 or more, got 0"):
        FrameTokens(Sums(5), 0)
