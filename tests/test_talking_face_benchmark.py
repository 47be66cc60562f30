"""What the ablation of a talking face trains, leaves alone and prints."""

import json

import pytest


@pytest.fixture
def script(benchmark_script):
    return benchmark_script("talking_face")


@pytest.fixture
def trained(script, monkeypatch):
    """The recipes that were asked for, none of which is run; the nth reads n tenths wrong."""
    recipes = []

    def train(recipe):
        recipes.append(recipe)
        return recipe.loop.output / "synctalklip.safetensors"

    def evaluate(evaluation):
        wrong = len(recipes) / 10 + (0.01 if evaluation.reader.name == "guide" else 0)
        return {
            "clips": 4,
            "sync_clips": 4,
            "within_a_frame": 3,
            "in_place_better": 4,
            "undrawn": {"within_a_frame": 1, "in_place_better": 2},
            "psnr": {"mean": 30.004},
            "ssim": {"mean": 0.9},
            "reading": {"wer": wrong},
        }

    monkeypatch.setattr(script, "train", train)
    monkeypatch.setattr(script, "evaluate_talking", evaluate)
    return recipes


def run(script, monkeypatch, tmp_path, *more):
    words = ["talking_face.py", "--data", tmp_path, "--work", tmp_path / "runs"]
    words += ["--transcripts", tmp_path, "--expert", "guide", "--reader", "judge", *more]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    script.main()


def test_arms_differ_by_their_losses_alone(script, trained, monkeypatch, tmp_path):
    run(script, monkeypatch, tmp_path, "--seeds", 3)
    first, *arms = trained
    assert (first.loop.steps, first.init, first.runs, first.clips.batch) == (600, None, 1, 8)
    asked = [(a.weights.gan, a.weights.lip, a.weights.contrast) for a in arms]
    assert asked == [(0, 0, 0), (0.07, 0, 0), (0.07, 3e-5, 0), *3 * [(0.07, 3e-5, 3e-4)]]
    assert [arm.reference for arm in arms] == [*4 * ["frozen"], "trained", "frozen"]
    assert [arm.alter for arm in arms] == [*5 * [False], True]
    for arm in arms:
        assert arm.init == first.loop.output / "synctalklip.safetensors"
        assert (arm.loop.steps, arm.loop.seed, arm.runs, arm.clips.batch) == (100, 3, 6, 2)
    assert len({arm.loop.output for arm in arms}) == 6


def test_what_is_recorded_is_left_alone_and_averaged(
    script, trained, monkeypatch, tmp_path, capsys
):
    run(script, monkeypatch, tmp_path, "--seeds", 0, 1, "--arms", "reconstruction", "gan")
    assert len(trained) == 6
    before = len(trained)
    run(script, monkeypatch, tmp_path, "--seeds", 0, "--arms", "gan")
    # The first stage alone, which goes on from where it was.
    assert len(trained) == before + 1
    record = json.loads((tmp_path / "results" / "talking_face" / "gan_1.json").read_text())
    assert (record["arm"], record["seed"], record["steps"], record["more"]) == ("gan", 1, 600, 100)
    assert record["weights"]["gan"] == 0.07 and record["weights"]["lip"] == 0
    assert (record["own_voice_better"], record["clips_within_a_frame"]) == (1, 0.75)
    assert (record["undrawn_better"], record["undrawn_within_a_frame"]) == (0.5, 0.25)
    *_, reconstruction, gan = capsys.readouterr().out.splitlines()
    # Of the runs 2 and 5, and of 3 and 6; the guide reads a hundredth worse.
    same = "2 30.00 0.900 1.000 0.750"
    assert " ".join(reconstruction.split()) == f"reconstruction {same} 0.350 0.360"
    assert " ".join(gan.split()) == f"gan {same} 0.450 0.460"
