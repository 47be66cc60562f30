import hashlib
import json
import pickle
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from avsync.atomic import replacing, write_text
from avsync.weights import (
    cache_folder,
    fetch,
    load,
    save,
    save_calibration,
    sha256_of,
    sha256_of_config,
)

STATE = {"proj.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}
CONFIG = {"dim": 24, "channels": [1, 2]}


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "m.safetensors"
    save(path, STATE, CONFIG)
    return path


class StaticFiles(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


class NeverAnswers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.released.wait(5)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def serve():
    """Return a function that starts a local server with a handler and returns its address."""
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.released = threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(serve, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"0123456789")
    return serve(partial(StaticFiles, directory=folder))


GOOD = hashlib.sha256(b"0123456789").hexdigest()


def test_the_hash_is_the_known_one_of_an_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256_of(tmp_path / "empty") == known


def test_a_saved_checkpoint_is_loaded_unchanged(checkpoint):
    loaded = load(checkpoint, sha256_of(checkpoint))
    assert loaded.config == CONFIG
    torch.testing.assert_close(loaded.state_dict, STATE, rtol=0, atol=0)


def test_the_config_is_saved_beside_the_weights_as_json(checkpoint):
    assert json.loads(checkpoint.with_suffix(".json").read_text()) == CONFIG


def test_a_calibration_is_kept_beside_the_config_and_is_no_part_of_it(checkpoint):
    assert load(checkpoint).calibration is None
    before = sha256_of(checkpoint)
    for bias in (-18.5, -20.0):
        save_calibration(checkpoint, {"bias": bias})
        assert load(checkpoint, before).calibration == {"bias": bias}
        assert load(checkpoint).config == CONFIG


def test_a_calibration_that_is_no_object_is_refused(checkpoint):
    checkpoint.with_suffix(".json").write_text('{"calibration": [1, 2]}')
    with pytest.raises(RuntimeError, match=r"the calibration in .*\.json must be a JSON object"):
        load(checkpoint)


def test_weights_have_the_permissions_of_other_files(checkpoint):
    assert checkpoint.stat().st_mode == checkpoint.with_suffix(".json").stat().st_mode


def test_half_precision_is_kept_unless_float32_is_asked_for(tmp_path):
    path = tmp_path / "half.safetensors"
    save(path, {"w": STATE["proj.weight"].half(), "steps": STATE["steps"]}, {})
    assert load(path).state_dict["w"].dtype == torch.float16
    wide = load(path, as_float32=True).state_dict
    assert (wide["w"].dtype, wide["steps"].dtype) == (torch.float32, torch.int64)


def test_tensors_out_of_the_range_of_half_precision_are_kept(tmp_path):
    state = {"weight": torch.tensor([0.5, 3.0]), "running_var": torch.tensor([2.0, 2e6])}
    state["steps"] = torch.tensor(7)
    save(tmp_path / "m.safetensors", state, CONFIG, half=True)
    found = load(tmp_path / "m.safetensors").state_dict
    assert [found[name].dtype for name in state] == [torch.float16, torch.float32, torch.int64]
    torch.testing.assert_close(load(tmp_path / "m.safetensors", as_float32=True).state_dict, state)


def test_tied_and_transposed_tensors_can_be_saved(tmp_path):
    weight = STATE["proj.weight"]
    save(tmp_path / "tied.safetensors", {"a": weight, "b": weight, "t": weight.T}, {})
    torch.testing.assert_close(load(tmp_path / "tied.safetensors").state_dict["t"], weight.T)


def test_another_hash_is_refused_naming_both(checkpoint):
    with pytest.raises(RuntimeError, match=f"sha256 {sha256_of(checkpoint)}, expected {'0' * 64}"):
        load(checkpoint, "0" * 64)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (pickle.dumps(Bomb()), "a Python pickle, which could run code .* run `avsync convert NAME"),
        (b"PK\x03\x04" + bytes(40), "a PyTorch or zip archive, .* run `avsync convert NAME FILE"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(20), "not a safetensors file but a JPEG image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "not a safetensors file but a PNG image"),
        ((10**12).to_bytes(8, "little") + b"{}", "header claims 1000000000000 bytes, and the"),
        (b"abc", "is damaged or cut short, or not a safetensors file"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00not json at all!", "is damaged or cut short"),
        (b"\xff" * 64, "is damaged or cut short"),
    ],
    ids=[
        "empty",
        "pickle",
        "zip",
        "html",
        "lfs",
        "jpeg",
        "png",
        "claim",
        "short",
        "no header",
        "noise",
    ],
)
def test_the_error_says_what_a_file_that_is_not_safetensors_is(checkpoint, content, message):
    checkpoint.write_bytes(content)
    with pytest.raises(RuntimeError, match=message):
        load(checkpoint)


@pytest.mark.parametrize("lost_bytes", [1, 20, 60])
def test_a_file_cut_short_is_refused(checkpoint, lost_bytes):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-lost_bytes])
    with pytest.raises(RuntimeError, match="damaged or cut short"):
        load(checkpoint)


