"""The contract of a separation model, asked of every one in the registry: a new row is tested by
being there, with its default config unless `SMALL` has another.

A model that keeps less of the contract than the others is named, with what it does instead, in the
constants below; one that is not named there keeps all of it.
"""

import copy
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import avsync
from avsync import weights
from avsync.timing import FPS

DOCS = Path(__file__).parents[2] / "docs"
ROWS = {row.name: row for row in avsync.list_models() if row.job == "separation"}
YNET = {"channels": [2, 2, 3, 3, 4, 4], "seconds": 1}
LIPS = [2, 2, 3, 4, 6]
# Configs of models that would take seconds at their default size.
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


# A chunk may be of any length; elsewhere its spectrum must divide.
ANY_LENGTH = ("lip_mask", "llcp")


class Case(NamedTuple):
    """A model in eval mode, two mixtures with what is seen of a face in each, and its voices."""

    name: str
    model: torch.nn.Module
    mixture: torch.Tensor
    faces: torch.Tensor | None
    tokens: torch.Tensor | None
    voices: torch.Tensor


def small(name):
    torch.manual_seed(0)
    return avsync.create_model(name, config=SMALL.get(name, {}))


def sound(batch, samples):
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(1))


def faces_for(spec, batch, frames):
    """Crops, landmarks, or None for a model that sees nothing."""
    generator = torch.Generator().manual_seed(2)
    if not spec.sees:
        return None
    if spec.landmarks:
        return 48 + torch.randn(batch, 2, frames, 68, generator=generator)
    return torch.rand(batch, 3, frames, spec.height, spec.width, generator=generator)


def item(values, i):
    return None if values is None else values[i : i + 1]


def seen(model, faces):
    return None if faces is None else model.encode_video(faces)


@pytest.fixture(scope="module", params=ROWS)
@torch.no_grad()
def case(request):
    model = small(request.param).train()
    spec = model.spec
    mixture, faces = sound(2, spec.samples), faces_for(spec, 2, spec.frames)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # The statistics are those of all there was.
    model.separate(mixture, seen(model, faces))
    model.eval()
    tokens = seen(model, faces)
    return Case(request.param, model, mixture, faces, tokens, model.separate(mixture, tokens))


def test_the_spec_can_be_fed(case):
    spec = case.model.spec
    assert spec.fps == FPS and spec.sample_rate in (16000, 16384)
    # Audio and frames of a chunk are of the same time, to a frame.
    assert abs(spec.samples / spec.sample_rate - spec.frames / spec.fps) < 1 / spec.fps
    assert spec.crop in (None, "mouth", "face", "head")
    assert not (spec.landmarks and spec.crop)
    assert (spec.height > 0 and spec.width > 0) == (spec.crop is not None)
    assert spec.sees == (spec.crop is not None or spec.landmarks)
    assert not spec.lower_half or spec.width == 2 * spec.height


def test_a_mixture_and_a_face_give_a_voice_of_the_same_length(case):
    assert case.voices.shape == (2, case.model.spec.samples)
    assert case.voices.dtype == torch.float32
    assert case.voices.isfinite().all() and (case.voices.std(-1) > 1e-4).all()


def test_a_face_has_tokens_in_time(case):
    if case.tokens is None:
        assert not hasattr(case.model, "encode_video"), "the spec says that it sees nothing"
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
        torch.testing.assert_close(alone, item(case.voices, i), atol=1e-5, rtol=0)


@torch.no_grad()
def test_silence_gives_silence(case):
    quiet = case.model.separate(torch.zeros_like(case.mixture), case.tokens)
    assert quiet.isfinite().all()
    assert quiet.abs().max() < 1e-6


@torch.no_grad()
@pytest.mark.parametrize("chunks", [2, 3])
def test_several_chunks_at_once_go_as_well(case, chunks):
    spec = case.model.spec
    # Whole frames, but for the samples that a single chunk lacks.
    lacking = round(spec.frames * spec.sample_rate / spec.fps) - spec.samples
    frames = chunks * spec.frames
    samples = round(frames * spec.sample_rate / spec.fps) - lacking
    faces = faces_for(spec, 1, frames)
    voice = case.model.separate(sound(1, samples), seen(case.model, faces))
    assert voice.shape == (1, samples) and voice.isfinite().all()


@torch.no_grad()
def test_any_other_length_is_separated_or_refused_by_name(case):
    samples = case.model.spec.samples + 1
    mixture = sound(1, samples)
    if case.name in ANY_LENGTH:
        assert case.model.separate(mixture, item(case.tokens, 0)).shape == mixture.shape
        return
    with pytest.raises(ValueError, match=r"S a multiple of 16, got \(1, 2, 256, 65\)"):
        case.model.separate(mixture, item(case.tokens, 0))


@torch.no_grad()
def test_another_face_gives_another_voice(case):
    if case.tokens is None:
        pytest.skip("looks at no face")
    # Far from zero: fresh weights listen to themselves more than to the face.
    one, other = (case.model.separate(case.mixture, far * case.tokens) for far in (1000, -1000))
    assert (one - other).abs().max() > 1e-4


@torch.no_grad()
def test_float64_goes_all_the_way_and_agrees_with_float32(case):
    model = copy.deepcopy(case.model).double()
    tokens = None if case.tokens is None else item(case.tokens, 0).double()
    voice = model.separate(item(case.mixture, 0).double(), tokens)
    assert voice.dtype == torch.float64
    torch.testing.assert_close(voice.float(), item(case.voices, 0), atol=1e-4, rtol=0)


def test_what_is_to_learn_learns_and_nothing_else(case):
    model = small(case.name).train()
    model.separate(case.mixture, seen(model, case.faces)).square().sum().backward()
    learns = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert set(learns) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(gradient.isfinite().all() for gradient in learns.values())


@torch.no_grad()
def test_weights_make_a_round_trip(case, tmp_path):
    path = tmp_path / "model.safetensors"
    weights.save(path, case.model.state_dict(), SMALL.get(case.name, {}))
    again = avsync.create_model(case.name, weights=path)
    assert not again.training and again.spec == case.model.spec
    voices = again.separate(case.mixture, seen(again, case.faces))
    torch.testing.assert_close(voices, case.voices, atol=0, rtol=0)


@pytest.mark.parametrize("name", ROWS)
def test_a_page_of_the_docs_tells_of_it(name):
    named = re.findall(r"docs/([\w/]+\.md)", ROWS[name].licence)
    pages = [DOCS / page for page in named] or list(DOCS.rglob(f"{name}.md"))
    assert pages, f"no page docs/{name}.md"
    assert all(page.is_file() for page in pages)
