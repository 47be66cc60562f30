import math

import pytest
import torch
import torch.nn.functional as F

from avsync.losses.shift_info_nce import ShiftInfoNceLoss

pytestmark = pytest.mark.arithmetic

B, T, HOPS, MARGIN, D = 2, 5, 4, 6, 32
S = MARGIN * 2 + (T - 1) * HOPS + 1


@pytest.fixture
def audio():
    return F.normalize(torch.randn(B, S, D, generator=torch.Generator().manual_seed(0)), dim=-1)


def own(audio):
    return audio[:, MARGIN : MARGIN + T * HOPS : HOPS]


def test_the_chance_level_is_the_logarithm_of_the_candidates(audio):
    same = audio[:, :1].expand(B, S, D)
    loss = ShiftInfoNceLoss(HOPS)(1e-6 * own(same), same, MARGIN)
    torch.testing.assert_close(loss, torch.tensor(math.log(S) + math.log(T)), atol=1e-3, rtol=0)


def test_a_confident_right_model_costs_the_entropy_of_the_target(audio):
    loss = ShiftInfoNceLoss(HOPS, spread_steps=0.05, temperature=0.01)
    assert loss(200 * own(audio), audio, MARGIN) < 1e-4


def test_a_confident_wrong_window_costs_more_than_an_uncertain_one(audio):
    loss = ShiftInfoNceLoss(HOPS)
    wrong = own(audio).roll(1, dims=1)
    assert loss(20 * wrong, audio, MARGIN) > loss(2 * wrong, audio, MARGIN)


def test_the_target_is_centred_on_the_first_step(audio):
    loss = ShiftInfoNceLoss(HOPS)
    losses = [loss(20 * own(audio), audio, MARGIN + shift).item() for shift in (-2, -1, 0, 1, 2)]
    assert losses.index(min(losses)) == 2


def test_clips_do_not_mix(audio):
    loss = ShiftInfoNceLoss(HOPS)
    video = own(audio) * 7
    alone = [loss(v[None], a[None], MARGIN) for v, a in zip(video, audio, strict=True)]
    torch.testing.assert_close(loss(video, audio, MARGIN), torch.stack(alone).mean())


def test_ignored_neighbours_are_neither_right_nor_wrong():
    hard = ShiftInfoNceLoss(HOPS, temperature=None, ignored_steps=2)
    audio = torch.eye(D)[None, :S]
    near, far = audio.clone(), audio.clone()
    video = 7 * own(audio)
    # Audio two steps from a window's own may be as similar as it likes, but no further away.
    near[:, MARGIN + 2], far[:, MARGIN - 3] = own(audio)[:, 0], own(audio)[:, 0]
    torch.testing.assert_close(hard(video, near, MARGIN), hard(video, audio, MARGIN))
    assert hard(video, far, MARGIN) > hard(video, audio, MARGIN) + 0.1


def test_without_a_temperature_the_norm_weights_both_directions(audio):
    loss = ShiftInfoNceLoss(HOPS, temperature=None, ignored_steps=1)
    video = own(audio)
    unsure, sure = loss(1e-6 * video, audio, MARGIN), loss(100 * video, audio, MARGIN)
    # Of the steps, two next to each window's own are no candidates.
    chance = math.log(S - 2) + math.log(T)
    torch.testing.assert_close(unsure, torch.tensor(chance), atol=1e-3, rtol=0)
    assert sure < 1e-3


def test_too_little_audio_is_named(audio):
    with pytest.raises(ValueError, match=r"audio must be \(B, S, D\) with S > 22"):
        ShiftInfoNceLoss(HOPS)(own(audio), audio[:, :20], MARGIN)
    with pytest.raises(ValueError, match="must be positive"):
        ShiftInfoNceLoss(temperature=0)
    with pytest.raises(ValueError, match="ignored_steps must be 0 or more, got -1"):
        ShiftInfoNceLoss(ignored_steps=-1)
