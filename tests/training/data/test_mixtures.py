from dataclasses import replace

import pytest
from training.separation_recipes import data

from avsync.data.sampling.mixtures import MixtureLevels
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths
from avsync.training.data.mixtures import MixtureData, open_mixtures

SPEC = SeparationSpec(*chunk_lengths(1), "face", 48, 96, lower_half=True)


def names(mixtures):
    """Sources by kind, without the folders."""
    faces = [mixtures.faces.names[k].split("/")[1] for k in mixtures.usable]
    files = [name.split("/")[1] for name in mixtures.music]
    return faces, files, [name for name in mixtures.voices if name.startswith("solo")]


def test_a_split_has_its_own_faces_music_and_voices(store, tmp_path):
    given = data(store, tmp_path)
    train = open_mixtures(given, MixtureLevels(), SPEC)
    held_out = open_mixtures(given, MixtureLevels(), SPEC, "val")
    solo = ["solo/0.wav", "solo/1.wav", "solo/2.wav"]
    assert names(train) == (["one.0", "two.0"], ["0.wav", "1.wav", "2.wav"], solo)
    assert names(held_out) == (["three.0"], ["3.wav"], ["solo/3.wav"])


def test_without_splits_all_is_trained_on(store, tmp_path):
    given = replace(data(store, tmp_path), splits=None)
    faces, music, voices = names(open_mixtures(given, MixtureLevels(), SPEC))
    assert (len(faces), len(music), len(voices)) == (3, 5, 5)
    faces, music, _ = names(open_mixtures(given, MixtureLevels(), SPEC, "test"))
    assert (len(faces), music) == (3, ["4.wav"])


def test_a_corpus_may_call_its_splits_otherwise(store, tmp_path):
    (tmp_path / "splits.json").write_text('{"train": ["one", "two"], "val_seen": ["three"]}')
    given = replace(data(store, tmp_path), splits=tmp_path / "splits.json", val="val_seen")
    assert names(open_mixtures(given, MixtureLevels(), SPEC, "val"))[0] == ["three.0"]


def test_mir1k_gives_music_and_voices(store, tmp_path):
    given = data(store, tmp_path)
    given = replace(given, mir1k=given.music[0], music=(), voices=(), other_faces=False)
    found = open_mixtures(given, MixtureLevels(), SPEC)
    assert found.music == [f"music/{k}.wav#left" for k in range(3)]
    assert found.voices == [f"music/{k}.wav#right" for k in range(3)]


def test_what_cannot_be_meant_is_named(store, tmp_path):
    with pytest.raises(ValueError, match="must name at least one store"):
        open_mixtures(MixtureData(()), MixtureLevels(), SPEC)
    with pytest.raises(ValueError, match="corpus_offset_ms must have 1 values, got 2"):
        data(store, tmp_path, corpus_offset_ms=(20.0, 0.0))
    with pytest.raises(ValueError, match="batch must be 1 or more"):
        data(store, tmp_path, batch=0)
