"""The comparison of all systems: what it computes beside the library, on numbers known on paper."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """`script(name)`: a script as it is when run; its folder is where its parts are found."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def candidates(count):
    """The window of audio `(n, 31)` that each score is of, and whether there is one."""
    heard = torch.arange(count)[:, None] + torch.arange(31) - 15
    return heard.clamp(0, count - 1), (heard >= 0) & (heard < count)


@pytest.mark.parametrize("lead_ms", [-130.0, -40.0, 0.0, 25.0, 300.0])
def test_a_clips_offset_is_the_peak_of_its_mean_scores(script, lead_ms):
    # Column c holds the audio 15 - c frames earlier; scores fall off to both sides of the truth.
    columns = (15 - torch.arange(31.0)) * 40
    heard, known = candidates(60)
    noise = torch.Generator().manual_seed(0)
    speech = 5 * torch.randn(60, generator=noise)
    fit = torch.exp(-(((columns - lead_ms) / 60) ** 2))
    band = fit + speech[heard] + torch.randn(60, 1, generator=noise)
    band = band.where(known, torch.nan)
    assert script("sync_accuracy").clip_offset_ms(band) == pytest.approx(lead_ms, abs=12)


def test_a_model_that_only_tells_speech_from_silence_is_not_right_about_whole_clips(script):
    heard, known = candidates(60)
    silence = ((heard < 15) | (heard >= 45)).float().where(known, torch.nan)
    assert silence.nanmean(0).argmax() == 15  # the mean of the scores alone would be fooled
    left = script("sync_accuracy").paired_only(silence)
    torch.testing.assert_close(left, torch.zeros_like(left), atol=1e-3, rtol=0)


def test_windows_inside_the_words_are_counted_apart(script, store):
    inside = script("sync_accuracy").inside_words
    found = inside(store["one.0"], 30, 5, {"one": (0.4, 1.0)})
    # Frame 10 begins at 0.4 s; the window of frames 20 to 24 ends at 1.0 s.
    assert found.nonzero()[:, 0].tolist() == list(range(10, 21))
    assert inside(store["two.0"], 30, 5, {"one": (0.4, 1.0)}) is None


def test_a_mean_that_rounds_to_zero_has_no_sign(script):
    mean_of = script("sync_table").mean_of
    assert mean_of([-0.04]) == "0.0" and mean_of([-0.06]) == "-0.1"
    # Student's t of one degree of freedom is 12.7; of -0.02 and 0 the standard error is 0.01.
    assert mean_of([-0.02, 0.0]) == "0.0 ± 0.1" and mean_of([]) == "-"


def test_the_table_has_the_mean_over_seeds_with_its_interval_and_chance(script):
    table = script("sync_table")

    def run(seed, accuracy):
        row = {"context": 5, "within": 1, "windows": "all", "accuracy": accuracy, "chance": 3 / 31}
        tests = {"mine": {"rows": [row], "clips_within_a_frame": 0.5, "median_clip_error_ms": 12.0}}
        known = {"system": "syncnet", "window_frames": 5, "seed": seed, "tests": tests}
        return known | {
            "parameters": 1234567,
            "gflop_per_s": 3.25,
            "seconds_per_s": 0.5,
            "steps": 9,
        }

    runs = [run(0, 0.5), run(1, 0.6), run(2, 0.7)]
    _, _, line, chance = table.accuracy_table(runs, "mine", 1, (5, 7), "all")
    # Student's t with 2 degrees of freedom: 4.303 * 10 / sqrt(3).
    assert line == "| syncnet | 5 | 60.0 ± 24.8 | - | 75.8 82.3 87.6 91.8 94.5 96.1 |"
    assert chance == "| chance |  | 9.7 | 9.7 |  |"
    assert table.cost_table(runs)[2] == (
        "| syncnet | 5 | 1 234 567 | 3.25 | 0.5 | 3 | 9 | 50.0 ± 0.0, 12 |"
    )
    # (60 - 300 / 31) / 3.25, and the interval in the same measure.
    assert table.efficiency_table(runs)[-1] == "| syncnet | 15.5 ± 7.6 |"


def test_what_a_teacher_adds_is_told_seed_by_seed(script):
    def run(system, seed, *shares):
        keys = [{"context": k, "within": 1, "windows": "all"} for k in (5, 15)]
        rows = [key | {"accuracy": share} for key, share in zip(keys, shares, strict=True)]
        known = {"system": system, "window_frames": 5, "seed": seed}
        return known | {"tests": {"mine": {"rows": rows}}}

    runs = [run("mtdvocalist-none", seed, 0.2 + 0.1 * seed, 0.5) for seed in range(3)]
    distillation_table = script("sync_table").distillation_table
    assert distillation_table(runs) == []
    # Seed by seed all gain 10 per cent; without the pairs the seeds' own spread would hide it.
    gain = [0.101, 0.099, 0.1]
    runs += [
        run("mtdvocalist", seed, 0.2 + 0.1 * seed + gain[seed], 0.5 - 0.2 * (seed == 1))
        for seed in range(3)
    ]
    assert distillation_table(runs)[-1] == (
        "| mtdvocalist | mine | 10.0 ± 0.2 | better | -6.7 ± 28.7 | no difference seen |"
    )


def test_tables_stand_between_their_marks(script):
    put_in = script("sync_table").put_in
    page = "Read:\n<!-- full tables: begin -->\nold\n<!-- full tables: end -->\nThe end.\n"
    new = put_in(page, "full", "| new |")
    assert "old" not in new and new.startswith("Read:\n<!--") and new.endswith("-->\nThe end.\n")
    assert put_in(new, "full", "| new |") == new
    with pytest.raises(ValueError, match="must have the marks <!-- reduced tables: begin -->"):
        put_in(page, "reduced", "")
    generated = BENCHMARKS.parent / "docs" / "results" / "sync_tables.md"
    for size in ("reduced", "full"):
        put_in(generated.read_text("utf-8"), size, "")


def test_every_system_has_a_recipe_of_its_own_at_both_sizes(script, tmp_path):
    from avsync.training.catalog import RECIPES
    from avsync.training.data.sync import ClipData
    from avsync.training.engine.loop import LoopSettings

    systems = script("sync_systems")
    loop = LoopSettings(tmp_path)
    trained = {name: each for name, each in systems.SYSTEMS.items() if each.command}
    assert set(systems.SYSTEMS) - set(trained) == {"dense-sync-shipped"}
    for name, system in trained.items():
        for full_size in (False, True):
            for window in system.windows:
                job = systems.Job(ClipData((tmp_path,)), loop, full_size, window, None)
                assert type(system.recipe(job)) is RECIPES[system.command].settings, name


def test_a_folder_of_jpegs_gives_the_same_pictures_and_sound(script, store, tmp_path):
    jpegs = script("jpeg_folder")
    clip = store["one.0"]
    jpegs.write_folder(clip, tmp_path / "one")
    pairs = jpegs.JpegFolderPairs([tmp_path / "one"])
    rng = np.random.default_rng(0)
    labels = set()
    for _ in range(30):
        frames, wav, label = pairs.draw(rng)
        shown = frames.reshape(5, 3, 48, 96)[:, ::-1].transpose(0, 2, 3, 1) * 255
        own = [np.abs(shown - clip.face[k : k + 5, 48:]).mean() for k in range(36)]
        start = int(np.argmin(own))
        assert own[start] < 3
        at_start = clip.wav_16k[640 * start :][:3200]
        assert np.allclose(wav, at_start, atol=1e-3) == (label == 1.0)
        labels.add(label)
    assert labels == {0.0, 1.0}
