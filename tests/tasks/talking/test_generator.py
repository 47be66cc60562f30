import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from avsync.encoders.conv_block import fold_batch_norms
from avsync.tasks.talking.generator import (
    FRAMES_PER_PASS,
    TalkingFaceConfig,
    build_talking_face_generator,
    face_pair,
    generate_frames,
)
from avsync.tasks.talking.wav2lip import Wav2LipConfig, build_wav2lip

pytestmark = pytest.mark.arithmetic

GOLDEN = Path(__file__).parents[2] / "golden"
TINY = TalkingFaceConfig((2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3), 2)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return with_statistics(build_talking_face_generator(TINY, nn.Linear(8, 7)))


@torch.no_grad()
def with_statistics(model, dim=8):
    """Give batch norms the statistics of their inputs, else outputs fade from layer to layer."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    model(torch.randn(16, dim), torch.rand(16, 6, 96, 96))
    return model.eval()


@pytest.fixture
def faces():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 6, 96, 96, generator=generator)


def test_parameters_are_those_of_the_public_code_in_order():
    keys = json.loads((GOLDEN / "keys_talklip.json").read_text())
    shapes = [tuple(shape) for name, shape in keys.items() if not name.startswith("sync_net")]
    model = build_talking_face_generator(TalkingFaceConfig(), nn.Linear(1024, 512))
    assert [tuple(p.shape) for p in model.parameters()] == shapes
    assert sum(p.numel() for p in model.decoder.stages.parameters()) == 25_291_072
    assert sum(p.numel() for p in model.decoder.out.parameters()) == 23_235


@torch.no_grad()
def test_the_decoder_has_the_sizes_of_the_table():
    model = build_talking_face_generator(TalkingFaceConfig(), nn.Linear(1024, 512)).eval()
    sizes = []
    for stage in model.decoder.stages:
        stage.register_forward_hook(
            lambda _, inputs, output: sizes.append((inputs[0].shape[1], *output.shape[1:]))
        )
    model(torch.randn(1, 1024), torch.rand(1, 6, 96, 96))
    assert sizes == [
        (512, 512, 1, 1),
        (1024, 512, 3, 3),
        (1024, 512, 6, 6),
        (768, 384, 12, 12),
        (512, 256, 24, 24),
        (320, 128, 48, 48),
        (160, 64, 96, 96),
    ]


@torch.no_grad()
def test_the_frame_depends_on_speech_pose_and_identity(tiny, faces):
    tokens = torch.randn(3, 8)
    frames = tiny(tokens, faces)
    assert frames.shape == (3, 3, 96, 96) and ((frames > 0) & (frames < 1)).all()
    torch.testing.assert_close(tiny(tokens[1:2], faces[1:2]), frames[1:2])
    assert not torch.allclose(tiny(tokens.flip(0), faces), frames, atol=1e-4)
    for half in (slice(3), slice(3, 6)):
        other = faces.clone()
        other[:, half, :48] = faces[:, half, :48].flip(0)
        assert not torch.allclose(tiny(tokens, other), frames, atol=1e-4)


def test_the_lower_half_of_the_pose_is_masked(faces):
    pose, identity = faces[:, :3], faces[:, 3:]
    pair = face_pair(pose, identity)
    assert (pair[:, :3, 48:] == 0).all() and (pose[:, :, 48:] > 0).any()
    torch.testing.assert_close(pair[:, :3, :48], pose[:, :, :48])
    torch.testing.assert_close(pair[:, 3:], identity)
    with pytest.raises(ValueError, match=r"pose and identity must both be \(B, 3, 96, 96\), got"):
        face_pair(pose, identity[:1])


@torch.no_grad()
def test_folding_batch_norms_keeps_the_frames(tiny, faces):
    model, tokens = deepcopy(tiny), torch.randn(3, 8)
    expected = model(tokens, faces)
    fold_batch_norms(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(model(tokens, faces), expected, atol=1e-5, rtol=1e-4)


def test_tokens_that_do_not_fit_the_faces_are_named(tiny, faces):
    with pytest.raises(ValueError, match=r"tokens must be \(B, D\) for faces .* got \(2, 8\)"):
        tiny(torch.randn(2, 8), faces)
    with pytest.raises(ValueError, match=r"tokens must be \(B, D\).* got \(3, 1, 8\)"):
        tiny(torch.randn(3, 1, 8), faces)


def test_all_work_stays_on_the_device_of_the_input():
    with torch.device("meta"):
        model = build_talking_face_generator(TINY, nn.Linear(8, 7))
        generated = model(torch.rand(2, 8), torch.rand(2, 6, 96, 96))
    assert generated.device.type == "meta"


@torch.no_grad()
def test_a_clip_is_generated_from_its_speech_and_its_first_frame():
    torch.manual_seed(0)
    model = build_wav2lip(Wav2LipConfig((2, 3, 4, 5), TINY)).eval()
    model.generator = with_statistics(model.generator, dim=7)
    count = FRAMES_PER_PASS + 3
    frames, wav = torch.rand(count, 3, 96, 96), 0.1 * torch.randn(640 * count)
    generated = generate_frames(model, frames, wav)
    assert generated.shape == frames.shape
    token = model.encode_speech(wav[None], count)[0, -1:]
    alone = model(token, face_pair(frames[-1:], frames[:1]))
    torch.testing.assert_close(generated[-1:], alone)
    hidden = frames.clone()
    hidden[1:, :, 48:] = 0
    torch.testing.assert_close(generate_frames(model, hidden, wav), generated)
    other = generate_frames(model, frames, wav, identity=frames[5])
    assert not torch.allclose(other, generated, atol=1e-4)
