"""Audits of stores with one flaw each."""

import json

import numpy as np
import pytest
from data.made_store import loud, made_store, moving

from avsync.cli.main import main
from avsync.data.store.curation import read_clean_lists
from avsync.data.store.reader import Store
from avsync.pipelines.audit.audit_store import audit
from avsync.pipelines.prepare.prepare_store import prepare
from avsync.synthetic import render_clip


def good_store(path, names=("a/0", "b/1", "c/2", "d/3"), **changes):
    """Make a store without flaws, except for the clips that are given by name."""
    clips = {name: (moving(k), loud(k)) for k, name in enumerate(names)}
    return made_store(path, clips | changes.pop("clips", {}), **changes)


def finding_of(store, topic, **options):
    found = audit(store.path, measured=0, **options)
    (finding,) = (finding for finding in found.findings if finding.topic == topic)
    assert any(topic in line for line in found.warnings()) is not finding.ok
    return finding


def test_a_good_store_gets_no_warning(tmp_path):
    found = audit(good_store(tmp_path).path, measured=0)
    assert found.warnings() == []
    assert found.lines()[0].startswith("4 clips of ")
    assert all(line.startswith("ok ") for line in found.lines()[1:])


def test_clips_too_short_for_training_are_counted(tmp_path):
    store = good_store(tmp_path, clips={"e/4": (moving(9, 20), loud(9, 20))})
    finding = finding_of(store, "lengths")
    assert not finding.ok and "1 have under 26 frames" in finding.text


def test_faces_that_are_small_or_unsure_are_counted(tmp_path):
    finding = finding_of(good_store(tmp_path, score=0.4), "faces")
    assert not finding.ok and "4 small or unsure" in finding.text


def test_rejections_are_listed_with_their_reasons(tmp_path):
    store = good_store(tmp_path)
    rejected = "source,track,start_s,duration_s,reason,detail\n" + "x.mp4,,,,no_face,none\n" * 5
    (tmp_path / "rejected.csv").write_text(rejected)
    finding = finding_of(store, "faces")
    assert not finding.ok and "rejected 5: no_face 5" in finding.text


def test_repeated_frames_are_found(tmp_path):
    finding = finding_of(
        good_store(tmp_path, clips={"d/3": (moving(3, every=2), loud(3))}), "pictures"
    )
    assert not finding.ok and "under 20 in 1: d_3.0" in finding.text


def test_silent_clips_are_found(tmp_path):
    finding = finding_of(
        good_store(tmp_path, clips={"d/3": (moving(3), loud(3, level=1e-3))}), "silence"
    )
    assert not finding.ok and "nearly all of it in 1: d_3.0" in finding.text


def test_the_same_clip_twice_is_found(tmp_path):
    finding = finding_of(good_store(tmp_path, clips={"d/3": (moving(3), loud(0))}), "duplicates")
    assert not finding.ok and "a_0.0 = d_3.0" in finding.text


def test_a_single_speaker_and_splits_without_new_speakers_are_reported(tmp_path):
    one = good_store(tmp_path / "one", names=("a/0", "a/1", "a/2"))
    assert "all clips are in one folder, a" in finding_of(one, "speakers").text
    store = good_store(tmp_path / "two", names=("a/0", "b/1", "a/2", "c/3"))
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"train": ["0", "1"], "val": ["2"], "test": ["3"]}))
    finding = finding_of(store, "speakers", splits=splits)
    assert not finding.ok and "no new one in val: figures" in finding.text


def test_opened_clips_are_evenly_spaced(tmp_path):
    store = good_store(tmp_path, clips={"d/3": (moving(3, every=2), loud(3))})
    found = audit(store.path, measured=0, clips=2)
    assert found.opened == 2 and "2 of them opened" in found.lines()[0]
    assert "d_3.0" in found.findings[2].text  # the last one


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Render one speaker: in sync, with audio that leads by 200 ms, and with audio of others."""
    folder = tmp_path_factory.mktemp("spoken")
    (folder / "videos").mkdir()
    render_clip(folder / "videos" / "a.mp4", seed=1, duration_s=4.0, size=(320, 240))
    prepare(folder / "videos", folder / "first", detector="haar")
    clip = Store(folder / "first")[0]
    crops, wav = np.array(clip.mouth), np.array(clip.wav_16k)
    early = np.append(wav[3200:], np.zeros(3200, np.float32))
    clips = {"a/good": (crops, wav), "a/early": (crops, early), "b/other": (crops, wav[::-1])}
    return made_store(folder / "store", clips)


def test_offsets_are_measured_and_bad_clips_listed(spoken, tmp_path):
    found = audit(spoken.path, clean=tmp_path / "clean.csv")
    assert found.findings[-1].text.startswith("2 of 3 clips have an offset")
    listed = read_clean_lists([tmp_path / "clean.csv"])
    assert listed.dropped == {"b_other.0"}
    assert list(listed.moved_ms) == ["a_early.0"]
    assert listed.moved_ms["a_early.0"] == pytest.approx(200, abs=45)


def test_for_a_store_that_is_shifted_as_a_whole_the_option_is_named(spoken, tmp_path):
    clip = spoken["a_early.0"]
    clips = {f"{k}/early": (np.array(clip.mouth), np.array(clip.wav_16k)) for k in range(2)}
    finding = audit(made_store(tmp_path, clips).path).findings[-1]
    assert not finding.ok
    assert (
        "audio leads by" in finding.text and "take it off with --corpus-offset-ms" in finding.text
    )
    known = audit(tmp_path, corpus_offset_ms=200.0).findings[-1]
    assert known.ok


def test_the_command_prints_the_table(tmp_path, capsys):
    assert main(["audit", str(good_store(tmp_path).path), "--measured", "0"]) == 0
    assert "ok duplicates  no two clips have the same audio" in capsys.readouterr().out