def test_a_header_whose_length_looks_like_another_format_is_read(tmp_path):
    # 0x3c is `<` and 0x80 starts a pickle: both can be the low byte of a header's length.
    seen = set()
    for width in range(1, 200):
        path = tmp_path / "x.safetensors"
        save(path, {"w" * width: torch.zeros(1)}, {})
        seen.add(path.read_bytes()[0])
        load(path)
    assert 0x80 in seen


def test_folders_in_the_place_of_files_are_named(checkpoint, tmp_path):
    with pytest.raises(RuntimeError, match=r"is a folder, not a weights file \(\.safetensors\)"):
        load(tmp_path)
    checkpoint.with_suffix(".json").unlink()
    checkpoint.with_suffix(".json").mkdir()
    with pytest.raises(RuntimeError, match=r"the config .*m\.json cannot be read: "):
        load(checkpoint)


def test_missing_weights_and_a_missing_config_are_named(checkpoint):
    with pytest.raises(RuntimeError, match=r"there is no weights file .*none\.safetensors"):
        load(checkpoint.with_name("none.safetensors"))
    checkpoint.with_suffix(".json").unlink()
    with pytest.raises(RuntimeError, match=r"there is no config .*m\.json"):
        load(checkpoint)


def test_the_hash_of_a_config_is_that_of_its_values_and_not_of_its_bytes(checkpoint):
    config = checkpoint.with_suffix(".json")
    known = hashlib.sha256(b'{"channels":[1,2],"dim":24}').hexdigest()
    lines = config.read_text()
    for text in (lines, lines.replace("\n", "\r\n"), '{"dim": 24, "channels": [1, 2]}'):
        config.write_bytes(text.encode())
        assert sha256_of_config(config) == known
        assert load(checkpoint, config_sha256=known).config == CONFIG


@pytest.mark.parametrize(
    "edit",
    [
        {"dim": 25},
        {"channels": [2, 1]},
        {"calibration": {"bias": 1.0}},
        {"channels": None},
        {"dim": 24.0},
    ],
)
def test_a_changed_config_has_another_hash_and_is_refused_with_what_to_do(checkpoint, edit):
    config = checkpoint.with_suffix(".json")
    known = sha256_of_config(config)
    config.write_text(json.dumps({**CONFIG, **edit}))
    with pytest.raises(
        RuntimeError, match=rf"config .*m\.json was changed: .* {known}; reinstall avsync"
    ):
        load(checkpoint, config_sha256=known)
    assert load(checkpoint).state_dict


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is damaged"), ("[1]", "must be a JSON object, got list")]
)
def test_a_damaged_config_is_refused(checkpoint, text, message):
    checkpoint.with_suffix(".json").write_text(text)
    with pytest.raises(RuntimeError, match=message):
        load(checkpoint)


