"""The comparison of separators: its mixtures, its runs, its tables on numbers known on paper."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from data.made_store import loud, made_store, moving
from data.wav_files import write_wav_file

from avsync import create_model, weights
from avsync.data.sampling.mixture_manifest import read_manifest
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SPEC = SeparationSpec(*chunk_lengths(2))


@pytest.fixture
def script(monkeypatch):
    """`script(name)`: a script as it is when run; its folder is where its parts are found."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_published_mixtures_are_of_the_kinds_that_their_sets_say(script):
    sets = script("separation_sets")
    assert len({plan.file for plan in sets.SETS}) == len(sets.SETS) == 12
    for plan in sets.SETS:
        rows = read_manifest(plan.file, SPEC)
        assert len(rows) == sets.DRAWN
        for row in rows:
            assert sets.is_of(row.target, plan.target)
            assert (row.accompaniment is not None) == plan.music
            assert (row.second is not None) == (plan.second is not None)
            assert row.second != row.target and row.level_db == row.second_db == 0
            if plan.second == "singers":
                assert row.second.startswith("mir1k/") and row.second.endswith("#right")
            elif plan.second:
                assert sets.is_of(row.second, plan.second)


@pytest.mark.real_data
def test_sentences_that_are_measured_were_not_trained_on(script, shared):
    sets = script("separation_sets")
    splits = json.loads((shared / "data" / "grid_s1_splits.json").read_text("utf-8"))
    for plan in sets.SETS:
        for row in read_manifest(plan.file, SPEC):
            for name in {row.target, row.second} - {None}:
                if name.startswith("s1/"):
                    assert name.removeprefix("s1/").split("-")[0] in splits["test"]


def test_every_fifth_rendered_clip_sings(script):
    is_of = script("separation_sets").is_of
    assert is_of("rendered/s31004-0a.0", "singing") and not is_of("rendered/s31004-0a.0", "speech")
    assert is_of("rendered/s31003-0a.0", "speech") and not is_of("rendered/s31003-0a.0", "singing")
    assert not is_of("s1/s31004-0a.0", "singing")


def test_the_mixture_is_given_back_at_its_rate_by_a_model_of_another(script):
    class Echo:
        spec = SeparationSpec(32000, 50, sample_rate=16000)

        def separate(self, mixture):
            assert mixture.shape == (1, 32000)
            return mixture

    at = torch.arange(SPEC.samples) / SPEC.sample_rate
    tone = torch.sin(2 * torch.pi * 440 * at)[None]
    found = script("separation").separated(Echo(), tone, [])
    # The ends are where a tone begins and stops, which no filter leaves as it is.
    torch.testing.assert_close(found[:, 500:-500], tone[:, 500:-500], atol=1e-4, rtol=0)


def test_what_a_system_lacks_is_said(script):
    systems = script("separation_systems")
    lacking = {name: systems.lacking(each, None, None) for name, each in systems.SYSTEMS.items()}
    assert lacking.pop("ynet-gr") == "there are no landmarks of the faces"
    assert lacking.pop("ynet-mr-v-frozen") == "there are no weights of vocalist to see with"
    assert lacking.pop("ynet-mr-s-frozen") == "there are no weights of lip_expert to see with"
    for eyes in ("anew", "untrained"):
        said = lacking.pop(f"ynet-dense-{eyes}-frozen")
        assert said == f"there are no weights of dense_sync_{eyes} to see with"
    assert set(lacking.values()) == {None}


def test_the_end_to_end_network_is_the_frozen_one_with_eyes_that_learn(script, tmp_path):
    from avsync.data.sampling.mixtures import MixtureLevels
    from avsync.training.data.mixtures import MixtureData
    from avsync.training.engine.loop import LoopSettings
    from avsync.training.recipes.ynet import start_separator

    systems = script("separation_systems")
    sync = script("sync_systems")
    clips, loop = MixtureData((tmp_path,)), LoopSettings(tmp_path)
    job = systems.Job(clips, loop, False, None, 0)
    recipe = systems.ynet_recipe(systems.SYSTEMS["ynet-mr-v-end-to-end"], job)
    model = start_separator(recipe).model
    job = sync.Job(None, loop, False, 5, None)
    eyes = sync.SYSTEMS["vocalist"].recipe(job).model.channels
    assert model.token_dim == eyes[-1] and not model.frozen
    assert recipe.levels == MixtureLevels() and recipe.levels.second_share == 0.5


