"""The comparison of separators: test sets, runs, and tables on numbers known on paper."""

import json

import numpy as np
import pytest
import torch
from data.made_store import loud, made_store, moving
from data.wav_files import write_wav_file

from avsync import create_model, weights
from avsync.data.sampling.mixture_manifest import read_manifest
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths
from benchmarks.separation import (
    model_comparison,
    model_comparison_sets,
    model_comparison_systems,
    model_comparison_tables,
)
from benchmarks.sync import model_comparison_systems as sync_systems

SPEC = SeparationSpec(*chunk_lengths(2))


def test_mixtures_of_the_manifests_are_of_the_kinds_of_their_sets():
    sets = model_comparison_sets
    assert len({test_set.file for test_set in sets.SETS}) == len(sets.SETS) == 12
    for test_set in sets.SETS:
        rows = read_manifest(test_set.file, SPEC)
        assert len(rows) == sets.DRAWN
        for row in rows:
            assert sets.is_of(row.target, test_set.target)
            assert (row.accompaniment is not None) == test_set.music
            assert (row.second is not None) == (test_set.second is not None)
            assert row.second != row.target and row.level_db == row.second_db == 0
            if test_set.second == "singers":
                assert row.second.startswith("mir1k/") and row.second.endswith("#right")
            elif test_set.second:
                assert sets.is_of(row.second, test_set.second)


@pytest.mark.real_data
def test_sentences_of_the_test_sets_are_in_the_test_split(shared):
    splits = json.loads((shared / "data" / "grid_s1_splits.json").read_text("utf-8"))
    for test_set in model_comparison_sets.SETS:
        for row in read_manifest(test_set.file, SPEC):
            for name in {row.target, row.second} - {None}:
                if name.startswith("s1/"):
                    assert name.removeprefix("s1/").split("-")[0] in splits["test"]


def test_every_fifth_rendered_clip_is_singing():
    is_of = model_comparison_sets.is_of
    assert is_of("rendered/s31004-0a.0", "singing") and not is_of("rendered/s31004-0a.0", "speech")
    assert is_of("rendered/s31003-0a.0", "speech") and not is_of("rendered/s31003-0a.0", "singing")
    assert not is_of("s1/s31004-0a.0", "singing")


def test_voices_have_the_rate_of_the_mixture_for_a_model_of_another_rate():
    class Echo:
        spec = SeparationSpec(32000, 50, sample_rate=16000)

        def separate(self, mixture):
            assert mixture.shape == (1, 32000)
            return mixture

    at = torch.arange(SPEC.samples) / SPEC.sample_rate
    tone = torch.sin(2 * torch.pi * 440 * at)[None]
    found = model_comparison.separated(Echo(), tone, [])
    # Resampling changes the ends, where the tone starts and stops.
    torch.testing.assert_close(found[:, 500:-500], tone[:, 500:-500], atol=1e-4, rtol=0)


def test_the_option_that_a_system_lacks_is_named():
    systems = model_comparison_systems
    missing = {
        name: systems.missing_input(system, None, None) for name, system in systems.SYSTEMS.items()
    }
    assert missing.pop("ynet-gr") == "--landmarks is not given"
    assert missing.pop("ynet-mr-v-frozen") == "--vocalist is not given"
    assert missing.pop("ynet-mr-s-frozen") == "--lip-expert is not given"
    assert missing.pop("ynet-dense-anew-frozen") == "--dense-sync-from-scratch is not given"
    assert missing.pop("ynet-dense-untrained-frozen") == "--dense-sync-untrained is not given"
    assert set(missing.values()) == {None}


@pytest.mark.parametrize("flag", ["--dense-sync-from-scratch", "--dense-sync-anew"])
def test_the_old_spelling_of_a_flag_is_accepted(options, monkeypatch, flag):
    monkeypatch.setattr("sys.argv", [*options, flag, "encoder.safetensors"])
    system = model_comparison_systems.SYSTEMS["ynet-dense-anew-frozen"]
    assert str(getattr(model_comparison.parsed(), system.visual_option)) == "encoder.safetensors"


def test_the_end_to_end_network_is_the_frozen_one_with_a_trainable_visual_encoder(tmp_path):
    from avsync.data.sampling.mixtures import MixtureLevels
    from avsync.training.data.mixtures import MixtureData
    from avsync.training.engine.settings import LoopSettings
    from avsync.training.recipes.separation.ynet import start_separator

    systems, sync = model_comparison_systems, sync_systems
    clips, loop = MixtureData((tmp_path,)), LoopSettings(tmp_path)
    job = systems.Job(clips, loop, False, None, 0)
    recipe = systems.ynet_recipe(systems.SYSTEMS["ynet-mr-v-end-to-end"], job)
    model = start_separator(recipe).model
    job = sync.Job(None, loop, False, 5, None)
    channels = sync.SYSTEMS["vocalist"].recipe(job).model.channels
    assert model.token_dim == channels[-1] and not model.frozen
    assert recipe.levels == MixtureLevels() and recipe.levels.second_share == 0.5


@pytest.fixture
def options(monkeypatch, results, tmp_path):
    """Make small stores and audio files, the command line that names them, and two test sets."""
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
    sets = model_comparison_sets
    monkeypatch.setattr(sets, "FOLDER", tmp_path / "mixtures")
    monkeypatch.setattr(sets, "DRAWN", 1)
    monkeypatch.setattr(model_comparison, "SETS", [sets.SETS[1], sets.SETS[-1]])
    monkeypatch.setattr(model_comparison, "VALIDATED", 1)
    monkeypatch.setattr(model_comparison_systems, "U_NET_WIDTH", 1 / 16)
    arguments = ["model_comparison.py", "--splits", tmp_path / "splits.json"]
    arguments += ["--work", tmp_path / "work"]
    for option, folder in (("seen", "s1"), ("unseen", "others"), ("rendered", "rendered")):
        arguments += [f"--{option}", tmp_path / folder]
    arguments += ["--mir1k", tmp_path / "mir1k", "--music", tmp_path / "music", "--seeds", "0"]
    arguments += ["--steps", "1", "--batch", "2", "--mixtures", "1"]
    return [str(argument) for argument in arguments]