def test_wrong_arguments_of_save_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.safetensors, got .*m\.pt"):
        save(tmp_path / "m.pt", STATE, CONFIG)
    with pytest.raises(ValueError, match="config must be plain JSON"):
        save(tmp_path / "m.safetensors", STATE, {"path": tmp_path})
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file_unchanged(checkpoint):
    before = checkpoint.read_bytes()
    with pytest.raises(RuntimeError, match="killed"), replacing(checkpoint) as temporary:
        temporary.write_bytes(b"half a fi")
        raise RuntimeError("killed")
    assert checkpoint.read_bytes() == before
    assert {p.name for p in checkpoint.parent.iterdir()} == {"m.safetensors", "m.json"}


def test_missing_folders_of_a_text_file_are_created(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "ä\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "ä\n".encode()


def test_a_file_is_fetched_once(site, tmp_path):
    target = tmp_path / "cache" / "model.bin"
    assert fetch(f"{site}/model.bin", GOOD, target) == target
    assert target.read_bytes() == b"0123456789"
    assert fetch("http://127.0.0.1:9/nobody-listens", GOOD, target) == target


def test_a_download_with_another_hash_is_refused_and_removed(site, tmp_path):
    with pytest.raises(RuntimeError, match=f"sha256 {GOOD}, expected {'0' * 64}"):
        fetch(f"{site}/model.bin", "0" * 64, tmp_path / "model.bin")
    assert {p.name for p in tmp_path.iterdir()} == {"site"}


def test_a_missing_url_and_a_refused_connection_are_reported(site, tmp_path):
    with pytest.raises(RuntimeError, match=r"could not fetch http://.*none\.bin: .*ot found"):
        fetch(f"{site}/none.bin", GOOD, tmp_path / "model.bin")
    with pytest.raises(RuntimeError, match=r"could not fetch .*refused"):
        fetch("http://127.0.0.1:9/x", GOOD, tmp_path / "model.bin")


def test_a_server_that_never_answers_times_out(serve, tmp_path):
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"could not fetch .*(timed out|no answer within 0.3 s)"):
        fetch(f"{serve(NeverAnswers)}/x", GOOD, tmp_path / "model.bin", timeout_s=0.3)
    assert time.monotonic() - started < 3


def test_a_slow_dns_lookup_times_out(monkeypatch, tmp_path):
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: time.sleep(5) or [])
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"no answer within 0\.2 s"):
        fetch("http://avsync.invalid/x", GOOD, tmp_path / "model.bin", timeout_s=0.2)
    assert time.monotonic() - started < 4


def test_a_malformed_url_is_a_value_error(tmp_path):
    with pytest.raises(ValueError, match="unknown url type"):
        fetch("no-url", GOOD, tmp_path / "model.bin")


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("AVSYNC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("AVSYNC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "avsync"


def test_weights_that_replace_others_are_never_beside_the_config_of_those(tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    save(path, {"a": torch.zeros(1)}, {"dim": 1})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("avsync.weights.write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        save(path, {"a": torch.ones(1)}, {"dim": 2})
    with pytest.raises(RuntimeError, match=r"mine\.json"):
        load(path)


class Insecure:
    """An answer that came from another protocol than was asked for."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def geturl(self):
        return "http://elsewhere/model.bin"


def test_an_address_that_leads_from_https_to_http_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("avsync.weights.urlopen", lambda url, timeout: Insecure())
    with pytest.raises(RuntimeError, match=r"leads to http://elsewhere/model\.bin, which is not"):
        fetch("https://here/model.bin", GOOD, tmp_path / "model.bin")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_too_large_is_refused(site, tmp_path):
    fetch(f"{site}/model.bin", GOOD, tmp_path / "a" / "model.bin", max_bytes=10)
    with pytest.raises(RuntimeError, match="is larger than 9 bytes"):
        fetch(f"{site}/model.bin", GOOD, tmp_path / "b" / "model.bin", max_bytes=9)
    assert not list((tmp_path / "b").iterdir())
