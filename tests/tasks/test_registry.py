import copy
import json
import math
import shutil
from dataclasses import asdict

import pytest
import torch

import avsync
from avsync.pipelines.doctor import doctor
from avsync.tasks.calibration import Calibration, calibration_of
from avsync.tasks.registry import (
    MODELS,
    PRETRAINED,
    create_model,
    list_models,
    model_card,
    resolve_model,
)
from avsync.training.catalog import RECIPES
from avsync.weights import load, save, save_calibration, sha256_of, sha256_of_config

TINY = {"dim": 8, "mouth_channels": [4, 4, 4, 4], "mel_channels": [4, 4, 4, 4, 4]}
RELEASED = [row for row in list_models() if row.sha256 is not None]


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save(path, create_model("dense_sync", config=TINY).state_dict(), TINY)
    return path


def test_the_package_offers_the_registry():
    assert avsync.create_model is create_model
    assert avsync.list_models() == list_models()


def test_every_card_has_licence_data_and_figures():
    for name, row in MODELS.items():
        assert name == row.name
        assert row.licence and row.trained_on and row.summary
        if row.file is None:
            assert row.measured.startswith(("published: ", "not published")), (
                "a figure without its source"
            )
        else:
            command = "avsync evaluate" in row.measured or "benchmarks/" in row.measured
            assert command, "a figure without its command"


@pytest.mark.parametrize("row", RELEASED, ids=lambda row: row.name)
def test_released_weights_match_their_hash_and_are_small(row):
    path = PRETRAINED / row.file
    assert sha256_of(path) == row.sha256
    assert sha256_of_config(path.with_suffix(".json")) == row.config_sha256
    assert path.stat().st_size <= 10 * 2**20


@pytest.mark.parametrize("row", RELEASED, ids=lambda row: row.name)
def test_released_weights_are_half_precision_and_load_as_float32(row):
    floats = [t for t in load(PRETRAINED / row.file).state_dict.values() if t.is_floating_point()]
    assert all(tensor.isfinite().all() for tensor in floats)
    wide = [tensor for tensor in floats if tensor.dtype != torch.float16]
    assert all(tensor.half().isinf().any() for tensor in wide), "half precision would do"
    model = create_model(row.name, pretrained=True)
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert sum(p.numel() for p in model.parameters()) <= 5_000_000


def test_a_model_is_rebuilt_from_its_file(checkpoint):
    model = create_model("dense_sync", weights=checkpoint)
    assert not model.training
    torch.testing.assert_close(model.state_dict(), load(checkpoint).state_dict)


def test_a_field_of_the_config_can_be_chosen(checkpoint):
    moved = create_model("dense_sync", weights=checkpoint, config={"zero_ms": 40.0})
    assert math.isclose(moved.zero_s, 0.04)
    assert create_model("dense_sync", weights=checkpoint).zero_s == 0.0


def test_the_released_sync_model_has_the_calibration_of_its_weights():
    model = create_model("dense_sync", pretrained=True)
    fitted = Calibration(
        bias=-18.315, z_score=1.339, prominence=4.916, floor_ms=19.0, blur_ms=100.0
    )
    assert calibration_of(model) == fitted
    assert calibration_of(copy.deepcopy(model)) == fitted


def test_weights_without_a_calibration_get_a_cautious_one_with_a_warning(checkpoint):
    model = create_model("dense_sync", weights=checkpoint)
    with pytest.warns(UserWarning, match="DenseSync has no calibration of its own.*calibration.py"):
        assert calibration_of(model) == Calibration()
    values = {"bias": -20, "z_score": 1.0, "prominence": 4.0, "floor_ms": 25.0, "blur_ms": 90.0}
    save_calibration(checkpoint, values)
    assert calibration_of(create_model("dense_sync", weights=checkpoint)) == Calibration(**values)


def test_a_calibration_may_have_the_fields_of_the_newer_interval_or_null(checkpoint):
    fields = {"bias": -20.0, "z_score": 1.0, "prominence": 4.0, "floor_ms": 2.0, "blur_ms": 200.0}
    newer = fields | {"error_scale": 1.8, "zero_uncertainty_ms": 16.0, "source_spread_ms": None}
    save_calibration(checkpoint, newer)
    assert create_model("dense_sync", weights=checkpoint).calibration == Calibration(**newer)
    save_calibration(checkpoint, asdict(Calibration()))
    assert create_model("dense_sync", weights=checkpoint).calibration == Calibration()


@pytest.mark.parametrize("wrong", [{"bias": "low"}, {"bias": float("inf")}, {"tilt": 1.0}])
def test_a_calibration_with_other_fields_is_refused(checkpoint, wrong):
    fields = {"bias": -20.0, "z_score": 1.0, "prominence": 4.0, "floor_ms": 25.0, "blur_ms": 90.0}
    config = load(checkpoint).config | {"calibration": fields | wrong}
    checkpoint.with_suffix(".json").write_text(json.dumps(config))
    with pytest.raises(RuntimeError, match="must have the numbers bias, z_score, prominence"):
        create_model("dense_sync", weights=checkpoint)


