"""The loss ablation of talking faces: recipes of the arms, skipped runs, the table."""

import json

import pytest

from benchmarks.talking import loss_ablation


@pytest.fixture
def trained(results, monkeypatch):
    """Collect the recipes without running them; the n-th model has a word error rate of n / 10."""
    recipes = []

    def train(recipe):
        recipes.append(recipe)
        return recipe.loop.output / "synctalklip.safetensors"

    def evaluate(evaluation):
        wer = len(recipes) / 10 + (0.01 if evaluation.reader.name == "expert" else 0)
        return {
            "clips": 4,
            "sync_clips": 4,
            "within_a_frame": 3,
            "in_place_better": 4,
            "undrawn": {"within_a_frame": 1, "in_place_better": 2},
            "psnr": {"mean": 30.004},
            "ssim": {"mean": 0.9},
            "reading": {"wer": wer},
        }

    monkeypatch.setattr(loss_ablation, "train", train)
    monkeypatch.setattr(loss_ablation, "evaluate_talking", evaluate)
    return recipes


def run(monkeypatch, tmp_path, *options):
    arguments = ["loss_ablation.py", "--data", tmp_path, "--work", tmp_path / "runs"]
    arguments += ["--transcripts", tmp_path, "--expert", "expert", "--reader", "reader", *options]
    monkeypatch.setattr("sys.argv", [str(argument) for argument in arguments])
    loss_ablation.main()


def test_arms_differ_by_their_losses_alone(trained, monkeypatch, tmp_path):
    run(monkeypatch, tmp_path, "--seeds", 3)
    first, *arms = trained
    assert (first.loop.steps, first.init, first.runs, first.clips.batch) == (600, None, 1, 8)
    found = [(arm.weights.gan, arm.weights.lip, arm.weights.contrast) for arm in arms]
    assert found == [(0, 0, 0), (0.07, 0, 0), (0.07, 3e-5, 0), *3 * [(0.07, 3e-5, 3e-4)]]
    assert [arm.reference for arm in arms] == [*4 * ["frozen"], "trained", "frozen"]
    assert [arm.alter for arm in arms] == [*5 * [False], True]
    for arm in arms:
        assert arm.init == first.loop.output / "synctalklip.safetensors"
        assert (arm.loop.steps, arm.loop.seed, arm.runs, arm.clips.batch) == (100, 3, 6, 2)
    assert len({arm.loop.output for arm in arms}) == 6


def test_old_spellings_of_the_flags_are_accepted(trained, monkeypatch, tmp_path):
    flags = ["--more", 7, "--more-batch", 3, "--more-runs", 4, "--more-lr", 0.5]
    run(monkeypatch, tmp_path, "--seeds", 0, "--arms", "gan", *flags)
    arm = trained[1]
    assert (arm.loop.steps, arm.clips.batch, arm.runs, arm.loop.lr) == (7, 3, 4, 0.5)


def test_recorded_runs_are_skipped_and_averaged(trained, results, monkeypatch, tmp_path, capsys):
    run(monkeypatch, tmp_path, "--seeds", 0, 1, "--arms", "reconstruction", "gan")
    assert len(trained) == 6
    before = len(trained)
    run(monkeypatch, tmp_path, "--seeds", 0, "--arms", "gan")
    # Only the first training, which resumes.
    assert len(trained) == before + 1
    record = json.loads((results / "talking" / "loss_ablation" / "gan_1.json").read_text())
    assert (record["arm"], record["seed"], record["steps"], record["more"]) == ("gan", 1, 600, 100)
    assert record["weights"]["gan"] == 0.07 and record["weights"]["lip"] == 0
    assert (record["own_voice_better"], record["clips_within_a_frame"]) == (1, 0.75)
    assert (record["undrawn_better"], record["undrawn_within_a_frame"]) == (0.5, 0.25)
    *_, reconstruction, gan = capsys.readouterr().out.splitlines()
    # Means of the runs 2 and 5, and of 3 and 6; the expert's error rate is 0.01 higher.
    same = "2 30.00 0.900 1.000 0.750"
    assert " ".join(reconstruction.split()) == f"reconstruction {same} 0.350 0.360"
    assert " ".join(gan.split()) == f"gan {same} 0.450 0.460"
