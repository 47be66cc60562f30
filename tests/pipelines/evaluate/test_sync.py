import json
from dataclasses import replace

import pytest
import torch

from avsync import weights
from avsync.evaluation.published_protocols import PUBLISHED_PROTOCOLS, ProtocolFigures
from avsync.pipelines.evaluate.sync import (
    SyncEvaluation,
    evaluate_sync,
    published_figures,
    read_words,
    sync_table,
)
from avsync.tasks.registry import create_model


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
        for kind in ("all", "away from the ends", "inside words", "touching words")
        for context in (5, 15)
        for tolerance in (1, 5)
    }
    assert rows["all", 5, 1]["chance"] == pytest.approx(3 / 31)
    # Whatever an untrained model says, more tolerance cannot be less accurate.
    assert rows["all", 5, 1]["accuracy"] <= rows["all", 5, 5]["accuracy"] <= 1
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    assert "three" in figures["clip_level"]["errors_ms"]


def test_a_model_object_is_measured_in_position_of_the_named_one(store, untrained):
    evaluation = SyncEvaluation(data=store.path, weights=untrained, contexts=(5,))
    named = evaluate_sync(evaluation)
    model = create_model("dense_sync", weights=untrained)
    given = evaluate_sync(replace(evaluation, weights=None), model)
    assert (named.pop("model"), given.pop("model")) == ("dense_sync", "DenseSync")
    assert given["windows"] == named["windows"]


def test_the_table_shows_accuracy_interval_and_chance():
    row = dict(windows="all", context=5, tolerance=1, accuracy=0.875, interval=(0.8, 0.95))
    clip = dict(answered=9, within_45_ms=8, chance=0.045, median_ms=3.0, mean_abs_ms=11.0)
    figures = dict(model="dense_sync", clips=10, data="store", protocol="clips")
    figures["windows"] = [row | {"chance": 3 / 31}]
    text = sync_table(figures | {"clip_level": clip, "touching_words": {"5": 1.0}})
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


def published(store, weights, protocol, **options):
    return evaluate_sync(
        SyncEvaluation(data=store.path, weights=weights, protocol=protocol, **options)
    )


@pytest.mark.parametrize(
    ("protocol", "rows"),
    [
        ("lrs2", [(context, 1) for context in (5, 7, 9, 11, 13, 15)]),
        ("acappella", [(context, t) for context in (5, 10, 15, 20, 25) for t in (1, 5)]),
    ],
)
def test_a_published_protocol_has_the_contexts_of_its_paper(store, untrained, protocol, rows):
    figures = published(store, untrained, protocol)
    assert (figures["protocol"], figures["clips"]) == (protocol, 3)
    assert [(row["context"], row["tolerance"]) for row in figures["windows"]] == rows
    chances = {row["tolerance"]: row["chance"] for row in figures["windows"]}
    assert chances[1] == pytest.approx(3 / 31)
    assert chances.get(5, 11 / 31) == pytest.approx(11 / 31)
    text = sync_table(figures)
    assert f"dense_sync on 3 clips of {store.path.name}, protocol {protocol}" in text
    assert "LSE as published is that of syncnet only" in text


def test_embeddings_have_lse_and_pri_named_with_the_model(store, untrained, tmp_path):
    figures = published(store, untrained, "lrs2", json=tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    found = figures["embedding"]
    assert 1 / 35 <= found["pri"] <= 1
    assert found["pri_chance"] == pytest.approx(36 / 70)
    assert f"embeddings of dense_sync: LSE-D {found['lse_d']:.3f}" in sync_table(figures)


def test_what_was_left_out_is_said():
    row = dict(windows="all", context=25, tolerance=1, accuracy=0.5, interval=(0, 1), chance=0.1)
    figures = dict(model="vocalist", clips=1, data="s", protocol="acappella", window_frames=25)
    figures |= dict(windows=[row | {"averaged": False}], embedding=None)
    text = sync_table(figures | {"too_short": [f"{n}.0" for n in range(7)]})
    assert "left out, too short for one window: 0.0, 1.0, 2.0, 3.0, 4.0 and 2 more" in text
    assert "own context of 25 frames, not averaged" in text
    assert "LSE" not in text


def test_options_of_another_protocol_are_refused(store):
    for options in (dict(contexts=(5, 9)), dict(alignments=store.path)):
        with pytest.raises(ValueError, match="contexts and alignments are for protocol clips"):
            SyncEvaluation(data=store.path, protocol="lrs2", **options)
    with pytest.raises(ValueError, match="protocol must be one of clips, lrs2, acappella"):
        SyncEvaluation(data=store.path, protocol="lrs3")
    with pytest.raises(ValueError, match="no clip is longer than the 5 frames"):
        published_figures(ProtocolFigures((), ("a",)), PUBLISHED_PROTOCOLS["lrs2"], 5)


TINY = {
    "vocalist": {"channels": [2, 2, 3, 4, 16], "depth": 1, "heads": 2},
    "lip_expert": {"channels": [2, 2, 3, 4, 8]},
    "syncnet": {"lip_channels": [2, 3, 4], "mfcc_channels": [2, 3, 4, 3, 4], "dim": 8},
    "avst": {"visual_channels": [2, 3, 4, 8], "audio_channels": [2, 3, 4, 4, 8], "heads": 2},
}
TINY["perfect_match"] = TINY["syncnet"] | {"size": 64, "crop": "face"}
TINY["avst"] |= {"depth": 1, "size": 32}


def tiny(name, folder, **config):
    torch.manual_seed(0)
    config = TINY[name] | config
    path = folder / f"{name}.safetensors"
    weights.save(path, create_model(name, config=config).state_dict(), config)
    return path


@pytest.mark.parametrize("name", ["vocalist", "lip_expert", "perfect_match", "avst"])
def test_reference_models_are_scored(store, tmp_path, name):
    figures = published(store, tiny(name, tmp_path), "lrs2", model=name)
    assert [row["context"] for row in figures["windows"]] == [5, 7, 9, 11, 13, 15]
    assert (figures["embedding"] is None) == (name in ("vocalist", "avst"))


def test_a_model_of_25_frames_is_scored_at_its_own_context(store, tmp_path):
    path = tiny("vocalist", tmp_path, window_frames=25)
    figures = published(store, path, "acappella", model="vocalist")
    assert [(row["context"], row["averaged"]) for row in figures["windows"]] == [(25, False)] * 2
    assert "own context of 25 frames, not averaged" in sync_table(figures)


def test_a_model_that_looks_at_heads_needs_a_store_that_has_them(store, tmp_path):
    with pytest.raises(ValueError, match=r"no head crops, .*avsync prepare --crops head"):
        published(store, tiny("syncnet", tmp_path), "lrs2", model="syncnet")
