"""Test the contract of a separation model on every separation model in the registry.

A new registry row is tested without being added here, with its default config unless `SMALL` has a
smaller one. `ANY_LENGTH` names the models that accept more than the contract asks for.
"""

import copy
import re
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
import torch

import avsync
from avsync import weights
from avsync.faces.crops import CropKind
from avsync.timing import FPS

pytestmark = pytest.mark.arithmetic

DOCS = Path(__file__).parents[2] / "docs"
ROWS = {row.name: row for row in avsync.list_models() if row.job == "separation"}
YNET = {"channels": [2, 2, 3, 3, 4, 4], "seconds": 1}
LIPS = [2, 2, 3, 4, 6]
# Small configs of models whose default size would take seconds.
SMALL = {
    "lip_mask": {
        "dim": 6,
        "mouth_channels": [4, 4, 4, 4],
        "crop_size": 48,
        "widths": [4, 5, 6, 4, 3],
        "joined_dim": 8,
        "dilations": [1, 2],
        "seconds": 1,
    },
    "unet": YNET,
    "ynet_m": {**YNET, "visual_channels": [2, 4]},
    "ynet_g": {**YNET, "visual_channels": [2, 2, 3, 3, 4, 4, 6, 6]},
    "ynet_v": {**YNET, "visual_channels": LIPS},
    "ynet_s": {**YNET, "visual_channels": LIPS},
    "ynet_dense": {**YNET, "dim": 6, "mouth_channels": [2, 2, 2, 2], "crop_size": 48},
    "llcp": {
        "visual_channels": LIPS,
        "frame_channels": 4,
        "audio_channels": 3,
        "lstm": 5,
        "dim": 7,
        "seconds": 1,
    },
}


# Models that take mixtures of any length; the others need STFT frames that divide by 16.
ANY_LENGTH = ("lip_mask", "llcp")


class Case(NamedTuple):
    """A model in eval mode, two mixtures, the frames of a face for each, and the estimates."""

    name: str
    model: torch.nn.Module
    mixture: torch.Tensor
    faces: torch.Tensor | None
    tokens: torch.Tensor | None
    estimates: torch.Tensor


def small(name):
    torch.manual_seed(0)
    return avsync.create_model(name, config=SMALL.get(name, {}))


def random_audio(batch, samples):
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(1))


def faces_for(spec, batch, frames):
    """Return crops, landmarks, or None for an audio-only model."""
    generator = torch.Generator().manual_seed(2)
    if not spec.uses_video:
        return None
    if spec.landmarks:
        return 48 + torch.randn(batch, 2, frames, 68, generator=generator)
    return torch.rand(batch, 3, frames, spec.height, spec.width, generator=generator)


def item(values, i):
    return None if values is None else values[i : i + 1]


def encode_faces(model, faces):
    return None if faces is None else model.encode_video(faces)


@pytest.fixture(scope="module", params=ROWS)
@torch.no_grad()
def case(request):
    model = small(request.param).train()
    spec = model.spec
    mixture, faces = random_audio(2, spec.samples), faces_for(spec, 2, spec.frames)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # Plain average over all batches.
    model.separate(mixture, encode_faces(model, faces))
    model.eval()
    tokens = encode_faces(model, faces)
    return Case(request.param, model, mixture, faces, tokens, model.separate(mixture, tokens))


def test_the_spec_is_consistent(case):
    spec = case.model.spec
    assert spec.fps == FPS and spec.sample_rate in (16000, 16384)
    # Audio and video of a chunk have the same duration to within a frame.
    assert abs(spec.samples / spec.sample_rate - spec.frames / spec.fps) < 1 / spec.fps
    assert spec.crop in (None, *get_args(CropKind))
    assert not (spec.landmarks and spec.crop)
    assert (spec.height > 0 and spec.width > 0) == (spec.crop is not None)
    assert spec.uses_video == (spec.crop is not None or spec.landmarks)
    assert not spec.lower_half or spec.width == 2 * spec.height


def test_the_estimate_is_as_long_as_the_mixture(case):
    assert case.estimates.shape == (2, case.model.spec.samples)
    assert case.estimates.dtype == torch.float32
    assert case.estimates.isfinite().all() and (case.estimates.std(-1) > 1e-4).all()