def test_a_model_without_weights_is_ready_to_train():
    assert create_model("dense_sync", config=TINY).training


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match=r"model must be one of face_sync.*, got 'syncnot'"):
        create_model("syncnot")


def test_models_are_listed_by_a_pattern_of_names_and_by_job():
    def names(*arguments, **options):
        return [card.name for card in list_models(*arguments, **options)]

    assert names("face*") == ["face_sync", "face_sync-research"]
    assert names("sync*") == ["syncnet", "synctalklip"]
    assert names("sync*", job="talking") == names(job="talking")[:1] == ["synctalklip"]
    assert names("ynet_?") == ["ynet_m", "ynet_g", "ynet_v", "ynet_s"]
    assert names("FACE*") == names("face") == []
    assert names() == names("*") == list(MODELS)
    with pytest.raises(ValueError, match=r"job must be one of sync, sep.*talking, got 'lips'"):
        list_models(job="lips")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("facesync", "face_sync"), ("Dense-Sync", "dense_sync"), ("vocalyst", "vocalist")],
)
def test_a_misspelt_name_gets_the_most_similar_one(given, meant):
    message = rf"one of face_sync.*, got '{given}'; did you mean '{meant}'\?$"
    for look_up in (create_model, model_card, lambda name: model_card(name, "sync")):
        with pytest.raises(ValueError, match=message):
            look_up(given)


def test_nothing_is_proposed_for_a_name_unlike_any_or_of_another_job():
    for name, job in (("x", None), ("", None), ("face_sync", "talking")):
        with pytest.raises(ValueError, match=rf"got '{name}'$"):
            model_card(name, job)


def test_a_model_for_another_job_is_unknown():
    assert model_card("unet", "separation").build
    with pytest.raises(ValueError, match=r"one of face_sync.*, got 'unet'") as error:
        model_card("unet", "sync")
    assert "ynet" not in str(error.value)


def load_tiny(name, weights):
    return f"{name} from {weights}"


def test_a_model_is_given_by_name_or_as_an_object(checkpoint):
    named = resolve_model("dense_sync", checkpoint, load_tiny, ["spec"])
    assert named == ("dense_sync", f"dense_sync from {checkpoint}")
    model = create_model("dense_sync", weights=checkpoint)
    assert resolve_model(model, None, load_tiny, ["spec", "compare"]) == ("DenseSync", model)


def test_a_model_object_must_keep_its_contract_be_in_eval_mode_and_have_its_weights(checkpoint):
    model = create_model("dense_sync", weights=checkpoint)
    with pytest.raises(ValueError, match="contract of its task: DenseSync has no separate"):
        resolve_model(model, None, load_tiny, ["spec", "separate"])
    with pytest.raises(ValueError, match="load them into the DenseSync itself"):
        resolve_model(model, checkpoint, load_tiny, ["spec"])
    with pytest.raises(ValueError, match=r"model must be in eval mode: call model\.eval\(\)"):
        resolve_model(model.train(), None, load_tiny, ["spec"])


def test_an_unknown_field_lists_the_fields():
    with pytest.raises(ValueError, match=r"no field dims; its fields are dim, mouth_channels"):
        create_model("dense_sync", config={"dims": 3})


def test_a_field_of_a_nested_config_can_be_chosen():
    small = {"generator": {"drawn": 2, "decoder": [7, 6, 5, 4, 3], "channels": [2, 3, 4, 5, 6, 7]}}
    model = create_model("wav2lip", config={**small, "mel_channels": [2, 3, 4, 5]})
    assert model.generator.decoder.out[1].in_channels == 2
    with pytest.raises(
        ValueError, match="config of TalkingFaceConfig has no field draw; its field"
    ):
        create_model("wav2lip", config={"generator": {"draw": 2}})


def test_weights_of_another_model_are_refused(checkpoint, tmp_path):
    state = load(checkpoint).state_dict
    lacking = {name: tensor for name, tensor in state.items() if name != "mouth.stem.0.weight"}
    for other in (lacking, {**state, "more": torch.zeros(1)}):
        save(tmp_path / "other.safetensors", other, TINY)
        with pytest.raises(RuntimeError, match=r"the weights .*do not fit model dense_sync"):
            create_model("dense_sync", weights=tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("name", "wrong", "wanted"),
    [
        *(("dim", wrong, "an integer from 1 to 100000") for wrong in ("x", None, [1], 0, 10**9)),
        ("dim", True, "an integer from 1 to 100000"),
        ("crop_size", -1, "an integer from 1 to 100000"),
        ("crop_size", 5.5, "an integer from 1 to 100000"),
        ("mouth_channels", [4, 4], "a list of 4, each item an integer up to 100000"),
        ("mel_channels", "4444", "a list of 5, each item an integer up to 100000"),
        ("mel_channels", [4, 4, 4, 4, None], "a list of 5, each item an integer up to 100000"),
        ("zero_ms", None, "a number up to 100000"),
        ("zero_ms", float("nan"), "a number up to 100000"),
        ("zero_ms", {"a": 1}, "a number up to 100000"),
    ],
)
def test_a_config_with_a_value_of_another_type_names_the_field(checkpoint, name, wrong, wanted):
    config = checkpoint.with_suffix(".json")
    config.write_text(json.dumps({**TINY, name: wrong}))
    message = (
        rf"config .*tiny\.json does not fit model dense_sync: {name} of .* must be {wanted}, got"
    )
    with pytest.raises(RuntimeError, match=message) as refused:
        create_model("dense_sync", weights=checkpoint)
    assert "\n" not in str(refused.value)


