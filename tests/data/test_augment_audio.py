import pytest
import torch

from avsync.data.augment_audio import NOISE_DB, equalise, noise_floor, reverberate

RATE, COUNT = 16000, 16000


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def voices(batch=3):
    return torch.randn(batch, COUNT, generator=draws(1))


@pytest.mark.parametrize("change", [equalise, noise_floor])
def test_a_seed_draws_the_same_again(change):
    assert torch.equal(change(voices(), draws()), change(voices(), draws()))
    assert not torch.equal(change(voices(), draws()), change(voices(), draws(7)))


def test_a_response_has_no_holes_and_no_peaks():
    before, after = (torch.fft.rfft(x).abs() for x in (voices(), equalise(voices(), draws())))
    decibels = 20 * (after / before).log10()[:, 1:]
    assert decibels.abs().max() < 30
    # Neighbouring bins are treated alike: the response is short.
    assert decibels.diff(dim=1).abs()[:, 100:].max() < 0.5


def test_an_equalised_tone_stays_where_it_is():
    tone = torch.sin(2 * torch.pi * 500 * torch.arange(COUNT) / RATE)[None]
    heard = torch.fft.rfft(equalise(tone, draws())).abs()
    assert int(heard.argmax()) == 500


def test_a_room_begins_with_the_voice_and_adds_its_tail_after_it():
    click = torch.zeros(40, COUNT)
    click[:, 1000] = 1
    heard = reverberate(click, RATE, draws())
    torch.testing.assert_close(heard[:, 1000], torch.ones(40), atol=1e-4, rtol=0)
    assert heard[:, :1000].abs().max() < 1e-5
    tail = heard[:, 1001:].square().sum(1)
    wet = tail > 1e-6
    assert 10 < int(wet.sum()) < 30
    # At least 8 dB under the voice, and gone after the longest room's half second.
    assert tail.max() <= 10 ** (-8 / 10) + 1e-4
    assert heard[:, 1001 + RATE // 2 :].abs().max() < 1e-5


def test_noise_lies_as_far_under_a_mixture_as_was_said():
    mixtures = voices(60)
    level = 10 * (noise_floor(mixtures, draws()).square().mean(1) / mixtures.square().mean(1))
    level = 10 * (level / 10).log10()
    noisy = level[level > -200]
    assert 30 <= len(noisy) <= 50
    assert noisy.max() <= -NOISE_DB[0] + 1e-3 and noisy.min() >= -NOISE_DB[1] - 1e-3


def test_voices_of_a_batch_do_not_mix():
    silent = voices()
    silent[1] = 0
    for heard in (equalise(silent, draws()), reverberate(silent, RATE, draws())):
        assert heard[1].abs().max() < 1e-6 and heard[0].abs().max() > 0.1
