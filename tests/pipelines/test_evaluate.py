import json

import pytest
import torch

from avsync import weights
from avsync.pipelines.evaluate import SyncEvaluation, evaluate_sync, read_words, table
from avsync.registry import create_model


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    weights.save(path, create_model("dense_sync").state_dict(), {})
    return path


def test_figures_are_per_window_kind_context_and_tolerance(store, untrained, tmp_path):
    (tmp_path / "three.align").write_text("0 10000 sil\n10000 30000 bin\n30000 40000 sil\n")
    evaluation = SyncEvaluation(
        data=store.path,
        weights=untrained,
        splits=store.path / "splits.json",
        split="val",
        alignments=tmp_path,
        contexts=(5, 15),
        json=tmp_path / "figures.json",
    )
    figures = evaluate_sync(evaluation)
    assert figures["clips"] == 1
    rows = {(r["windows"], r["context"], r["tolerance"]): r for r in figures["windows"]}
    assert set(rows) == {
        (kind, context, tolerance)
        for kind in ("all", "inside words", "touching words")
        for context in (5, 15)
        for tolerance in (1, 5)
    }
    assert rows["all", 5, 1]["chance"] == pytest.approx(3 / 31)
    # Whatever an untrained model says, more tolerance cannot be less accurate.
    assert rows["all", 5, 1]["accuracy"] <= rows["all", 5, 5]["accuracy"] <= 1
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    assert "three" in figures["clip_level"]["errors_ms"]


def test_the_table_shows_accuracy_interval_and_chance():
    row = dict(windows="all", context=5, tolerance=1, accuracy=0.875, interval=(0.8, 0.95))
    clip = dict(answered=9, within_45_ms=8, chance=0.045, median_ms=3.0, mean_abs_ms=11.0)
    figures = dict(model="dense_sync", clips=10, data="store", windows=[row | {"chance": 3 / 31}])
    text = table(figures | {"clip_level": clip, "touching_words": {"5": 1.0}})
    assert "100.0 % of windows touch the words at 5 frames" in text
    assert "87.5 %   80.0 to  95.0     9.7 %" in text
    assert "8 of 10 within 45 ms (chance 4.5 %), 9 answered" in text


def test_words_are_read_in_seconds_without_the_silence(tmp_path):
    (tmp_path / "a.align").write_text(
        "0 23750 sil\n23750 29500 bin\n29500 53000 now\n53000 74500 sp\n"
    )
    assert read_words(tmp_path) == {"a": (0.95, 2.12)}
    with pytest.raises(ValueError, match=r"alignments must be a folder of \.align files"):
        read_words(tmp_path / "none")
