import pytest
import torch
from golden.recipe import hash_u, numbers

from avsync.metrics.sync_accuracy import (
    MASKED_SCORE,
    average_context,
    best_offsets,
    candidate_windows,
    mask_outside_clip,
    measure_window_offsets,
    score_band,
)

pytestmark = pytest.mark.arithmetic

PUBLISHED = {name: run for name, run in numbers("golden_eval").items() if name.startswith("test_")}


def matrix(n, lead, seed=0):
    """Return scores that peak where the audio leads by `lead` frames, over noise."""
    i, j = torch.arange(n)[:, None], torch.arange(n)
    noise = torch.rand(n, n, generator=torch.Generator().manual_seed(seed))
    return 3.0 * (j == i - lead) + noise


@pytest.mark.parametrize("lead", [-7, 0, 3])
def test_leading_audio_has_a_positive_offset(lead):
    offsets = best_offsets(score_band(matrix(60, lead)))
    inside = slice(max(0, lead), 60 + min(0, lead))
    assert (offsets[inside] == lead).all()


def test_the_band_equals_a_plain_loop():
    scores, empty = torch.rand(20, 20), torch.rand(20)
    band, filled = score_band(scores), score_band(scores, empty)
    for i in range(20):
        for c in range(31):
            j = i + c - 15
            if 0 <= j < 20:
                assert band[i, c] == filled[i, c] == scores[i, j]
            else:
                assert band[i, c].isnan()
                assert filled[i, c] == empty[i]


def test_contexts_average_symmetrically_and_over_fewer_windows_at_the_ends():
    band = torch.arange(20.0)[:, None].expand(20, 3)
    assert average_context(band, 9)[10, 0] == 10  # windows 8 to 12
    assert average_context(band, 9)[0, 0] == 1  # windows 0 to 2


def test_even_contexts_average_one_more_window_before():
    # K = 10 averages windows [i - 3, i + 2] in the public evaluation: one more before than after.
    band = torch.arange(30.0)[:, None].expand(30, 3)
    assert average_context(band, 10)[15, 0] == pytest.approx(sum(range(12, 18)) / 6)


def test_a_context_shorter_than_a_window_is_rejected():
    with pytest.raises(ValueError, match="context must be at least the window of 5 frames, got 3"):
        average_context(torch.zeros(4, 31), 3)


def test_shifts_unknown_within_the_context_are_excluded():
    band = score_band(matrix(40, 0))
    averaged = average_context(band, 9)
    assert averaged[0, :15].isnan().all()
    assert (best_offsets(averaged)[15:25] == 0).all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_offsets_and_accuracies_equal_those_of_the_public_evaluation(name):
    tag, count = name.rsplit("_n", 1)
    n = int(count)
    lead = torch.arange(n)[:, None] - torch.arange(n) - 1.0
    noise = torch.from_numpy(2 * hash_u(f"eval.{tag}.{n}", n * n)).reshape(n, n)
    scores = (1.5 * torch.exp(-(lead.double() ** 2) / 6) + noise).float()
    empty = torch.from_numpy(2 * hash_u(f"eval.{tag}.{n}.pad", n)).float()
    band = score_band(scores, empty)
    # One script evaluates models trained for the context, without averaging.
    window = 25 if "specific" in name else 5
    for context, expected in PUBLISHED[name]["contexts"].items():
        for tolerance in (1, 5):
            found = measure_window_offsets(band, int(context), window, tolerance)
            assert found.offsets.tolist() == expected["offsets"]
            assert found.accuracy == pytest.approx(expected[f"acc_tol{tolerance}"], abs=1e-7)


@pytest.mark.parametrize(("n", "left"), [(10, 105), (20, 55), (29, 1), (30, 0), (50, 0)])
def test_short_clips_keep_candidates_outside_on_the_right_as_the_public_code_does(n, left):
    index = candidate_windows(n)
    outside = (index < 0) | (index >= n)
    masked = mask_outside_clip(torch.zeros(n, 31)) == MASKED_SCORE
    assert int((outside & ~masked).sum()) == left
    assert not (masked & ~outside).any()
    assert masked[index < 0].sum() == (index < 0)[:15].sum()


def test_the_first_of_equal_scores_wins():
    band = torch.full((40, 31), -50.0)  # as negative distances: padding with 0 would win
    offsets = measure_window_offsets(band, 5).offsets
    assert (offsets[15:] == 15).all()  # column 0: the audio 15 frames earlier
    assert offsets[:15].tolist() == list(range(15))


def test_accuracy_is_the_share_of_offsets_within_the_tolerance():
    band = torch.zeros(40, 31)
    band[:30, 15] = 1.0
    band[30:, 13] = 1.0
    assert measure_window_offsets(band, 5, tolerance=1).accuracy == pytest.approx(0.75)
    assert measure_window_offsets(band, 5, tolerance=2).accuracy == 1


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"band must be \(n, 31\), got \(4, 9\)"):
        measure_window_offsets(torch.zeros(4, 9), 5)
    with pytest.raises(ValueError, match=r"scores must be \(n, n\), got \(3, 4\)"):
        score_band(torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"outside must be \(3,\), got \(4,\)"):
        score_band(torch.zeros(3, 3), torch.zeros(4))
