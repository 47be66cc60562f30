"""The published networks with weights from sines, against outputs of the public code."""

import pytest
import torch
from golden import ynets
from golden.recipe import numbers

from avsync.convert.ynet import convert_unet, convert_ynet_g, convert_ynet_m
from avsync.fusion.film import resample_tokens
from avsync.losses.bounded_mask import BoundedMaskLoss

pytestmark = pytest.mark.arithmetic

GOLDEN = numbers("golden_ynet")


@pytest.fixture(scope="module", params=ynets.MODELS)
def known(request):
    """Return a model and the outputs of the public code."""
    return ynets.golden_model(request.param), GOLDEN[request.param]


@pytest.fixture(scope="module")
def tokens(known):
    model, _ = known
    if not model.spec.uses_video:
        return None
    with torch.inference_mode():
        if model.spec.landmarks:
            return model.encode_video(ynets.landmarks())
        encoder = model.visual.encoder  # takes mouth crops
        return encoder(ynets.normal_video() * encoder.spread + encoder.mean)


@torch.inference_mode()
def test_masks_and_waveforms_match_the_public_code(known, tokens):
    model, golden = known
    spectrum = model.stft(ynets.mixture())
    logits = model(spectrum, tokens)
    ynets.assert_stats(logits, golden["logits_mask"])
    # The public code's mask is for the half of the mixture that it is given.
    ynets.assert_stats(2 * logits[:, 0], golden["inference_mask_real"])
    ynets.assert_stats(model.stft.mask(logits, spectrum).real, golden["estimated_sp_real"])
    ynets.assert_stats(model.separate(ynets.mixture(), tokens), golden["estimated_wav"])
    half = model.stft.inverse(spectrum / 2, ynets.SAMPLES)
    ynets.assert_stats(half, golden["raw_mix_wav"])


@pytest.mark.parametrize("known", ["ynet_m", "ynet_g"], indirect=True)
@torch.inference_mode()
def test_visual_features_match_the_public_code(known, tokens):
    model, golden = known
    latent, _ = model.unet.encode(
        model.stft.as_channels(model.stft.even_bins(model.stft(ynets.mixture()) / 2))
    )
    ynets.assert_stats(latent, golden["audio_latent"])
    ynets.assert_stats(model.film(latent, tokens), golden["film_out"])
    ynets.assert_stats(resample_tokens(tokens, 16), golden["visual_features"])


# A third of the bins of a float32 spectrum of tones hold rounding errors alone, which differ from
# machine to machine. They make 0.0023 of the loss, and another draw of 92,000 such numbers moves
# their mean by 0.004 of itself: 1e-5 of the loss; allowed are 10 times as much. In float64 the same
# bins hold what the window leaks, 1e-7 and more, known to 1e-7 of itself: 2e-10 of the loss.
@pytest.mark.parametrize(
    ("dtype", "golden", "rel"),
    [
        (torch.float32, GOLDEN["loss"], 1e-4),
        (torch.float64, numbers("golden_float64")["ynet_loss"], 2e-9),
    ],
    ids=["float32", "float64"],
)
@torch.inference_mode()
def test_losses_match_the_public_code(dtype, golden, rel):
    model = ynets.golden_model("unet").to(dtype)
    for loss, name, voice, mixture in remixes(model, dtype):
        halves = model.stft.even_bins(voice), model.stft.even_bins(mixture)
        assert loss(model(mixture), *halves).item() == pytest.approx(golden[name], rel=rel)
        if dtype == torch.float64:
            # The public code keeps the two parts of a mask on the last axis.
            target = loss.target_mask(*halves).movedim(1, -1)
            ynets.assert_stats(target, golden[f"gt_mask_{name[:2]}"])


@torch.inference_mode()
def test_float32_masks_match_those_of_float64_where_the_mixture_is_loud():
    model = ynets.golden_model("unet")
    for single, double in zip(
        remixes(model, torch.float32), remixes(model, torch.float64), strict=True
    ):
        loss, _, *spectra = single
        loud = double[3].abs() > 1
        masks = [loss.target_mask(*each) for each in (spectra, double[2:])]
        one, other = (mask.movedim(1, -1)[loud].double() for mask in masks)
        # A bin is off by 2^-24 of a sum of 511, 3e-5, and so is its ratio to one of 1; ten tanh.
        torch.testing.assert_close(one, other, atol=3e-4, rtol=0)


def remixes(model, dtype):
    """For two sources and for three: the loss, its golden name, and the spectra of target and
    mixture. `model` is set to as many sources.
    """
    a, b = ynets.mixture().to(dtype), ynets.second().to(dtype)
    # Spectra are added up, not waveforms: in bins of rounding errors alone that is not the same.
    voice = model.stft(torch.cat([a, 0.8 * b + 0.1 * a]))
    rest = model.stft(torch.cat([b, a.flip(1)]))
    for sources, extra, name in ((2, 0 * voice, "n2"), (3, voice.flip(0), "n3_remix1")):
        model.sources = sources
        yield BoundedMaskLoss(sources), name, voice, voice + rest + extra


@pytest.mark.parametrize("name", ynets.MODELS)
def test_a_checkpoint_without_its_unused_tables_is_accepted(name):
    convert, _ = ynets.MODELS[name]
    state = ynets.upstream_state(name)
    used = {k: v for k, v in state.items() if "sp2mel" not in k and ".layer4." not in k}
    assert convert(used).keys() == convert(state).keys()


def test_no_tensor_is_invented_and_none_left_over():
    state = ynets.upstream_state("unet")
    with pytest.raises(RuntimeError, match=r"1 missing: final_conv\.bias"):
        convert_unet({k: v for k, v in state.items() if k != "final_conv.bias"})
    with pytest.raises(RuntimeError, match=r"1 unexpected: motion_net\.layer5"):
        convert_ynet_m(ynets.upstream_state("ynet_m") | {"motion_net.layer5": torch.zeros(1)})
    with pytest.raises(RuntimeError, match=r"missing: graph_net\.A"):
        convert_ynet_g(state)
