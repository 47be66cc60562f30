"""The published networks with weights from sines, against outputs of the public code."""

import pytest
import torch
from golden import ynets
from golden.recipe import numbers

from avsync.convert.ynet import convert_unet, convert_ynet_g, convert_ynet_m
from avsync.fusion.film import resample_tokens
from avsync.losses.bounded_mask import BoundedMaskLoss

GOLDEN = numbers("golden_ynet")


@pytest.fixture(scope="module", params=ynets.MODELS)
def known(request):
    """Return a model and the outputs of the public code."""
    return ynets.golden_model(request.param), GOLDEN[request.param]


@pytest.fixture(scope="module")
def tokens(known):
    model, _ = known
    if not model.spec.sees:
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


@torch.inference_mode()
def test_losses_match_the_public_code():
    model = ynets.golden_model("unet")
    a, b, golden = ynets.mixture(), ynets.second(), GOLDEN["loss"]
    # Spectra are added up, not waveforms: in bins of rounding errors alone that is not the same.
    voice = model.stft(torch.cat([a, 0.8 * b + 0.1 * a]))
    rest = model.stft(torch.cat([b, a.flip(1)]))
    for sources, extra, name in ((2, 0 * voice, "n2"), (3, voice.flip(0), "n3_remix1")):
        model.sources, loss = sources, BoundedMaskLoss(sources)
        mixture = voice + rest + extra
        halves = model.stft.even_bins(voice), model.stft.even_bins(mixture)
        assert loss(model(mixture), *halves).item() == pytest.approx(golden[name], rel=5e-6)
        # The public code keeps the two parts of a mask on the last axis.
        wanted = loss.target_mask(*halves).movedim(1, -1)
        ynets.assert_stats(wanted, golden[f"gt_mask_{name[:2]}"])


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