def test_video_tokens_are_a_sequence_for_each_item(case):
    if case.tokens is None:
        assert not hasattr(case.model, "encode_video"), "spec.uses_video is False"
        return
    assert case.tokens.ndim == 3 and len(case.tokens) == 2
    assert 1 <= case.tokens.shape[1] <= case.model.spec.frames
    assert case.tokens.isfinite().all() and case.tokens.std() > 1e-4
    for i in (0, 1):
        alone = case.model.encode_video(item(case.faces, i))
        torch.testing.assert_close(alone, item(case.tokens, i), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_items_of_a_batch_do_not_mix(case):
    for i in (0, 1):
        alone = case.model.separate(item(case.mixture, i), item(case.tokens, i))
        torch.testing.assert_close(alone, item(case.estimates, i), atol=1e-5, rtol=0)


@torch.no_grad()
def test_silence_gives_silence_without_nan(case):
    silent = case.model.separate(torch.zeros_like(case.mixture), case.tokens)
    assert silent.isfinite().all()
    assert silent.abs().max() < 1e-6


@torch.no_grad()
@pytest.mark.parametrize("chunks", [2, 3])
def test_several_chunks_are_separated_at_once(case, chunks):
    spec = case.model.spec
    lacking = round(spec.frames * spec.sample_rate / spec.fps) - spec.samples
    frames = chunks * spec.frames
    samples = round(frames * spec.sample_rate / spec.fps) - lacking
    faces = faces_for(spec, 1, frames)
    estimate = case.model.separate(random_audio(1, samples), encode_faces(case.model, faces))
    assert estimate.shape == (1, samples) and estimate.isfinite().all()


@torch.no_grad()
def test_another_length_is_separated_or_refused_with_the_shape(case):
    samples = case.model.spec.samples + 1
    mixture = random_audio(1, samples)
    if case.name in ANY_LENGTH:
        assert case.model.separate(mixture, item(case.tokens, 0)).shape == mixture.shape
        return
    with pytest.raises(ValueError, match=r"S a multiple of 16, got \(1, 2, 256, 65\)"):
        case.model.separate(mixture, item(case.tokens, 0))


@torch.no_grad()
def test_another_face_gives_another_estimate(case):
    if case.tokens is None:
        pytest.skip("audio-only model")
    # Large tokens: untrained conditioning layers respond weakly.
    one, other = (case.model.separate(case.mixture, k * case.tokens) for k in (1000, -1000))
    assert (one - other).abs().max() > 1e-4


@torch.no_grad()
def test_float64_is_kept_and_agrees_with_float32(case):
    model = copy.deepcopy(case.model).double()
    tokens = None if case.tokens is None else item(case.tokens, 0).double()
    estimate = model.separate(item(case.mixture, 0).double(), tokens)
    assert estimate.dtype == torch.float64
    torch.testing.assert_close(estimate.float(), item(case.estimates, 0), atol=1e-4, rtol=0)


def test_gradients_reach_exactly_the_trainable_parameters(case):
    model = small(case.name).train()
    model.separate(case.mixture, encode_faces(model, case.faces)).square().sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert set(gradients) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@torch.no_grad()
def test_saved_weights_give_the_same_estimates(case, tmp_path):
    path = tmp_path / "model.safetensors"
    weights.save(path, case.model.state_dict(), SMALL.get(case.name, {}))
    again = avsync.create_model(case.name, weights=path)
    assert not again.training and again.spec == case.model.spec
    estimates = again.separate(case.mixture, encode_faces(again, case.faces))
    torch.testing.assert_close(estimates, case.estimates, atol=0, rtol=0)


@pytest.mark.parametrize("name", ROWS)
def test_its_docs_page_exists(name):
    named = re.findall(r"docs/([\w/]+\.md)", ROWS[name].licence)
    pages = [DOCS / page for page in named] or list(DOCS.rglob(f"{name}.md"))
    assert pages, f"no page docs/{name}.md"
    assert all(page.is_file() for page in pages)
