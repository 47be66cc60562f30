import math

import pytest
import torch

from avsync.audio.fbank import StackedFbank

pytestmark = pytest.mark.arithmetic


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0)).double()


def test_a_tone_is_loudest_in_its_own_filter():
    # 1000 Hz is 1000.0 mel of 2840: filter k peaks at (k + 1) / 27 of them.
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(1600) / 16000)[None].double()
    loudest = StackedFbank().columns(tone)[0].argmax(0)
    assert (loudest == round(1000 / 2840 * 27) - 1).all()


def test_four_columns_are_stacked_per_frame():
    bands = torch.arange(26 * 8, dtype=torch.float64).reshape(1, 26, 8)
    frames = StackedFbank().stack(bands)
    expected = torch.cat([bands[0, :, column] for column in range(4, 8)])
    expected = (expected - expected.mean()) / (expected.var(unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(frames[0, 1], expected)


def test_loudness_does_not_matter(wav):
    # Except in the last frame, whose columns beyond the end of the audio are zeros.
    loud, quiet = StackedFbank()(wav)[:, :-1], StackedFbank()(wav / 100)[:, :-1]
    torch.testing.assert_close(loud, quiet, atol=1e-4, rtol=0)


def test_a_second_has_25_frames_and_further_frames_are_zeros(wav):
    frames = StackedFbank()(wav, 30)
    assert StackedFbank()(wav).shape == (2, 25, 104) and frames.shape == (2, 30, 104)
    assert not frames[:, 25:].any() and (frames[:, :25].abs().amax(-1) > 0).all()


def test_unpadded_frames_equal_those_of_the_whole_clip(wav):
    front_end = StackedFbank()
    cut = wav[:, 10 * 640 - 1 : 13 * 640 + 240]
    inside = front_end.stack(front_end.columns(cut))
    torch.testing.assert_close(inside, front_end(wav)[:, 10:13])


def test_silence_is_finite_and_autocast_does_not_reduce_precision(wav):
    assert StackedFbank()(torch.zeros(1, 16000)).isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        frames = StackedFbank()(wav)
    torch.testing.assert_close(frames, StackedFbank()(wav))


def test_too_short_a_waveform_is_named():
    with pytest.raises(ValueError, match=r"wav must be \(B, N\) with N >= 401, got \(1, 400\)"):
        StackedFbank().columns(torch.zeros(1, 400))
