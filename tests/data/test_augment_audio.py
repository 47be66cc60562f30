import pytest
import torch

from avsync.data.augment_audio import (
    NOISE_DB,
    add_mel_noise,
    alter_voices,
    change_rooms,
    equalise,
    noise_floor,
    reverberate,
    reverberate_mel,
    warp_frequency,
)

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
    # Neighbouring bins have nearly the same gain: the response is short.
    assert decibels.diff(dim=1).abs()[:, 100:].max() < 0.5


def test_an_equalised_tone_stays_where_it_is():
    tone = torch.sin(2 * torch.pi * 500 * torch.arange(COUNT) / RATE)[None]
    spectrum = torch.fft.rfft(equalise(tone, draws())).abs()
    assert int(spectrum.argmax()) == 500


def test_reverberation_begins_with_the_voice_and_adds_a_tail_after_it():
    click = torch.zeros(40, COUNT)
    click[:, 1000] = 1
    wet_click = reverberate(click, RATE, draws())
    torch.testing.assert_close(wet_click[:, 1000], torch.ones(40), atol=1e-4, rtol=0)
    assert wet_click[:, :1000].abs().max() < 1e-5
    tail = wet_click[:, 1001:].square().sum(1)
    wet = tail > 1e-6
    assert 10 < int(wet.sum()) < 30
    # At least 8 dB under the voice, and gone after the longest room's half second.
    assert tail.max() <= 10 ** (-8 / 10) + 1e-4
    assert wet_click[:, 1001 + RATE // 2 :].abs().max() < 1e-5


def test_noise_lies_within_its_range_of_levels_under_a_mixture():
    mixtures = voices(60)
    level = 10 * (noise_floor(mixtures, draws()).square().mean(1) / mixtures.square().mean(1))
    level = 10 * (level / 10).log10()
    noisy = level[level > -200]
    assert 30 <= len(noisy) <= 50
    assert noisy.max() <= -NOISE_DB[0] + 1e-3 and noisy.min() >= -NOISE_DB[1] - 1e-3


def test_voices_of_a_batch_do_not_mix():
    silent = voices()
    silent[1] = 0
    for changed in (equalise(silent, draws()), reverberate(silent, RATE, draws())):
        assert changed[1].abs().max() < 1e-6 and changed[0].abs().max() > 0.1


def test_warping_the_frequency_axis_keeps_time():
    mel = torch.zeros(2, 32, 50)
    mel[:, :, 20] = 1.0
    out = warp_frequency(mel, torch.ones(2, 1), draws())
    assert (out.sum(1).argmax(-1) == 20).all()


def test_reverberation_of_a_mel_only_adds_to_later_columns():
    mel = torch.full((8, 16, 60), -10.0)
    mel[:, :, 30] = 0.0
    out = reverberate_mel(mel, torch.ones(8, 1), draws())
    torch.testing.assert_close(out[:, :, :31], mel[:, :, :31], atol=0.2, rtol=0)
    assert (out[:, :, 31] > mel[:, :, 31] + 1).any()


def test_a_mel_with_noise_is_never_below_the_mel_without():
    mel = torch.randn(4, 32, 50, generator=draws())
    assert (add_mel_noise(mel, torch.ones(4, 1), draws()) >= mel).all()


def test_a_share_of_the_voices_is_altered():
    wav = voices(8)
    assert torch.equal(alter_voices(wav, 0.0, draws()), wav)
    some = alter_voices(wav, 0.5, draws())
    changed = (some != wav).any(1)
    assert 0 < changed.sum() < 8
    assert torch.equal(some, alter_voices(wav, 0.5, draws()))
    assert (alter_voices(wav, 1.0, draws()) != wav).any(1).all()


def test_a_share_of_the_voices_is_in_another_room():
    wav = voices(8)
    assert torch.equal(change_rooms(wav, RATE, 0.0, draws()), wav)
    some = change_rooms(wav, RATE, 0.5, draws())
    changed = (some != wav).any(1)
    assert 0 < changed.sum() < 8
    # The direct path stays the loudest: voices keep their timing.
    click = torch.zeros(4, COUNT)
    click[:, 3000] = 1
    assert ((change_rooms(click, RATE, 1.0, draws()).abs().argmax(1) - 3000).abs() <= 1).all()
