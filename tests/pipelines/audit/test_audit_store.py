"""What the audit says of stores that have one thing wrong each."""

import json

import numpy as np
import pytest
from data.made_store import loud, made_store, moving

from avsync.cli.main import main
from avsync.data.store.curation import read_clean_lists
from avsync.pipelines.audit.audit_store import audit
from avsync.pipelines.audit.findings import ClipOffset, clean_rows
from avsync.pipelines.prepare.prepare_store import prepare
from avsync.synthetic import render_clip


def sound_store(path, names=("a/0", "b/1", "c/2", "d/3"), **changes):
    """A store with nothing wrong, but for the clips given by name."""
    clips = {name: (moving(k), loud(k)) for k, name in enumerate(names)}
    return made_store(path, clips | changes.pop("clips", {}), **changes)


def said(store, topic, **options):
    found = audit(store.path, measured=0, **options)
    (finding,) = (each for each in found.findings if each.topic == topic)
    assert any(topic in line for line in found.warnings()) is not finding.ok
    return finding


def test_a_sound_store_gets_no_warning(tmp_path):
    found = audit(sound_store(tmp_path).path, measured=0)
    assert found.warnings() == []
    assert found.lines()[0].startswith("4 clips of ")
    assert all(line.startswith("ok ") for line in found.lines()[1:])


def test_clips_too_short_for_training_are_counted(tmp_path):
    store = sound_store(tmp_path, clips={"e/4": (moving(9, 20), loud(9, 20))})
    finding = said(store, "lengths")
    assert not finding.ok and "1 have under 26 frames" in finding.text


def test_faces_that_are_small_or_unsure_are_counted(tmp_path):
    finding = said(sound_store(tmp_path, score=0.4), "faces")
    assert not finding.ok and "4 small or unsure" in finding.text


def test_what_was_rejected_is_told_with_its_reasons(tmp_path):
    store = sound_store(tmp_path)
    rejected = "source,track,start_s,duration_s,reason,detail\n" + "x.mp4,,,,no_face,none\n" * 5
    (tmp_path / "rejected.csv").write_text(rejected)
    finding = said(store, "faces")
    assert not finding.ok and "rejected 5: no_face 5" in finding.text


def test_slow_pictures_are_found(tmp_path):
    finding = said(sound_store(tmp_path, clips={"d/3": (moving(3, every=2), loud(3))}), "pictures")
    assert not finding.ok and "under 20 in 1: d_3.0" in finding.text


def test_silent_clips_are_found(tmp_path):
    finding = said(
        sound_store(tmp_path, clips={"d/3": (moving(3), loud(3, level=1e-3))}), "silence"
    )
    assert not finding.ok and "nearly all of it in 1: d_3.0" in finding.text


def test_the_same_clip_twice_is_found(tmp_path):
    finding = said(sound_store(tmp_path, clips={"d/3": (moving(3), loud(0))}), "duplicates")
    assert not finding.ok and "a_0.0 = d_3.0" in finding.text


def test_one_speaker_and_none_that_is_new_are_told(tmp_path):
    one = sound_store(tmp_path / "one", names=("a/0", "a/1", "a/2"))
    assert "all clips are in one folder, a" in said(one, "speakers").text
    store = sound_store(tmp_path / "two", names=("a/0", "b/1", "a/2", "c/3"))
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"train": ["0", "1"], "val": ["2"], "test": ["3"]}))
    finding = said(store, "speakers", splits=splits)
    assert not finding.ok and "no new one in val: figures" in finding.text


def test_so_many_are_opened_evenly_spread(tmp_path):
    store = sound_store(tmp_path, clips={"d/3": (moving(3, every=2), loud(3))})
    found = audit(store.path, measured=0, clips=2)
    assert found.looked == 2 and "2 of them opened" in found.lines()[0]
    assert "d_3.0" in found.findings[2].text  # the last one


def measured(*offsets, confidence=0.99, duration_s=3.0):
    return [
        ClipOffset(
            f"{k}.0", f"{k}.mp4", duration_s, ms, confidence, "" if ms is not None else "no_match"
        )
        for k, ms in enumerate(offsets)
    ]


def test_a_clip_is_kept_moved_or_dropped_by_its_offset():
    rows = clean_rows(measured(60.0, 100.0, -300.0, None), expected_ms=20.0)
    assert [row.action for row in rows] == ["keep", "move", "move", "drop"]
    assert rows[1].offset_ms == 100.0 and rows[1].why == "+80 ms off"
    assert rows[3].why == "no_match"


def test_what_is_unsure_is_not_moved_and_what_is_short_is_not_blamed():
    assert clean_rows(measured(200.0, confidence=0.6))[0].action == "drop"
    assert clean_rows(measured(200.0), move=False)[0].action == "drop"
    assert clean_rows(measured(None, duration_s=1.5))[0].action == "keep"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A store of one rendered speaker: in sync, with a voice that leads by 200 ms, and with none
    that fits."""
    folder = tmp_path_factory.mktemp("spoken")
    (folder / "films").mkdir()
    render_clip(folder / "films" / "a.mp4", seed=1, duration_s=4.0, size=(320, 240))
    prepare(folder / "films", folder / "first", detector="haar")
    from avsync.data.store.reader import Store

    clip = Store(folder / "first")[0]
    crops, wav = np.array(clip.mouth), np.array(clip.wav_16k)
    early = np.append(wav[3200:], np.zeros(3200, np.float32))
    clips = {"a/good": (crops, wav), "a/early": (crops, early), "b/other": (crops, wav[::-1])}
    return made_store(folder / "store", clips)


def test_offsets_are_measured_and_bad_clips_listed(spoken, tmp_path):
    found = audit(spoken.path, clean=tmp_path / "clean.csv")
    assert found.findings[-1].text.startswith("2 of 3 clips can be told")
    listed = read_clean_lists([tmp_path / "clean.csv"])
    assert listed.dropped == {"b_other.0"}
    assert list(listed.moved_ms) == ["a_early.0"]
    assert listed.moved_ms["a_early.0"] == pytest.approx(200, abs=45)


def test_a_store_that_is_moved_as_a_whole_is_told_how_to_train_on_it(spoken, tmp_path):
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
    assert main(["audit", str(sound_store(tmp_path).path), "--measured", "0"]) == 0
    assert "ok duplicates  no two clips have the same audio" in capsys.readouterr().out
