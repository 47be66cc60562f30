import json

import numpy as np
import pytest
from data.made_store import made_store
from data.mixed import SPEC, clips, mixtures_of

from avsync.data.sampling.mixture_manifest import draw_rows, read_manifest, write_manifest
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("made") / "faces", clips())


def test_a_manifest_makes_the_same_mixtures_elsewhere(store, tmp_path):
    mixtures = mixtures_of(store, tmp_path / "here")
    rows = draw_rows(mixtures, 8, seed=1)
    write_manifest(tmp_path / "mixtures.jsonl", rows, SPEC)
    there = mixtures_of(store, tmp_path / "there")
    read = read_manifest(tmp_path / "mixtures.jsonl", SPEC)
    assert read == rows
    for a, b in zip(map(mixtures.make, rows), map(there.make, read), strict=True):
        np.testing.assert_array_equal(a.audio, b.audio)


def test_a_larger_count_of_a_seed_begins_with_the_same_mixtures(store, tmp_path):
    mixtures = mixtures_of(store, tmp_path)
    assert draw_rows(mixtures, 9, 1)[:4] == draw_rows(mixtures, 4, 1) != draw_rows(mixtures, 4, 2)


def test_a_manifest_is_small(store, tmp_path):
    write_manifest(tmp_path / "a.jsonl", draw_rows(mixtures_of(store, tmp_path), 100, 0), SPEC)
    assert (tmp_path / "a.jsonl").stat().st_size < 100 * 300


def test_a_manifest_of_other_lengths_is_refused(store, tmp_path):
    path = tmp_path / "a.jsonl"
    write_manifest(path, [], SPEC)
    with pytest.raises(ValueError, match=r"must begin with .*'samples': 32767"):
        read_manifest(path, SeparationSpec(*chunk_lengths(2)))


def test_a_damaged_manifest_is_reported_with_its_line(store, tmp_path):
    path = tmp_path / "a.jsonl"
    write_manifest(path, draw_rows(mixtures_of(store, tmp_path), 2, 0), SPEC)
    whole = path.read_text()
    path.write_text(whole[:-20])
    with pytest.raises(ValueError, match="is damaged in line 3"):
        read_manifest(path, SPEC)
    lines = whole.splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "frame": "3"})
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="is damaged in line 2: expected target, frame"):
        read_manifest(path, SPEC)
    path.write_text("")
    with pytest.raises(ValueError, match="is damaged in line 1"):
        read_manifest(path, SPEC)
