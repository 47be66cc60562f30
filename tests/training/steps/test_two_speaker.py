import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tasks.separation.test_lip_mask import FRAMES, SAMPLES, TINY

from avsync.data.sampling.two_speaker_mixtures import TwoSpeakerMixture
from avsync.tasks.separation.lip_mask import build_lip_mask
from avsync.training.steps.two_speaker import (
    TwoSpeakerStep,
    TwoSpeakerValidation,
    collate_two_speakers,
    two_speaker_chance,
)

pytestmark = pytest.mark.arithmetic


class KnownVoices(torch.nn.Module):
    """A step whose voices are known: a share of each voice's own, the rest of the other's."""

    def __init__(self, voices, own):
        super().__init__()
        self.model = build_lip_mask(TINY)
        self.voices, self.own = voices, own

    def separate(self, mixture, tokens):
        return self.own * self.voices + (1 - self.own) * self.voices.flip(1)


def mixture(seed=0, **changes):
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((2, FRAMES, 6)).astype(np.float32)
    voices = rng.standard_normal((2, SAMPLES)).astype(np.float32)
    music = np.zeros(SAMPLES, np.float32)
    return TwoSpeakerMixture(tokens, voices, music, 0.0, 0.0)._replace(**changes)


def decibels(wav):
    return 10 * torch.log10(wav.square().mean(-1))


def test_a_batch_has_the_levels_that_were_drawn():
    loud = np.full(SAMPLES, 0.1, np.float32)
    _, rest, voices = collate_two_speakers(
        [mixture(second_db=-4.0, music=loud, music_db=3.0)], 16000, None
    )
    torch.testing.assert_close(decibels(voices), torch.tensor([[0.0, -4.0]]))
    torch.testing.assert_close(decibels(rest), torch.tensor([3.0]))


def test_levels_hold_in_other_rooms_too_and_silence_stays_it():
    silent = mixture(second_db=-4.0)
    silent.voices[1] = 0
    drawn = [mixture(second_db=-4.0), silent]
    _, rest, voices = collate_two_speakers(drawn, 16000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(decibels(voices[0]), torch.tensor([0.0, -4.0]), atol=0.01, rtol=0)
    assert not voices[1, 1].any()
    # Noise at most 20 dB under the mixture.
    assert (decibels(rest) < -15).all()


def test_the_loss_is_that_of_both_voices():
    step = TwoSpeakerStep(build_lip_mask(TINY).eval())
    tokens, rest, voices = collate_two_speakers([mixture(0), mixture(1)], 16000, None)
    mixed = voices.sum(1) + rest
    lips = F.normalize(tokens, dim=-1)
    found = torch.stack([step.model.separate(mixed, lips[v::2]) for v in (0, 1)], dim=1)
    expected = step.criterion(found, voices, mixed)
    torch.testing.assert_close(step(lips, rest, voices), expected)


def test_chance_is_half_of_the_mixture_of_two_voices():
    step = TwoSpeakerStep(build_lip_mask(TINY))
    batch = collate_two_speakers([mixture(0), mixture(1)], 16000, None)
    # The error of a half is half of each voice: 3 dB under the voice.
    expected = 10 * math.log10(1 + 0.5 * 1000)
    assert two_speaker_chance(step, lambda *_: batch, 0) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("own", "share", "least"), [(0.9, 1.0, 15), (0.1, 0.0, -40)])
def test_a_voice_counts_for_the_face_it_is_closer_to(own, share, least):
    pairs = [mixture(k) for k in range(3)]
    _, _, voices = collate_two_speakers(pairs, 16000, None)
    figures = TwoSpeakerValidation({"": pairs}, 3)(KnownVoices(voices, own))
    assert figures["own_face"] == share
    assert least < figures["si_sdr_gain"] < least + 25


def test_every_set_has_figures_with_its_suffix():
    figures = TwoSpeakerValidation({"": [mixture()], "_b": [mixture()]}, 2)(
        TwoSpeakerStep(build_lip_mask(TINY))
    )
    assert set(figures) == {"si_sdr_gain", "own_face", "si_sdr_gain_b", "own_face_b"}
    assert TwoSpeakerValidation({}, 2)(TwoSpeakerStep(build_lip_mask(TINY))) == {}
