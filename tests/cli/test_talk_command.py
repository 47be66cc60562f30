"""`avsync talk` on files, with models as they are trained, though tiny."""

import json

import numpy as np
import pytest
from pipelines.painters import texture, write_frames, write_voice

from avsync.tasks.registry import create_model
from avsync.weights import save

DRAWS = {
    "channels": [4, 6, 8, 12, 16, 24],
    "decoder": [24, 16, 12, 8, 6],
    "drawn": 4,
}
HEARS = {"dim": 32, "depth": 1, "heads": 4, "ffn": 64, "channels": [8, 8, 8, 8]}
TINY = {
    "synctalklip": {"encoder": HEARS | {"position_frames": 15}, "generator": DRAWS},
    "wav2lip": {"mel_channels": [2, 3, 4, 5], "generator": DRAWS},
}


@pytest.fixture
def weights(tmp_path):
    def make(name):
        path = tmp_path / f"{name}.safetensors"
        save(path, create_model(name, config=TINY[name]).state_dict(), TINY[name])
        return path

    return make


@pytest.fixture
def files(tmp_path):
    """A video without a face, and a voice."""
    wav = 0.3 * np.sin(np.arange(16000) / 8)
    video = write_frames(tmp_path / "video.mp4", [texture(96, 80)] * 30)
    return "--face", video, "--audio", write_voice(tmp_path / "voice.wav", wav)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.real_data
def test_a_real_face_talks(run, weights, shared, tmp_path, name):
    clips = sorted((shared / "data" / "wild_lrs3").glob("*.mp4"))
    new, record = tmp_path / "new.mp4", tmp_path / "done.json"
    options = ("--model", name, "--weights", weights(name), "--json", record)
    said = ("--face", clips[0], "--audio", clips[-1], "-o", new)
    code, out, err = run("talk", *said, *options, "--detector", "haar")
    assert (code, err) == (0, "")
    assert out.startswith(f"{clips[0]}: {new} written, ")
    assert out.endswith("This video is generated: say so wherever you show it\n")
    told = json.loads(record.read_text())
    assert told["speakers"][0]["pictures"] > 40
    assert new.stat().st_size > 10_000


def test_a_video_without_a_face_is_code_11(run, weights, files, tmp_path):
    options = ("--weights", weights("synctalklip"), "--detector", "haar", "--json", "-")
    code, out, _ = run("talk", *files, "-o", tmp_path / "new.mp4", *options)
    told = json.loads(out)
    assert (code, told["reason"], told["generated"]) == (11, "no_face", False)
    assert not (tmp_path / "new.mp4").exists()


def test_a_voice_that_cannot_be_read_is_code_12(run, weights, files, tmp_path):
    options = ("--weights", weights("wav2lip"), "--model", "wav2lip", "--detector", "haar")
    broken = (*files[:3], tmp_path / "none.wav")
    code, out, _ = run("talk", *broken, "-o", tmp_path / "new.mp4", *options)
    assert code == 12
    assert "video.mp4: unreadable: the speech, " in out and "none.wav does not exist" in out


def test_without_weights_it_says_how_to_get_some(run, files, tmp_path):
    code, out, err = run("talk", *files, "-o", tmp_path / "new.mp4")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "avsync ships no weights of synctalklip: train your own with `avsync train" in err


def test_weights_of_another_model_are_refused(run, weights, files, tmp_path):
    options = ("-o", tmp_path / "new.mp4", "--weights", weights("wav2lip"))
    code, out, err = run("talk", *files, *options)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "wav2lip.json does not fit model synctalklip: " in err
    (tmp_path / "page.safetensors").write_text("<html>")
    code, _, err = run("talk", *files, *options[:-1], tmp_path / "page.safetensors")
    assert code == 1 and "is not a safetensors file but a web page" in err
    code, _, err = run("talk", *files, *options[:-1], tmp_path / "none.safetensors")
    assert code == 1 and "there is no weights file" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "ynet_v"), "model must be one of synctalklip, wav2lip, got 'ynet_v'"),
        (("--who", "both"), "who must be all, left, right or a number from 0, got 'both'"),
        (("-o", "new.gif"), "output must end in .mp4, .m4v, .mov, .mkv, .webm, got new.gif"),
    ],
)
def test_wrong_usage_is_one_line_on_stderr(run, files, options, message):
    code, out, err = run("talk", *files, "-o", "new.mp4", *options)
    assert (code, out) == (2, "")
    assert err == f"avsync: {message}\n"
