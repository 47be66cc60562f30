"""`avsync separate` on files, with models as they are trained, though tiny."""

import json

import pytest
from pipelines.two_faces import tones, write_faces

from avsync.tasks.registry import create_model
from avsync.weights import save

TINY = {"channels": [2, 2, 2, 2, 2, 2], "seconds": 2}
SEEING = {**TINY, "visual_channels": [2, 2, 2, 2, 4]}


@pytest.fixture
def weights(tmp_path):
    def make(name, config):
        path = tmp_path / f"{name}.safetensors"
        save(path, create_model(name, config=config).state_dict(), config)
        return path

    return make


@pytest.fixture
def clip(tmp_path):
    return write_faces(tmp_path / "clip.mkv", tones(16000, 4), 16000)


def test_a_voice_is_written_and_the_exit_code_is_0(run, weights, clip, tmp_path):
    options = ("--model", "unet", "--weights", weights("unet", TINY), "--mux")
    options += ("--html", tmp_path / "report.html")
    code, out, err = run("separate", clip, "-o", tmp_path / "out", *options)
    assert (code, err) == (0, "")
    assert out == f"{clip}: 1 voice in {tmp_path / 'out'}: voice_0.wav; the rest: rest.wav\n"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["rest.wav", "separation.json", "voice_0.mkv", "voice_0.wav"]
    assert json.loads((tmp_path / "out" / "separation.json").read_text())["model"] == "unet"
    assert "1 voice separated" in (tmp_path / "report.html").read_text()


def test_a_frame_without_faces_is_code_11(run, weights, make_clip, tmp_path):
    path, out = weights("ynet_v", SEEING), tmp_path / "out"
    options = ("--model", "ynet_v", "--weights", path, "--detector", "haar")
    code, said, _ = run("separate", make_clip("a.mkv"), "-o", out, *options)
    assert code == 11
    assert said.endswith("a.mkv: cannot tell: no face found\n")


def test_a_file_that_cannot_be_read_is_code_12(run, weights, tmp_path):
    options = ("--model", "unet", "--weights", weights("unet", TINY))
    code, out, _ = run("separate", tmp_path / "none.mp4", "-o", tmp_path / "out", *options)
    assert code == 12
    assert "unreadable" in out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--model", "dense_sync"), 2, "model must be one of "),
        (("--model", "unet"), 1, "no weights of unet were published: train your own"),
        (("--who", "both"), 2, "who must be all, left, right or a number from 0, got 'both'"),
    ],
)
def test_wrong_usage_is_one_line_on_stderr(run, tmp_path, options, code, message):
    got, out, err = run("separate", "a.mp4", "-o", tmp_path / "out", *options)
    assert (got, out) == (code, "")
    assert err.startswith(f"avsync: {message}") and err.count("\n") == 1