def test_a_run_is_trained_measured_and_skipped_when_recorded(
    options, results, monkeypatch, tmp_path, capsys
):
    systems = ["u-net", "ynet-dense-untrained-frozen", "ynet-gr"]
    visual = tmp_path / "dense_sync.safetensors"
    model = create_model("dense_sync")
    weights.save(visual, model.state_dict(), {})
    arguments = [*options, "--dense-sync-untrained", str(visual), "--systems", *systems]
    monkeypatch.setattr("sys.argv", arguments)
    model_comparison.main()
    assert "ynet-gr is left out: --landmarks is not given" in capsys.readouterr().out
    folder = results / "separation" / "model_comparison"
    written = {file.name: json.loads(file.read_text("utf-8")) for file in folder.iterdir()}
    assert sorted(written) == [f"{name}_reduced_1_0.json" for name in systems[:2]]
    (trained,) = (tmp_path / "work").glob("ynet-dense*/*.safetensors")
    encoder = create_model("ynet_dense", weights=trained).visual.encoder.state_dict()
    torch.testing.assert_close(encoder, model.mouth.state_dict())
    for run in written.values():
        figures = run["tests"]["GRID sentences, two voices"]
        before = [figures[key] - figures[f"{key}_gain"] for key in ("sdr", "si_sdr")]
        # One of three sources of equal power; BSS Eval's filters gain a little.
        assert before[1] == pytest.approx(-3, abs=0.5) and before[0] == pytest.approx(-3, abs=1)
        assert figures["mixtures"] == 1 and figures["silent"] == 0
    audio, visual = (written[f"{name}_reduced_1_0.json"] for name in systems[:2])
    assert audio["trainable"] == audio["parameters"] < visual["trainable"] < visual["parameters"]
    for file in folder.iterdir():
        file.write_text("{}", "utf-8")
    model_comparison.main()
    assert [file.read_text("utf-8") for file in folder.iterdir()] == ["{}", "{}"]


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


def groups(runs):
    systems = model_comparison_tables.SYSTEMS
    return {name: [run for run in runs if run["system"] == name] for name in systems}


def test_the_table_has_means_intervals_the_mixture_and_published_figures():
    table = model_comparison_tables
    runs = [run_of("ynet-mr", seed, sdr) for seed, sdr in enumerate((1.0, 2.0, 3.0))]
    found = groups([*runs, run_of("u-net", 0, 1.0)])
    lines = table.set_table(found, "GRID sentences, two voices")
    assert lines[0] == "| system | SDR | SDR gain | SAR | published SDR / SIR |"
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


def test_the_verdict_pairs_seeds(monkeypatch):
    table = model_comparison_tables
    monkeypatch.setattr(table, "CLAIM", table.CLAIM[:1])
    # The spread of the seeds is much larger than the gain, which is equal for all seeds.
    audio_only = [run_of("u-net", seed, sdr) for seed, sdr in enumerate((1.0, 5.0, 9.0))]
    gains = (2.1, 2.0, 2.2)
    frozen = [run_of("ynet-mr-v-frozen", s, 1 + 4 * s + gain) for s, gain in enumerate(gains)]
    end_to_end = [run_of("ynet-mr-v-end-to-end", s, 4 * s + 2.75) for s in (0, 1)]
    lines = table.verdict_table(groups(audio_only + frozen + end_to_end))
    assert lines[-2:] == [
        "| GRID sentences, two voices | ynet-mr-v-frozen | u-net | 2.1 ± 0.2 "
        "| better, at least 2 dB |",
        "| GRID sentences, two voices | ynet-mr-v-frozen | ynet-mr-v-end-to-end | 0.3 ± 0.6 "
        "| no difference seen |",
    ]
    assert table.verdict_table(groups(audio_only)) == []


def test_the_page_gets_the_tables_of_one_size_and_number_of_steps(
    results, page_with_marks, monkeypatch, tmp_path
):
    table = model_comparison_tables
    folder = results / "separation" / "model_comparison"
    folder.mkdir(parents=True)
    for name, run in {
        "u-net_reduced_600_0": run_of("u-net", 0, 1.0),
        "u-net_reduced_3000_0": run_of("u-net", 0, 77.0),
    }.items():
        figures = run["tests"]["GRID sentences, two voices"]
        titles = {test_set.title: figures for test_set in table.CLAIM}
        (folder / f"{name}.json").write_text(json.dumps(run | {"tests": titles}), "utf-8")
    page = tmp_path / "tables.md"
    page.write_text(page_with_marks("reduced_600"), "utf-8")
    monkeypatch.setattr("sys.argv", ["model_comparison_tables.py", "--write", str(page)])
    table.main()
    begin = page.read_text("utf-8").partition("<!-- reduced_600 tables: begin -->")[2]
    assert "| u-net | 1.0 | 4.0 | 1.0 | - |" in begin.partition("<!-- reduced_600 tables: end")[0]
    assert "77.0" not in page.read_text("utf-8")
    monkeypatch.setattr("sys.argv", ["model_comparison_tables.py", "--steps", "5"])
    with pytest.raises(SystemExit, match="there are no results reduced_5"):
        table.main()
