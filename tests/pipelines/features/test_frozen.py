import numpy as np
import pytest
import torch

from avsync.evaluation.score_matrix import WavInMemory
from avsync.pipelines.features.frozen import FrozenFeatures, window_centres_s
from avsync.scoring.engine import to_frames
from avsync.tasks.features import SyncFeatures
from avsync.tasks.registry import create_model
from avsync.tasks.sync.perfect_match import PerfectMatch
from avsync.timing import SAMPLES_PER_FRAME

pytestmark = pytest.mark.arithmetic

FRAMES = 9
NARROW = {"channels": (4, 4, 8, 8, 8)}
MODELS = {
    "dense_sync": {"dim": 8, "mouth_channels": (4, 4, 4, 8), "mel_channels": (4, 4, 4, 8, 8)},
    "vocalist": NARROW | {"depth": 1},
    "lip_expert": NARROW,
    "perfect_match": {
        "lip_channels": (4, 4, 8),
        "mfcc_channels": (4, 4, 4, 4, 8),
        "dim": 8,
        "size": 64,
        "crop": "face",
    },
    "avst": {"visual_channels": (4, 4, 4, 8), "audio_channels": (4, 4, 4, 4, 8), "size": 32},
    "vocalist_timm": NARROW | {"depth": 1, "backbone": "test_resnet"},
}


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return create_model(request.param, config=MODELS[request.param]).eval()


@pytest.fixture
def crops(model):
    shape = (FRAMES, model.spec.height, model.spec.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def audio():
    wav = np.random.default_rng(1).normal(0, 0.1, FRAMES * SAMPLES_PER_FRAME)
    return WavInMemory(wav.astype(np.float32))


def encoders(model):
    if hasattr(model, "mouth"):
        return "mouth", "mel"
    # Perfect Match runs its audio stream over a clip with another method.
    return "visual", "audio.head" if isinstance(model, PerfectMatch) else "audio"


def test_every_window_has_a_vector(model, crops, audio):
    windows = FRAMES - model.spec.window_frames + 1
    lips = FrozenFeatures(model).encode_crops(crops)
    voice = FrozenFeatures(model, "audio").encode_audio(audio, 0, windows)
    assert lips.shape == voice.shape == (windows, 8)
    assert lips.dtype == voice.dtype == np.float32


def test_frozen_features_are_those_of_the_module_for_clips_in_memory(model, crops, audio):
    features = SyncFeatures(model)
    with torch.no_grad():
        found = features(to_frames(crops), torch.from_numpy(audio.wav)[None])
    windows = FRAMES - model.spec.window_frames + 1
    lips = FrozenFeatures(model).encode_crops(crops)
    voice = FrozenFeatures(model, "audio").encode_audio(audio, 0, windows)
    np.testing.assert_allclose(found.video[0].numpy(), lips, atol=1e-5)
    np.testing.assert_allclose(found.audio[0].numpy(), voice, atol=1e-5)
    centres_s = window_centres_s(model.spec.window_frames, 0, windows)
    np.testing.assert_allclose(found.times_s.numpy(), centres_s, rtol=1e-6)
    assert features.num_features == lips.shape[1]


def test_the_features_of_a_window_do_not_depend_on_the_others(model, crops, audio):
    layers = ("", encoders(model)[0]), ("", encoders(model)[1])
    for layer in layers[0]:
        frozen = FrozenFeatures(model, "video", layer)
        one = frozen.encode_crops(crops[2 : 2 + model.spec.window_frames])
        np.testing.assert_allclose(one, frozen.encode_crops(crops)[2:3], atol=1e-5)
    for layer in layers[1]:
        frozen = FrozenFeatures(model, "audio", layer)
        one = frozen.encode_audio(audio, 2, 1)
        np.testing.assert_allclose(one, frozen.encode_audio(audio, 0, 4)[2:3], atol=1e-5)


def test_the_vectors_of_dense_sync_are_those_it_compares():
    model = create_model("dense_sync", config=MODELS["dense_sync"]).eval()
    crops = np.random.default_rng(0).integers(0, 256, (9, 56, 56, 3), dtype=np.uint8)
    mouth = FrozenFeatures(model, layer="mouth").encode_crops(crops)
    with torch.inference_mode():
        weighed = model.weigh(torch.from_numpy(mouth)).numpy()
    np.testing.assert_allclose(FrozenFeatures(model).encode_crops(crops), weighed, atol=1e-5)


def test_the_middle_token_of_a_window_is_used():
    model = create_model("vocalist", config=MODELS["vocalist"]).eval()
    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 96, 3), dtype=np.uint8)
    frames = torch.from_numpy(crops).permute(3, 0, 1, 2)[None] / 255
    with torch.inference_mode():
        token = model.visual(frames)[0, 2].numpy()
    np.testing.assert_allclose(FrozenFeatures(model).encode_crops(crops)[0], token, atol=1e-5)


def test_layers_are_averaged_over_space_and_keep_channels():
    model = create_model("vocalist", config=MODELS["vocalist"]).eval()
    crops = np.zeros((6, 48, 96, 3), np.uint8)
    assert FrozenFeatures(model, layer="visual.blocks.1").encode_crops(crops).shape == (2, 4)
    dense = create_model("dense_sync", config=MODELS["dense_sync"]).eval()
    crops = np.zeros((6, 56, 56, 3), np.uint8)
    assert FrozenFeatures(dense, layer="mouth.trunk").encode_crops(crops).shape == (2, 8)
    silence = WavInMemory(np.zeros(8000, np.float32))
    assert FrozenFeatures(dense, "audio", "mel.head").encode_audio(silence, 0, 3).shape == (3, 8)


def test_the_time_of_a_window_is_its_middle():
    # The middle of frame 2, which is shown from 80 to 120 ms.
    np.testing.assert_allclose(window_centres_s(5, 0, 2), [0.1, 0.14])
    np.testing.assert_allclose(window_centres_s(5, 25, 1), [1.1])


def test_for_an_unknown_layer_the_known_ones_are_named():
    model = create_model("dense_sync", config=MODELS["dense_sync"]).eval()
    with pytest.raises(ValueError, match=r"got 'lips'; it has mouth, mouth\.stem"):
        FrozenFeatures(model, layer="lips")
    frozen = FrozenFeatures(model, "video", "mel")
    with pytest.raises(ValueError, match="layer mel takes no part in the video stream"):
        frozen.encode_crops(np.zeros((5, 56, 56, 3), np.uint8))
    with pytest.raises(ValueError, match="model must be in eval mode"):
        FrozenFeatures(model.train())