@pytest.fixture
def given(script, monkeypatch, tmp_path):
    """Small stores and audio streams, the options that name them, and two sets of one mixture."""
    clips = {
        "s1": [f"grid/{name}" for name in ("a", "b", "c", "d", "e")],
        "others": ["grid/f", "grid/g"],
        "rendered": [f"clips/s3100{k}" for k in (3, 4, 8, 9)],
    }
    for number, (store, names) in enumerate(clips.items()):
        made = {}
        for k, name in enumerate(names):
            seed = 10 * number + k
            made[name] = (moving(seed, 54), loud(seed, 54))
        made_store(tmp_path / store, made)
    splits = {"train": ["a", "b"], "val": ["c"], "test": ["d", "e"]}
    (tmp_path / "splits.json").write_text(json.dumps(splits), "utf-8")
    for k in range(5):
        stereo = np.stack([loud(50 + k, 60), loud(60 + k, 60)], 1)
        write_wav_file(tmp_path / "mir1k" / f"singer{k}_1.wav", stereo)
        write_wav_file(tmp_path / "music" / f"{k}.wav", loud(70 + k, 60))
    sets, runs = script("separation_sets"), script("separation")
    monkeypatch.setattr(sets, "FOLDER", tmp_path / "mixtures")
    monkeypatch.setattr(sets, "DRAWN", 1)
    monkeypatch.setattr(runs, "SETS", [sets.SETS[1], sets.SETS[-1]])
    monkeypatch.setattr(runs, "VALIDATED", 1)
    monkeypatch.setattr(script("separation_systems"), "U_NET_WIDTH", 1 / 16)
    for name in ("separation", "record"):
        monkeypatch.setattr(script(name), "RESULTS", tmp_path / "results")
    words = ["separation.py", "--splits", tmp_path / "splits.json", "--work", tmp_path / "work"]
    for option, folder in (("seen", "s1"), ("unseen", "others"), ("rendered", "rendered")):
        words += [f"--{option}", tmp_path / folder]
    words += ["--mir1k", tmp_path / "mir1k", "--music", tmp_path / "music", "--seeds", "0"]
    words += ["--steps", "1", "--batch", "2", "--mixtures", "1"]
    return [str(word) for word in words]


def test_a_run_is_trained_measured_and_left_alone_when_it_is_there(
    script, given, monkeypatch, tmp_path, capsys
):
    systems = ["u-net", "ynet-dense-untrained-frozen", "ynet-gr"]
    eyes = tmp_path / "eyes.safetensors"
    model = create_model("dense_sync")
    weights.save(eyes, model.state_dict(), {})
    words = [*given, "--dense-sync-untrained", str(eyes), "--systems", *systems]
    monkeypatch.setattr("sys.argv", words)
    script("separation").main()
    assert "ynet-gr is left out: there are no landmarks" in capsys.readouterr().out
    results = tmp_path / "results" / "separation"
    written = {file.name: json.loads(file.read_text("utf-8")) for file in results.iterdir()}
    assert sorted(written) == [f"{name}_reduced_1_0.json" for name in systems[:2]]
    (kept,) = (tmp_path / "work").glob("ynet-dense*/*.safetensors")
    seen_with = create_model("ynet_dense", weights=kept).visual.encoder.state_dict()
    torch.testing.assert_close(seen_with, model.mouth.state_dict())
    for run in written.values():
        figures = run["tests"]["GRID sentences, two voices"]
        before = [figures[key] - figures[f"{key}_gain"] for key in ("sdr", "si_sdr")]
        # A voice among three of the same power; BSS Eval's filters find a little more.
        assert before[1] == pytest.approx(-3, abs=0.5) and before[0] == pytest.approx(-3, abs=1)
        assert figures["mixtures"] == 1 and figures["silent"] == 0
    heard, seen = (written[f"{name}_reduced_1_0.json"] for name in systems[:2])
    assert heard["trainable"] == heard["parameters"] < seen["trainable"] < seen["parameters"]
    for file in results.iterdir():
        file.write_text("{}", "utf-8")
    script("separation").main()
    assert [file.read_text("utf-8") for file in results.iterdir()] == ["{}", "{}"]


