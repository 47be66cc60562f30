import pytest
from torch import nn

from avsync.tasks.registry import create_model
from avsync.training.steps.freezing import freeze_encoders

NARROW = {"channels": (4, 4, 8, 8, 8)}
DENSE = {"dim": 8, "mouth_channels": (4, 4, 4, 8), "mel_channels": (4, 4, 4, 8, 8)}


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_what_follows_the_encoders_is_trained_while_they_are_frozen():
    dense = create_model("dense_sync", config=DENSE)
    assert freeze_encoders(dense, "frozen") == ("mouth", "mel")
    assert trained(dense) == {"weight.weight", "weight.bias"}
    vocalist = create_model("vocalist", config=NARROW | {"depth": 1})
    freeze_encoders(vocalist, "frozen")
    names = {name.split(".")[0] for name in trained(vocalist)}
    assert names == {"audio_to_video", "video_to_audio", "fusion", "fc", "classifier"}


def test_the_last_layer_of_each_encoder_is_trained_too():
    dense = create_model("dense_sync", config=DENSE)
    frozen = freeze_encoders(dense, "last")
    ends = {"mouth.head.3.weight", "mouth.head.3.bias", "mel.head.1.weight", "mel.head.1.bias"}
    assert trained(dense) == ends | {"weight.weight", "weight.bias"}
    # The norm and the dropout before the last layer stay as they are.
    assert {"mouth.head.0", "mouth.head.2", "mouth.trunk", "mel.stages"} <= set(frozen)
    expert = create_model("lip_expert", config=NARROW)
    freeze_encoders(expert, "last")
    assert {name.rsplit(".", 2)[0] for name in trained(expert)} == {
        name for name in _last_blocks(expert)
    }


def _last_blocks(expert):
    return {
        f"{name}.blocks.{len(getattr(expert, name).blocks) - 1}" for name in ("visual", "audio")
    }


def test_all_unfreezes_everything():
    dense = create_model("dense_sync", config=DENSE)
    freeze_encoders(dense, "frozen")
    assert freeze_encoders(dense, "all") == ()
    assert len(trained(dense)) == len(list(dense.parameters()))


def test_a_model_of_encoders_alone_cannot_be_tuned_with_them_frozen():
    with pytest.raises(ValueError, match="LipExpert is nothing but its encoders visual and audio"):
        freeze_encoders(create_model("lip_expert", config=NARROW), "frozen")
    with pytest.raises(ValueError, match="model has no encoder called"):
        freeze_encoders(nn.Linear(2, 2), "last")
    with pytest.raises(ValueError, match="encoders must be frozen, last or all, got 'some'"):
        freeze_encoders(nn.Linear(2, 2), "some")
