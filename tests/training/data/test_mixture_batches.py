import numpy as np
import pytest
import torch
from data.mixed import lively_encoder
from torch import Generator
from training.separation_recipes import data

from avsync.data.cache.features import FeatureCache
from avsync.data.sampling.mixtures import MixtureLevels
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths
from avsync.training.data.mixtures import collated, mixture_batches, open_mixtures

SAMPLES, FRAMES = chunk_lengths(1)
SPEC = SeparationSpec(SAMPLES, FRAMES, "face", 48, 96, lower_half=True)


@pytest.fixture
def mixtures(store, tmp_path):
    return open_mixtures(data(store, tmp_path), MixtureLevels(), SPEC)


def test_a_batch_is_frames_and_sounds_of_the_same_mixtures(mixtures):
    frames, *sounds = mixture_batches(mixtures, 3)(np.random.default_rng(0), Generator())
    assert frames.shape == (3, 3, FRAMES, 48, 96) and frames.dtype == torch.uint8
    rng = np.random.default_rng(0)
    for number in range(3):
        mixture = mixtures.make(mixtures.draw(rng))
        expected = (mixture.second, mixture.accompaniment, mixture.target)
        for found, audio in zip(sounds, expected, strict=True):
            np.testing.assert_array_equal(found[number].numpy(), audio)
        seen = np.moveaxis(mixtures.frames(mixture), -1, 0)
        np.testing.assert_array_equal(frames[number].numpy(), seen)


def test_tokens_stand_for_the_frames_of_a_mixture(mixtures, tmp_path):
    encoder = lively_encoder()
    cache = FeatureCache(tmp_path / "features", "model", SPEC)
    cache.fill(mixtures.crop_files(), encoder, torch.device("cpu"))
    tokens, *_ = mixture_batches(mixtures, 2, cache)(np.random.default_rng(1), Generator())
    assert tokens.shape == (2, FRAMES, 4) and tokens.dtype == torch.float32
    mixture = mixtures.make(mixtures.draw(np.random.default_rng(1)))
    clip = mixtures.faces.frames(mixture.face, 0, 40)
    with torch.inference_mode():
        whole = encoder(torch.from_numpy(clip.copy()).permute(3, 0, 1, 2)[None] / 255)[0]
    expected = whole[mixture.frame : mixture.frame + FRAMES]
    largest = float(expected.max())
    torch.testing.assert_close(tokens[0], expected, rtol=1e-3, atol=1e-3 * largest)


def test_a_model_that_hears_only_is_shown_nothing(store, tmp_path):
    deaf = open_mixtures(data(store, tmp_path), MixtureLevels(), SeparationSpec(SAMPLES, FRAMES))
    drawn = [deaf.make(deaf.draw(np.random.default_rng(0)))]
    assert [each.shape for each in collated(deaf, drawn)] == [(1, SAMPLES)] * 3
