"""A frozen sync model as a loss: exact gradients to video and audio, none to the model."""

import copy
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import avsync
from avsync.faces.crops import cut_mouth
from avsync.faces.mesh_regions import cut_region, region_from_points
from avsync.media.audio_reader import read_audio
from avsync.media.video_reader import read_frames
from avsync.pipelines.prepare import prepare
from avsync.synthetic import render
from avsync.tasks.registry import create_model
from avsync.tasks.sync.syncnet import SyncNetConfig, build_syncnet
from avsync.training.steps.sync_expert import to_model_rate, to_model_size

SAMPLES = 640
EXPERT = {"channels": [2, 3, 4, 5, 6]}


def spoken(seed, fps=25, sample_rate=16000, duration_s=2.0):
    """Return mouth crops `(1, 3, T, 56, 56)` of rendered speech, and its audio `(1, N)`."""
    clip = render(seed, duration_s, size=(320, 240), fps=fps, sample_rate=sample_rate)
    crops = [cut_mouth(*frame, 56) for frame in zip(clip.frames, clip.points[0], strict=True)]
    return to_video(crops), torch.from_numpy(clip.wav)[None]


def to_video(crops):
    return torch.from_numpy(np.stack(crops)).permute(3, 0, 1, 2)[None].float() / 255


def noise(frames=12, size=56, batch=2):
    """Return video and audio that mean nothing, of which every number counts."""
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(batch, 3, frames, size, size, generator=generator)
    return video, 0.1 * torch.randn(batch, frames * SAMPLES, generator=generator)


@pytest.fixture(scope="module")
def expert():
    return avsync.SyncExpert("dense_sync")


@pytest.fixture(scope="module")
def clip():
    return spoken(1)


@pytest.fixture(scope="module")
def lip_expert():
    torch.manual_seed(0)
    return create_model("lip_expert", config=EXPERT).eval()


def test_the_loss_is_the_cross_entropy_of_the_own_audio_among_shifts(expert):
    video, wav = noise(batch=1)
    model, windows = expert.model, 8
    # Candidates are windows of 5 frames that lie in the 12 frames of audio, as those of video do;
    # what the model reads beyond them is silence.
    audio = model.encode_audio(F.pad(wav, (0, 3200)), torch.arange(windows) / 25)
    scores = model.compare(model.encode_video(video)[0, :, None], audio[0])
    expected = F.cross_entropy(scores, torch.arange(windows))
    torch.testing.assert_close(expert(video, wav), expected, rtol=1e-4, atol=1e-5)


def test_candidates_are_no_further_than_max_shift_and_scores_are_divided_by_the_temperature(expert):
    video, wav = noise(batch=1)
    near = avsync.SyncExpert(expert.model, max_shift=1, temperature=2.0)
    model, windows = expert.model, 8
    audio = model.encode_audio(F.pad(wav, (0, 3200)), torch.arange(windows) / 25)
    scores = model.compare(model.encode_video(video)[0, :, None], audio[0]) / 2
    far = (torch.arange(windows)[:, None] - torch.arange(windows)).abs() > 1
    expected = F.cross_entropy(scores.masked_fill(far, -torch.inf), torch.arange(windows))
    torch.testing.assert_close(near(video, wav), expected, rtol=1e-4, atol=1e-5)


def test_cosine_bce_is_minus_the_logarithm_of_the_cosine(lip_expert):
    video, wav = noise(size=96)
    expert = avsync.SyncExpert(lip_expert, loss="cosine_bce")
    # Its windows begin 26 ms before their first frame.
    audio = lip_expert.encode_audio(F.pad(wav, (SAMPLES, SAMPLES)), (1 + torch.arange(8)) / 25)
    cosines = lip_expert.compare(lip_expert.encode_video(video[..., 48:, :]), audio)
    expected = -cosines.log().mean()
    torch.testing.assert_close(expert(video, wav), expected, rtol=1e-4, atol=1e-5)
    # The lower half of a face is what is left of the whole one.
    torch.testing.assert_close(expert(video[..., 48:, :], wav), expected, rtol=1e-4, atol=1e-5)


def test_cosines_are_divided_by_a_small_temperature(lip_expert):
    video, wav = noise(size=96)
    by_default, fixed = (
        avsync.SyncExpert(lip_expert, temperature=temperature)(video, wav)
        for temperature in (None, 0.07)
    )
    assert by_default == fixed


# In float64, whose differences are exact enough.
def test_gradients_equal_differences_of_the_loss(expert):
    precise = avsync.SyncExpert(copy.deepcopy(expert.model).double())
    video, wav = (tensor.double().requires_grad_() for tensor in noise(size=40))
    generator = torch.Generator().manual_seed(1)
    steps = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in (video, wav)]
    settings = {"fps": 30.0, "sample_rate": 19200}
    precise(video, wav, **settings).backward()
    for index, tensor in enumerate((video, wav)):
        assert tensor.grad.isfinite().all()
        # Every frame and every sample counts.
        assert (tensor.grad.abs().amax(dim=(1, 3, 4) if tensor.ndim == 5 else 0) > 0).all()
        step = 1e-6 * steps[index]
        with torch.no_grad():
            up, down = (
                precise(*(x + sign * step * (x is tensor) for x in (video, wav)), **settings)
                for sign in (1, -1)
            ) if video.shape == wav.shape else (
                precise(
                    video + sign * step if tensor is video else video,
                    wav + sign * step if tensor is wav else wav,
                    **settings,
                )
                for sign in (1, -1)
            )
        torch.testing.assert_close((up - down) / 2, (tensor.grad * step).sum(), rtol=1e-4, atol=0)
