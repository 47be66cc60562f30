import pytest
import torch

from avsync.encoders.looking_to_listen import DilatedFrameEncoder, DilatedSpectrumEncoder
from avsync.tasks.separation.llcp import LlcpConfig, build_llcp

TINY = LlcpConfig((2, 2, 3, 4, 6), 4, 3, 5, 7, seconds=1)
SAMPLES = 16383


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_llcp(TINY).eval()


def mixture(batch=1):
    return 0.1 * torch.randn(batch, SAMPLES, generator=torch.Generator().manual_seed(2))


def tokens(batch=1):
    return torch.randn(batch, 25, 6, generator=torch.Generator().manual_seed(3))


def test_it_has_the_published_number_of_parameters_without_the_visual_encoder():
    with torch.device("meta"):
        model = build_llcp(LlcpConfig())
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    # 15,326,240 of the public code, whose norms have 2 x 256 numbers where ours have 2 x 600.
    assert count == 15_326_240 + 3 * 2 * (600 - 256)
    assert sum(p.numel() for p in model.frames.parameters()) == 2_560_512


@torch.no_grad()
def test_a_face_and_a_mixture_give_a_voice_of_any_length(tiny):
    frames = torch.rand(1, 3, 25, 48, 96)
    video = tiny.encode_video(frames)
    assert video.shape == (1, 25, tiny.token_dim)
    assert tiny.separate(mixture(), video).shape == (1, SAMPLES)
    assert tiny.separate(mixture()[:, :9999], video).shape == (1, 9999)


def test_a_frozen_visual_encoder_is_not_trained_and_the_rest_is():
    model = build_llcp(TINY).train()
    assert not any(m.training for m in model.visual.modules())
    video = model.encode_video(torch.rand(2, 3, 25, 48, 96))
    model(model.stft(mixture(2)), video).square().mean().backward()
    assert all(p.grad is None for p in model.visual.parameters())
    rest = [p for n, p in model.named_parameters() if not n.startswith("visual.")]
    assert all(p.grad is not None for p in rest)


@torch.no_grad()
def test_a_frame_depends_on_65_frames_to_either_side():
    torch.manual_seed(0)
    encoder = DilatedFrameEncoder(3, 8).eval()
    clip = torch.randn(1, 201, 3)
    other = clip.clone()
    other[:, 100] += 100
    moved = (encoder(other) - encoder(clip)).abs().sum(-1)[0].nonzero()[:, 0]
    assert (moved.min(), moved.max()) == (35, 165)


@torch.no_grad()
def test_a_column_of_the_spectrum_is_a_token():
    encoder = DilatedSpectrumEncoder(bins=6, channels=2, last=3).eval()
    assert encoder(torch.randn(2, 2, 6, 9)).shape == (2, 9, 18)
    with pytest.raises(ValueError, match=r"must be \(B, 2, 6, S\), got \(2, 2, 5, 9\)"):
        encoder(torch.randn(2, 2, 5, 9))


def test_tokens_of_another_width_are_named(tiny):
    with pytest.raises(ValueError, match=r"tokens must be \(B, L, 6\), got \(1, 25, 5\)"):
        tiny(tiny.stft(mixture()), torch.zeros(1, 25, 5))
