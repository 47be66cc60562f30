"""Names of weights: only what was asked for is loaded, and nothing else is fetched or read."""

import hashlib
import json
import pickle
import sys
from pathlib import Path

import pytest
import torch
from local_hub import COMMIT, local_hub

from avsync import hub
from avsync.cli import main
from avsync.encoders.pretrained.whisper import load_whisper_encoder
from avsync.hub import weights_path
from avsync.tasks.registry import create_model
from avsync.training.engine.checkpoint import start_model
from avsync.weights import PRETRAINED, load, sha256_of, sha256_of_config

WEIGHTS, CONFIG = PRETRAINED / "dense_sync.safetensors", PRETRAINED / "dense_sync.json"
SHA256, CONFIG_SHA256 = sha256_of(WEIGHTS), sha256_of_config(CONFIG)
OTHER = "0" * 64


@pytest.fixture
def server():
    files = {
        "model.safetensors": WEIGHTS.read_bytes(),
        "model.json": CONFIG.read_bytes(),
        "config.json": record(SHA256, CONFIG_SHA256),
    }
    with local_hub(files) as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSYNC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub_server(server, tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return server


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "model.safetensors").write_bytes(WEIGHTS.read_bytes())
    (path / "model.json").write_bytes(CONFIG.read_bytes())
    (path / "config.json").write_bytes(record(SHA256, CONFIG_SHA256))
    return path


def record(sha256, config_sha256):
    return json.dumps({"sha256": sha256, "config_sha256": config_sha256}).encode()


def assert_is_dense_sync(weights):
    loaded = create_model("dense_sync", weights=weights)
    released = create_model("dense_sync", pretrained=True)
    assert loaded.calibration == released.calibration
    torch.testing.assert_close(loaded.state_dict(), released.state_dict(), rtol=0, atol=0)


def test_a_file_is_its_own_path():
    assert weights_path("x.safetensors") == Path("x.safetensors")
    assert weights_path(WEIGHTS) == WEIGHTS


def test_an_address_gives_the_model_that_its_hash_names(server):
    url = f"{server.address}/model.safetensors#sha256={SHA256}&config_sha256={CONFIG_SHA256}"
    assert_is_dense_sync(url)


def test_the_command_line_may_have_joined_the_slashes_of_an_address(server):
    url = f"{server.address}/model.safetensors#sha256={SHA256}"
    assert weights_path(Path(url)) == weights_path(url)


@pytest.mark.parametrize(
    ("fragment", "code", "message"),
    [
        (f"#sha256={SHA256}", 11, ""),
        (f"#sha256={OTHER}", 1, f"sha256 {SHA256}, expected {OTHER}"),
        ("", 2, "an address of weights needs their hash"),
    ],
)
def test_the_command_takes_an_address(server, make_clip, capsys, fragment, code, message):
    # A clip without a face: `cannot tell` once the weights are loaded.
    clip = make_clip("clip.mp4")
    weights = f"{server.address}/model.safetensors{fragment}"
    line = ["check", str(clip), "--model", "dense_sync", "--weights", weights]
    assert main(line) == code
    assert message in capsys.readouterr().err


def test_a_second_load_needs_no_server(server):
    url = f"{server.address}/model.safetensors#sha256={SHA256}"
    first = weights_path(url)
    server.down = True
    assert weights_path(url) == first


def test_a_query_of_an_address_is_that_of_its_config_too(server):
    weights_path(f"{server.address}/model.safetensors?x=1#sha256={SHA256}")
    assert server.requests == ["GET /model.safetensors?x=1", "GET /model.json?x=1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("https://example.org/x.safetensors", r"needs their hash, .*x\.safetensors#sha256=HASH"),
        ("https://example.org/x.pth#sha256=" + OTHER, "must end in .safetensors"),
        ("http://example.org/x.safetensors#sha256=" + OTHER, "by https only"),
        ("https://example.org/x.safetensors#sha256=12", "64 hex digits"),
        ("https://example.org/x.safetensors#md5=12", "sha256 and config_sha256 only"),
        ("https://example.org/x.safetensors#" + OTHER, "sha256 and config_sha256 only"),
        ("hf-hub:dense_sync", "is named OWNER/REPO, got 'dense_sync'"),
        ("hf-hub:../..", "is named OWNER/REPO"),
        ("hf-hub:me/x@", "a revision must be"),
        ("hf-hub:me/x@../y", "a revision must be"),
    ],
)
def test_a_malformed_name_is_wrong_usage_and_nothing_is_fetched(name, message, cache):
    with pytest.raises(ValueError, match=message):
        weights_path(name)
    assert not cache.exists()


def test_other_weights_at_the_address_are_refused_and_not_kept(server, cache):
    with pytest.raises(RuntimeError, match=f"sha256 {SHA256}, expected {OTHER}"):
        weights_path(f"{server.address}/model.safetensors#sha256={OTHER}")
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_another_config_at_the_address_is_refused_and_not_kept(server, cache):
    name = f"{server.address}/model.safetensors#sha256={SHA256}&config_sha256={OTHER}"
    with pytest.raises(RuntimeError, match=f"sha256 {CONFIG_SHA256}, expected {OTHER}"):
        weights_path(name)
    assert not list(cache.rglob("*.json"))