def run_of(system, seed, sdr, **more):
    figures = {"sdr": sdr, "sdr_gain": sdr + 3.0, "sar": 1.0, "silent": 0, "mixtures": 24, **more}
    tests = {"GRID sentences, two voices": figures}
    known = {"system": system, "seed": seed, "tests": tests, "parameters": 1234567}
    return known | {
        "trainable": 4567,
        "seconds_per_s": 0.0512,
        "train_seconds": 18,
        "steps": 9,
        "batch": 4,
    }


def groups(table, runs):
    return {name: [r for r in runs if r["system"] == name] for name in table.SYSTEMS}


def test_the_table_has_means_intervals_the_mixture_and_what_was_published(script):
    table = script("separation_table")
    runs = [run_of("ynet-mr", seed, sdr) for seed, sdr in enumerate((1.0, 2.0, 3.0))]
    found = groups(table, [*runs, run_of("u-net", 0, 1.0)])
    lines = table.set_table(found, "GRID sentences, two voices")
    assert lines[0] == "| system | SDR | SDR gained | SAR | published SDR / SIR |"
    # Student's t with 2 degrees of freedom: 4.303 * 1 / sqrt(3).
    assert lines[2:] == [
        "| mixture | -3.0 |  |  |  |",
        "| u-net | 1.0 | 4.0 | 1.0 | - |",
        "| ynet-mr | 2.0 ± 2.5 | 5.0 ± 2.5 | 1.0 ± 0.0 | 5.03 / 15.80 |",
    ]
    cost = table.cost_table(found)
    assert cost[3] == (
        "| ynet-mr | MC3-18's first stages, end to end | 1 234 567 | 4 567 | 0.0512 | 2 | 9 | 4 "
        "| 3 |"
    )
    assert cost[4].endswith("| - | 0 |")


def test_the_verdict_pairs_seeds(script, monkeypatch):
    table = script("separation_table")
    monkeypatch.setattr(table, "CLAIM", table.CLAIM[:1])
    # The seeds' own spread is far more than what is gained, which is the same with each.
    alone = [run_of("u-net", seed, sdr) for seed, sdr in enumerate((1.0, 5.0, 9.0))]
    gains = (2.1, 2.0, 2.2)
    frozen = [run_of("ynet-mr-v-frozen", s, 1 + 4 * s + gain) for s, gain in enumerate(gains)]
    learnt = [run_of("ynet-mr-v-end-to-end", s, 4 * s + 2.75) for s in (0, 1)]
    lines = table.verdict_table(groups(table, alone + frozen + learnt))
    assert lines[-2:] == [
        "| GRID sentences, two voices | ynet-mr-v-frozen | u-net | 2.1 ± 0.2 "
        "| better, at least 2 dB |",
        "| GRID sentences, two voices | ynet-mr-v-frozen | ynet-mr-v-end-to-end | 0.3 ± 0.6 "
        "| no difference seen |",
    ]
    assert table.verdict_table(groups(table, alone)) == []


def test_the_page_has_the_marks(script, monkeypatch, tmp_path):
    """Tables are put in by size and steps, and runs of others stay out of them."""
    table = script("separation_table")
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    (tmp_path / "separation").mkdir()
    for name, run in {
        "u-net_reduced_600_0": run_of("u-net", 0, 1.0),
        "u-net_reduced_3000_0": run_of("u-net", 0, 77.0),
    }.items():
        titles = {plan.title: run["tests"]["GRID sentences, two voices"] for plan in table.CLAIM}
        text = json.dumps(run | {"tests": titles})
        (tmp_path / "separation" / f"{name}.json").write_text(text, "utf-8")
    page = tmp_path / "separation_tables.md"
    generated = BENCHMARKS.parent / "docs" / "results" / "separation_tables.md"
    page.write_text(generated.read_text("utf-8"), "utf-8")
    monkeypatch.setattr("sys.argv", ["separation_table.py", "--write", str(page)])
    table.main()
    begin = page.read_text("utf-8").partition("<!-- reduced_600 tables: begin -->")[2]
    assert "| u-net | 1.0 | 4.0 | 1.0 | - |" in begin.partition("<!-- reduced_600 tables: end")[0]
    assert "77.0" not in page.read_text("utf-8")
    monkeypatch.setattr("sys.argv", ["separation_table.py", "--steps", "5"])
    with pytest.raises(SystemExit, match="there are no results reduced_5"):
        table.main()
