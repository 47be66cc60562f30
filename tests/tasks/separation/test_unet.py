import pytest
import torch

from avsync.tasks.separation.input_spec import chunk_lengths
from avsync.tasks.separation.mask_unet import MaskUNet
from avsync.tasks.separation.unet import UNet, UNetConfig, build_unet

pytestmark = pytest.mark.arithmetic

TINY = (2, 2, 3, 3, 4, 4)
SAMPLES = 16383


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_unet(UNetConfig(TINY, seconds=1)).eval()


@pytest.fixture
def mixture():
    return 0.1 * torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(0))


def test_it_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in build_unet(UNetConfig()).parameters()) == 8_099_394


def test_a_chunk_is_one_sample_short_of_its_seconds(tiny):
    assert chunk_lengths(4) == (65535, 100)
    assert (tiny.spec.samples, tiny.spec.frames) == (SAMPLES, 25)
    assert not tiny.spec.uses_video
    with pytest.raises(ValueError, match="seconds must be at least 1, got 0"):
        chunk_lengths(0)


@torch.no_grad()
def test_a_mask_of_one_gives_the_mixture_back(tiny, mixture):
    model = UNet(OnePlusZeroI(), tiny.spec)
    torch.testing.assert_close(model.separate(mixture), mixture, atol=1e-5, rtol=0)


class OnePlusZeroI(MaskUNet):
    def __init__(self):
        super().__init__(TINY)

    def forward(self, x):
        return torch.stack([torch.ones_like(x[:, 0]), torch.zeros_like(x[:, 1])], dim=1)


@torch.no_grad()
def test_the_networks_input_is_the_mixture_divided_by_its_sources(tiny, mixture):
    third = build_unet(UNetConfig(TINY, sources=3)).eval()
    third.load_state_dict(tiny.state_dict())
    spectrum = tiny.stft(mixture)
    torch.testing.assert_close(third(1.5 * spectrum), tiny(spectrum))


@torch.no_grad()
def test_the_voice_is_the_masked_mixture(tiny, mixture):
    spectrum = tiny.stft(mixture)
    voice = tiny.stft.inverse(tiny.stft.mask(tiny(spectrum), spectrum), SAMPLES)
    torch.testing.assert_close(tiny.separate(mixture), voice)


def test_a_length_that_does_not_fit_is_named(tiny):
    with pytest.raises(ValueError, match=r"S a multiple of 16, got \(1, 2, 256, 65\)"):
        tiny.separate(torch.zeros(1, SAMPLES + 1))


def test_a_spectrum_that_is_not_complex_is_named(tiny):
    with pytest.raises(ValueError, match=r"complex spectrum \(B, 512, S\), got \(1, 512, 64\)"):
        tiny(torch.zeros(1, 512, 64))


def test_a_mixture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="sources must be at least 1, got 0"):
        build_unet(UNetConfig(TINY, sources=0))


def test_widths_that_are_too_few_are_named():
    with pytest.raises(ValueError, match=r"channels must be 6 widths, got \(2, 3\)"):
        MaskUNet((2, 3))
