"""The comparison of sync models: offsets, word windows and tables on numbers known on paper."""

import numpy as np
import pytest
import torch

from benchmarks.markdown_tables import mean_of, put_in
from benchmarks.sync import model_comparison, model_comparison_systems, model_comparison_tables
from benchmarks.sync.jpeg_folder import JpegFolderPairs, write_folder


def candidates(count):
    """Return the audio window `(n, 31)` of each score, and whether it exists."""
    audio = torch.arange(count)[:, None] + torch.arange(31) - 15
    return audio.clamp(0, count - 1), (audio >= 0) & (audio < count)


@pytest.mark.parametrize("lead_ms", [-130.0, -40.0, 0.0, 25.0, 300.0])
def test_a_clips_offset_is_the_peak_of_its_mean_scores(lead_ms):
    # Column c has the audio 15 - c frames earlier; scores fall off on both sides of the truth.
    columns = (15 - torch.arange(31.0)) * 40
    audio, known = candidates(60)
    noise = torch.Generator().manual_seed(0)
    speech = 5 * torch.randn(60, generator=noise)
    fit = torch.exp(-(((columns - lead_ms) / 60) ** 2))
    band = fit + speech[audio] + torch.randn(60, 1, generator=noise)
    band = band.where(known, torch.nan)
    assert model_comparison.clip_offset_ms(band) == pytest.approx(lead_ms, abs=12)


def test_a_model_that_only_detects_silence_is_not_right_about_whole_clips():
    audio, known = candidates(60)
    silence = ((audio < 15) | (audio >= 45)).float().where(known, torch.nan)
    assert silence.nanmean(0).argmax() == 15  # The mean of the scores alone peaks at shift 0.
    rest = model_comparison.paired_only(silence)
    torch.testing.assert_close(rest, torch.zeros_like(rest), atol=1e-3, rtol=0)


def test_windows_inside_the_words_are_counted_separately(store):
    inside = model_comparison.inside_words
    found = inside(store["one.0"], 30, 5, {"one": (0.4, 1.0)})
    # Frame 10 begins at 0.4 s; the window of frames 20 to 24 ends at 1.0 s.
    assert found.nonzero()[:, 0].tolist() == list(range(10, 21))
    assert inside(store["two.0"], 30, 5, {"one": (0.4, 1.0)}) is None


def test_a_mean_that_rounds_to_zero_has_no_sign():
    assert mean_of([-0.04]) == "0.0" and mean_of([-0.06]) == "-0.1"
    # Student's t of one degree of freedom is 12.7; of -0.02 and 0 the standard error is 0.01.
    assert mean_of([-0.02, 0.0]) == "0.0 ± 0.1" and mean_of([]) == "-"


def test_the_table_has_the_mean_over_seeds_with_its_interval_and_chance():
    table = model_comparison_tables

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


def test_gains_by_a_teacher_are_paired_by_seed():
    def run(system, seed, *shares):
        keys = [{"context": k, "within": 1, "windows": "all"} for k in (5, 15)]
        rows = [key | {"accuracy": share} for key, share in zip(keys, shares, strict=True)]
        known = {"system": system, "window_frames": 5, "seed": seed}
        return known | {"tests": {"mine": {"rows": rows}}}

    runs = [run("mtdvocalist-none", seed, 0.2 + 0.1 * seed, 0.5) for seed in range(3)]
    distillation_table = model_comparison_tables.distillation_table
    assert distillation_table(runs) == []
    # Each seed gains 10 per cent; without pairs the spread of the seeds would hide it.
    gain = [0.101, 0.099, 0.1]
    runs += [
        run("mtdvocalist", seed, 0.2 + 0.1 * seed + gain[seed], 0.5 - 0.2 * (seed == 1))
        for seed in range(3)
    ]
    assert distillation_table(runs)[-1] == (
        "| mtdvocalist | mine | 10.0 ± 0.2 | better | -6.7 ± 28.7 | no difference seen |"
    )


def test_tables_are_put_between_their_marks(page_with_marks):
    page = "Read:\n<!-- full tables: begin -->\nold\n<!-- full tables: end -->\nThe end.\n"
    new = put_in(page, "full", "| new |")
    assert "old" not in new and new.startswith("Read:\n<!--") and new.endswith("-->\nThe end.\n")
    assert put_in(new, "full", "| new |") == new
    with pytest.raises(ValueError, match="must have the marks <!-- reduced tables: begin -->"):
        put_in(page, "reduced", "")
    for size in ("reduced", "full"):
        put_in(page_with_marks(size), size, "")


def test_every_system_has_its_recipe_at_both_sizes(tmp_path):
    from avsync.training.catalog import RECIPES
    from avsync.training.data.sync import ClipData
    from avsync.training.engine.settings import LoopSettings

    systems = model_comparison_systems
    loop = LoopSettings(tmp_path)
    trained = {name: system for name, system in systems.SYSTEMS.items() if system.command}
    assert set(systems.SYSTEMS) - set(trained) == {"dense-sync-shipped"}
    for name, system in trained.items():
        for full_size in (False, True):
            for window in system.windows:
                job = systems.Job(ClipData((tmp_path,)), loop, full_size, window, None)
                assert type(system.recipe(job)) is RECIPES[system.command].settings, name


def test_a_folder_of_jpegs_gives_the_frames_and_audio_of_the_store(store, tmp_path):
    clip = store["one.0"]
    write_folder(clip, tmp_path / "one")
    pairs = JpegFolderPairs([tmp_path / "one"])
    rng = np.random.default_rng(0)
    labels = set()
    for _ in range(30):
        frames, wav, label = pairs.draw(rng)
        rgb = frames.reshape(5, 3, 48, 96)[:, ::-1].transpose(0, 2, 3, 1) * 255
        differences = [np.abs(rgb - clip.face[k : k + 5, 48:]).mean() for k in range(36)]
        start = int(np.argmin(differences))
        assert differences[start] < 3
        at_start = clip.wav_16k[640 * start :][:3200]
        assert np.allclose(wav, at_start, atol=1e-3) == (label == 1.0)
        labels.add(label)
    assert labels == {0.0, 1.0}