def test_a_number_with_decimals_may_be_given_without():
    assert create_model("dense_sync", config={**TINY, "zero_ms": 3}).spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor[:1], r"has shape \(1, .*, expected \(4, "),
        (lambda tensor: tensor.long(), "is of torch.int64, expected torch.float32"),
        (lambda tensor: tensor / 0, "has values that are not finite"),
    ],
    ids=["shape", "type", "not finite"],
)
def test_a_tensor_that_does_not_fit_is_named_in_one_sentence(checkpoint, change, message):
    state = load(checkpoint).state_dict
    name = "mouth.stem.0.weight"
    save(checkpoint, {**state, name: change(state[name])}, TINY)
    with pytest.raises(RuntimeError, match=rf"do not fit model dense_sync: {name} {message}"):
        create_model("dense_sync", weights=checkpoint)


def test_a_model_without_released_weights_says_so(monkeypatch):
    monkeypatch.setitem(MODELS, "bare", model_card("dense_sync")._replace(name="bare", file=None))
    with pytest.raises(RuntimeError, match="avsync ships no weights for bare: turn the published"):
        create_model("bare", pretrained=True)


def test_models_without_published_weights_can_be_trained():
    untrained = [row for row in list_models() if row.train is not None]
    assert {row.train.split()[0] for row in untrained} <= set(RECIPES)
    assert all(row.file is None for row in untrained)


def test_a_model_without_published_weights_says_how_to_train_it():
    with pytest.raises(RuntimeError, match="train your own with `avsync train perfect-match`"):
        create_model("perfect_match", pretrained=True)


@pytest.fixture
def installed_copy(monkeypatch, tmp_path):
    """A copy of the shipped files that takes their place."""
    folder = tmp_path / "pretrained"
    shutil.copytree(PRETRAINED, folder)
    monkeypatch.setattr("avsync.tasks.registry.PRETRAINED", folder)
    monkeypatch.setattr("avsync.pipelines.doctor.PRETRAINED", folder)
    return folder


@pytest.mark.parametrize("row", RELEASED, ids=lambda row: row.name)
def test_an_edited_config_of_released_weights_is_refused_by_name(installed_copy, row):
    weights = installed_copy / row.file
    config = weights.with_suffix(".json")
    config.write_bytes(config.read_bytes().replace(b"\n", b"\r\n"))
    create_model(row.name, pretrained=True)
    key = "calibration" if row.job == "sync" else "dim"
    values = json.loads(config.read_text())
    values[key] = {**values[key], "bias": -1.0} if row.job == "sync" else values[key] + 1
    config.write_text(json.dumps(values))
    with pytest.raises(RuntimeError, match=rf"config .*{config.name} was changed"):
        create_model(row.name, pretrained=True)
    finding = next(found for found in doctor() if found.topic == f"model {row.name}")
    assert finding.ok is False and f"{config} was changed" in finding.text
    assert "reinstall avsync" in finding.text


def test_an_edited_calibration_may_be_used_as_weights_of_the_user(installed_copy):
    weights = installed_copy / "dense_sync.safetensors"
    save_calibration(weights, {**asdict(Calibration()), "bias": -9.0})
    assert create_model("dense_sync", weights=weights).calibration.bias == -9.0


@pytest.mark.parametrize("end", [".safetensors", ".json"])
def test_doctor_names_a_shipped_file_that_is_damaged(installed_copy, end):
    path = installed_copy / f"dense_sync{end}"
    path.write_bytes(path.read_bytes()[:-9])
    finding = next(found for found in doctor() if found.topic == "model dense_sync")
    assert finding.ok is False
    assert f"{path} is damaged" in finding.text and "reinstall avsync" in finding.text


def test_released_weights_that_were_tampered_with_are_refused(monkeypatch, checkpoint):
    monkeypatch.setattr("avsync.tasks.registry.PRETRAINED", checkpoint.parent)
    row = model_card("dense_sync")._replace(file=checkpoint.name, sha256="0" * 64)
    monkeypatch.setitem(MODELS, row.name, row)
    with pytest.raises(RuntimeError, match="is not the expected file"):
        create_model("dense_sync", pretrained=True)