def test_an_error_page_is_not_kept_as_the_config(server):
    url = f"{server.address}/model.safetensors#sha256={SHA256}"
    server.files["model.json"] = b"<html>busy</html>"
    with pytest.raises(RuntimeError, match=r"the config .*model\.json is damaged"):
        weights_path(url)
    server.files["model.json"] = CONFIG.read_bytes()
    assert_is_dense_sync(url)


def test_a_run_starts_from_weights_of_a_folder(folder):
    start = start_model("dense_sync", {}, folder)
    assert start.config == load(WEIGHTS).config


def test_an_encoder_takes_a_folder(folder):
    for file in ("safetensors", "json"):
        shipped = PRETRAINED / f"whisper_tiny_en_1_layer.{file}"
        (folder / f"model.{file}").write_bytes(shipped.read_bytes())
    with pytest.raises(RuntimeError, match="is not the expected file"):
        load_whisper_encoder(folder)
    hashes = sha256_of(folder / "model.safetensors"), sha256_of_config(folder / "model.json")
    (folder / "config.json").write_bytes(record(*hashes))
    released = load_whisper_encoder().state_dict()
    torch.testing.assert_close(load_whisper_encoder(folder).state_dict(), released)


def test_a_config_that_is_too_large_is_refused(server):
    server.files["model.json"] = b" " * (hub.MAX_CONFIG_BYTES + 1)
    with pytest.raises(RuntimeError, match=r"model\.json is larger than 1048576 bytes"):
        weights_path(f"{server.address}/model.safetensors#sha256={SHA256}")


def test_a_folder_in_the_layout_of_a_hub_gives_the_model(folder):
    assert_is_dense_sync(folder)


def test_a_folder_without_a_record_is_refused_as_a_folder(folder):
    (folder / "config.json").unlink()
    with pytest.raises(RuntimeError, match="is a folder, not a weights file"):
        create_model("dense_sync", weights=folder)


@pytest.mark.parametrize("file", ["model.safetensors", "model.json"])
def test_a_changed_file_of_a_folder_is_refused(folder, file):
    text = json.dumps({**json.loads(CONFIG.read_text()), "dim": 1})
    (folder / file).write_text(text)
    with pytest.raises(RuntimeError, match=f"{file} of .* is not the expected file"):
        create_model("dense_sync", weights=folder)


@pytest.mark.parametrize("text", ["{}", "[]", '{"sha256": 3}', "x", record("x", "y").decode()])
def test_a_record_without_hashes_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(RuntimeError, match=r"config\.json of .* (must name|cannot be read)"):
        weights_path(folder)


def test_a_pickle_in_a_folder_is_never_unpickled(folder):
    data = pickle.dumps({"weights": [1.0]})
    (folder / "model.safetensors").write_bytes(data)
    (folder / "config.json").write_bytes(record(hashlib.sha256(data).hexdigest(), CONFIG_SHA256))
    with pytest.raises(RuntimeError, match="a Python pickle, which could run code"):
        create_model("dense_sync", weights=folder)


def test_the_client_of_the_hub_gives_the_model(hub_server):
    assert_is_dense_sync("hf-hub:me/dense")
    assert_is_dense_sync(f"hf-hub:me/dense@main#sha256={SHA256}")
    asked = {line.split("/resolve/")[1] for line in hub_server.requests}
    assert asked == {
        "main/config.json",
        f"{COMMIT}/model.json",
        f"{COMMIT}/model.safetensors",
    }


def test_a_repository_that_was_loaded_needs_no_server(hub_server):
    first = weights_path("hf-hub:me/x")
    hub_server.down = True
    assert weights_path("hf-hub:me/x") == first


def test_a_repository_whose_weights_are_not_those_of_its_record_is_refused(hub_server):
    hub_server.files["config.json"] = record(OTHER, CONFIG_SHA256)
    with pytest.raises(
        RuntimeError, match=r"model\.safetensors of hf-hub:me/x is not the expected"
    ):
        weights_path("hf-hub:me/x")


def test_a_hash_in_the_name_is_stronger_than_the_record(hub_server):
    with pytest.raises(RuntimeError, match=f"expected {OTHER}"):
        weights_path(f"hf-hub:me/x#sha256={OTHER}")


def test_weights_that_are_too_large_are_not_downloaded(hub_server, monkeypatch):
    monkeypatch.setattr(hub, "MAX_WEIGHTS_BYTES", 1000)
    with pytest.raises(RuntimeError, match=r"model\.safetensors of .* at most 1000"):
        weights_path("hf-hub:me/x")
    assert not [line for line in hub_server.requests if line.startswith("GET") and "safet" in line]


def test_a_repository_without_weights_of_ours_is_named(hub_server):
    del hub_server.files["config.json"]
    with pytest.raises(RuntimeError, match=r"could not fetch config\.json of hf-hub:me/x"):
        weights_path("hf-hub:me/x")


def test_without_the_client_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(RuntimeError, match=r"pip install 'avsync\[hub\]'"):
        weights_path("hf-hub:me/x")
