import numpy as np
import pytest
import torch
from data.made_store import moving
from data.mixed import lively_encoder

from avsync.data.cache import features as feature_cache
from avsync.data.cache.features import FeatureCache, encoder_key
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths

SPEC = SeparationSpec(*chunk_lengths(1), "face", 48, 96, lower_half=True)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder():
    return lively_encoder()


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    path = tmp_path_factory.mktemp("crops") / "face.npy"
    np.save(path, moving(0, 60))
    return str(path)


def whole(encoder, crops):
    """Encode all frames at once to tokens `(T, D)`."""
    frames = torch.from_numpy(np.load(crops)[:, 48:]).permute(3, 0, 1, 2)[None] / 255
    with torch.inference_mode():
        return encoder(frames)[0].numpy()


def close(found, expected):
    assert expected.std(0).max() > 0.1 * expected.mean() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * expected.max())


def test_tokens_are_those_of_the_whole_clip(encoder, crops, tmp_path):
    cache = FeatureCache(tmp_path, "model", SPEC)
    assert cache.fill([crops], encoder, CPU) == 1
    found = cache.tokens(crops, 12, 25)
    assert found.dtype == np.float16
    close(found, whole(encoder, crops)[12:37])


def test_tokens_of_long_clips_do_not_depend_on_the_blocks(encoder, crops, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "BLOCK", 16)
    cache = FeatureCache(tmp_path, "model", SPEC)
    cache.fill([crops], encoder, CPU)
    close(cache.tokens(crops, 0, 60), whole(encoder, crops))


def test_nothing_is_encoded_twice(encoder, crops, tmp_path):
    FeatureCache(tmp_path, "model", SPEC).fill([crops], encoder, CPU)
    copy = tmp_path / "other.npy"
    np.save(copy, np.load(crops))

    def refuse(_):
        raise AssertionError("encoded again")

    again = FeatureCache(tmp_path, "model", SPEC)
    assert again.fill([crops, str(copy)], refuse, CPU) == 0
    np.testing.assert_array_equal(again.tokens(crops, 0, 60), again.tokens(str(copy), 0, 60))


def test_other_crops_weights_and_geometry_are_other_tokens(encoder, crops, tmp_path):
    changed = np.load(crops)
    changed[-1, -1, -1, -1] ^= 1
    np.save(tmp_path / "changed.npy", changed)
    upper = SeparationSpec(*chunk_lengths(1), "face", 96, 96)

    def token_file(model, spec, path):
        return FeatureCache(tmp_path / "cache", model, spec)._path(str(path))

    kinds = [("a", SPEC, crops), ("b", SPEC, crops), ("a", upper, crops)]
    kinds.append(("a", SPEC, tmp_path / "changed.npy"))
    assert len({token_file(*kind) for kind in kinds}) == 4


def test_one_weight_or_one_argument_changes_the_key(encoder):
    key = encoder_key(encoder, {"unit": True})
    assert encoder_key(encoder, {"unit": True}) == key != encoder_key(encoder, {"unit": False})
    weight = next(encoder.parameters())
    with torch.no_grad():
        weight.view(-1)[3] += 1e-6
        assert encoder_key(encoder, {"unit": True}) != key
        weight.view(-1)[3] -= 1e-6


def test_tokens_of_a_wrong_number_or_range_are_refused(crops, tmp_path):
    cache = FeatureCache(tmp_path, "model", SPEC)
    with pytest.raises(ValueError, match=r"a token for each of 60 frames, got \(1, 30, 4\)"):
        cache.fill([crops], lambda frames: torch.zeros(1, 30, 4), CPU)
    with pytest.raises(RuntimeError, match="beyond half precision"):
        cache.fill([crops], lambda frames: torch.full((1, 60, 4), 1e6), CPU)
    assert not list(tmp_path.rglob("*.npy"))
