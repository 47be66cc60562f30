import pytest
import torch

from avsync import weights as checkpoints
from avsync.tasks.registry import create_model
from avsync.training.steps.separator_config import (
    MODELS,
    describe_visual_encoder,
    load_visual_encoder,
    make_separator_config,
    pretrained_visual_encoder,
)

pytestmark = pytest.mark.arithmetic

CHANNELS = (2, 3, 4, 5, 8)


def sync_weights(folder, name, config):
    torch.manual_seed(3)
    path = folder / f"{name}.safetensors"
    checkpoints.save(path, create_model(name, config=config).state_dict(), config)
    return path


def test_sizes_are_those_published_unless_they_are_asked_for():
    full = make_separator_config("v", end_to_end=True)
    assert full["channels"] == (32, 64, 128, 256, 256, 256)
    assert full["visual_channels"] == (32, 64, 128, 256, 512)
    half = make_separator_config("m", width=0.5, visual_width=0.25)
    assert half["channels"] == (16, 32, 64, 128, 128, 128)
    assert half["visual_channels"] == (16, 32, 64)
    assert "visual_channels" not in make_separator_config("u-net", width=0.5)


@pytest.mark.parametrize(
    ("kind", "teacher", "sizes", "part"),
    [
        ("v", "vocalist", {"channels": CHANNELS, "depth": 1, "heads": 2}, "visual"),
        ("llcp", "vocalist", {"channels": CHANNELS, "depth": 1, "heads": 2}, "visual"),
        ("s", "lip_expert", {"channels": CHANNELS}, "visual"),
        ("dense-sync", "dense_sync", {"dim": 6, "mouth_channels": (2, 3, 4, 5)}, "mouth"),
    ],
)
def test_a_separator_has_the_visual_tokens_of_the_sync_model(kind, teacher, sizes, part, tmp_path):
    path = sync_weights(tmp_path, teacher, sizes)
    visual = pretrained_visual_encoder(kind, path)
    config = make_separator_config(kind, width=0.06, seconds=1, visual=visual)
    assert config["frozen"]
    model = create_model(MODELS[kind], config=config).eval()
    load_visual_encoder(model, visual)
    spec = model.spec
    frames = torch.rand(1, 3, 20, spec.height, spec.width)
    encoder = create_model(teacher, weights=path).get_submodule(part)
    with torch.no_grad():
        found, expected = model.encode_video(frames), encoder(frames)
    # Where every window is the middle of a frame; the lip expert's are brought to length one.
    before = (20 - expected.shape[1]) // 2
    if kind == "s":
        expected = torch.nn.functional.normalize(expected, dim=-1)
    torch.testing.assert_close(found[:, before : before + expected.shape[1]], expected)


def test_the_shipped_sync_model_lends_its_visual_encoder():
    visual = pretrained_visual_encoder("dense-sync", None)
    config = make_separator_config("dense-sync", width=0.06, visual=visual)
    model = create_model("ynet_dense", config=config)
    load_visual_encoder(model, visual)
    shipped = create_model("dense_sync", pretrained=True).mouth.state_dict()
    found = model.visual.encoder.state_dict()
    assert all(torch.equal(found[name], shipped[name]) for name in shipped)


def test_a_frozen_encoder_with_random_weights_is_refused():
    with pytest.raises(ValueError, match="give visual, weights of a trained vocalist"):
        make_separator_config("v")
    assert not make_separator_config("v", end_to_end=True)["frozen"]


def test_what_does_not_go_together_is_named(tmp_path):
    with pytest.raises(ValueError, match="kind must be one of u-net, m, g"):
        make_separator_config("r")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="widths must be positive, got 0"):
        make_separator_config("m", width=0)
    with pytest.raises(ValueError, match="visual is for v, s, dense-sync, llcp, not for kind m"):
        pretrained_visual_encoder("m", tmp_path)
    with pytest.raises(ValueError, match="kinetics is for kind m, got v"):
        pretrained_visual_encoder("v", None, kinetics=True)


def test_cached_features_are_identified_by_the_visual_encoder_alone():
    wide, thin = (make_separator_config("v", width, end_to_end=True) for width in (1.0, 0.5))
    assert describe_visual_encoder("ynet_v", wide) == describe_visual_encoder("ynet_v", thin)
    other = make_separator_config("v", visual_width=0.5, end_to_end=True)
    assert describe_visual_encoder("ynet_v", wide) != describe_visual_encoder("ynet_v", other)
