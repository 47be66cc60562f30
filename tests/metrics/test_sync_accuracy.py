import pytest
import torch

from avsync.metrics.sync_accuracy import average_context, best_offsets, score_band


def matrix(n, lead, seed=0):
    """Scores that peak where the audio leads by so many frames, over noise."""
    i, j = torch.arange(n)[:, None], torch.arange(n)
    noise = torch.rand(n, n, generator=torch.Generator().manual_seed(seed))
    return 3.0 * (j == i - lead) + noise


@pytest.mark.parametrize("lead", [-7, 0, 3])
def test_audio_that_leads_has_a_positive_offset(lead):
    offsets = best_offsets(score_band(matrix(60, lead)))
    inside = slice(max(0, lead), 60 + min(0, lead))
    assert (offsets[inside] == lead).all()


def test_the_band_is_the_plain_loop():
    scores = torch.rand(20, 20)
    band = score_band(scores, max_shift=4)
    for i in range(20):
        for c in range(9):
            j = i + c - 4
            if 0 <= j < 20:
                assert band[i, c] == scores[i, j]
            else:
                assert band[i, c].isnan()


def test_odd_contexts_average_evenly_and_ends_over_fewer_windows():
    band = torch.arange(20.0)[:, None].expand(20, 3)
    assert average_context(band, 9)[10, 0] == 10  # windows 8 to 12
    assert average_context(band, 9)[0, 0] == 1  # windows 0 to 2


def test_even_contexts_follow_the_published_windows():
    # K = 10 averages windows [i - 3, i + 2] in the public evaluation: one more before than after.
    band = torch.arange(30.0)[:, None].expand(30, 3)
    assert average_context(band, 10)[15, 0] == pytest.approx(sum(range(12, 18)) / 6)


def test_longer_context_is_never_shorter_than_a_window():
    with pytest.raises(ValueError, match="context must be at least the window of 5 frames, got 3"):
        average_context(torch.zeros(4, 31), 3)


def test_shifts_unknown_inside_the_context_are_barred():
    band = score_band(matrix(40, 0))
    averaged = average_context(band, 9)
    assert averaged[0, :15].isnan().all()
    assert (best_offsets(averaged)[15:25] == 0).all()
