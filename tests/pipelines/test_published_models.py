"""Convert published checkpoints and check a video with them."""

import json

import pytest
import torch
from golden.recipe import upstream_keys, weights

from avsync.cli import main
from avsync.pipelines.check.check_file import check, load_model
from avsync.synthetic import render_clip
from avsync.tasks.registry import create_model
from avsync.tasks.sync.vocalist import Vocalist
from avsync.weights import save

# Factors that keep activations of the reference weights in range.
GAINS = {
    "mtdvocalist": {"vid_prenet.16.": 0.3, "aud_prenet.13.": 0.05},
    "syncnet": {"netcnnlip.0.weight": 1 / 255, "netcnnaud.0.weight": 1 / 20},
    "lip_expert": {},
}
# Designs that users train themselves.
DESIGNS = {
    "perfect_match": {
        "lip_channels": [2, 3, 4],
        "mfcc_channels": [2, 3, 4, 4, 5],
        "dim": 6,
        "size": 64,
        "crop": "face",
    },
    "avst": {
        "visual_channels": [2, 3, 4, 8],
        "audio_channels": [2, 3, 4, 4, 8],
        "depth": 1,
        "heads": 2,
        "size": 32,
    },
}
TINY = {"channels": [2, 2, 3, 4, 16], "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    path = tmp_path_factory.mktemp("talking") / "clip.mp4"
    render_clip(path, seed=3, duration_s=1.1, size=(320, 240))
    return path


@pytest.fixture
def tiny_weights(tmp_path):
    torch.manual_seed(0)
    model = create_model("vocalist", config=TINY)
    save(tmp_path / "tiny.safetensors", model.state_dict(), TINY)
    return tmp_path / "tiny.safetensors"


@pytest.mark.parametrize(
    "name", [pytest.param("mtdvocalist", marks=pytest.mark.slow), "syncnet", "lip_expert"]
)
def test_a_checkpoint_is_converted_and_checks_a_video(name, talking, tmp_path, capsys):
    def gain(key):
        return next((g for start, g in GAINS[name].items() if key.startswith(start)), 1.0)

    torch.save({"state_dict": weights(upstream_keys(name), gain)}, tmp_path / "theirs.pth")
    ours = tmp_path / "ours.safetensors"
    assert main(["convert", name, str(tmp_path / "theirs.pth"), "-o", str(ours)]) == 0
    capsys.readouterr()
    options = ["--model", name, "--weights", str(ours), "--detector", "haar", "--json", "-"]
    code = main(["check", str(talking), *options])
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == name
    (file,) = answer["files"]
    # Random weights must not give an answer.
    assert (code, file["status"], file["reason"]) == (11, "cannot_tell", "no_match")
    (track,) = file["tracks"]
    assert track["end_s"] - track["start_s"] == pytest.approx(1.1, abs=0.1)


def test_vocalist_scores_every_window_of_a_video(talking, tiny_weights):
    result = check(talking, model="vocalist", weights=tiny_weights, detector="haar")
    score_map = result.tracks[0].score_map
    assert result.model == "vocalist"
    assert score_map.shift_ms[1] - score_map.shift_ms[0] == 40
    assert score_map.scores.std() > 0


@pytest.mark.parametrize("name", DESIGNS)
def test_a_model_trained_by_its_user_scores_every_window_of_a_video(name, talking, tmp_path):
    torch.manual_seed(0)
    model = create_model(name, config=DESIGNS[name])
    save(tmp_path / "own.safetensors", model.state_dict(), DESIGNS[name])
    result = check(talking, model=name, weights=tmp_path / "own.safetensors", detector="haar")
    score_map = result.tracks[0].score_map
    assert result.model == name
    assert score_map.scores.std() > 0


def test_batch_norms_are_folded_where_a_model_only_scores(tiny_weights):
    model = load_model("vocalist", tiny_weights)
    assert isinstance(model, Vocalist)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm3d)]
    assert not norms and not model.training
    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert next(model.parameters()).device.type == device


def test_for_a_model_without_weights_the_convert_command_is_named(talking):
    with pytest.raises(RuntimeError, match="avsync convert vocalist FILE -o OUT"):
        check(talking, model="vocalist")
