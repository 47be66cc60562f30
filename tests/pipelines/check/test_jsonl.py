import json
import os
from dataclasses import replace

import numpy as np
import pytest

from avsync.locks import InUseError
from avsync.pipelines.check.jsonl import ResultsFile, file_fingerprint
from avsync.scoring.result import (
    CheckResult,
    Fault,
    OffsetSegment,
    TimelinePoint,
    TrackResult,
)
from avsync.scoring.result_json import to_json
from avsync.scoring.score_map import ScoreMap

MADE_OF = {"size": 3, "mtime_ns": 5, "model": "dense_sync"}


@pytest.fixture
def result():
    point, blind = TimelinePoint(1.0, 83.0, 0.9), TimelinePoint(1.4, None, 0.1)
    track = TrackResult(
        track=2,
        start_s=0.5,
        end_s=7.5,
        box=(1.0, 2.0, 3.0, 4.0),
        status="ok",
        reason=None,
        offset_ms=83.0,
        interval_ms=(79.0, 88.0),
        confidence=0.97,
        timeline=(point, blind),
        speaking=((0.5, 2.5), (4.0, 7.5)),
    )
    return CheckResult(
        file="caf\udce9 [1]\n.mp4",
        status="ok",
        reason=None,
        detail="",
        verdict="audio_leads",
        borderline=False,
        offset_ms=83.0,
        interval_ms=(79.0, 88.0),
        confidence=0.97,
        duration_s=8.0,
        tracks=(track,),
        model="dense_sync",
        profile="ebu",
        search_s=1.0,
        fault=Fault(
            "drift", (OffsetSegment(0.0, 8.0, 2.0, 500.0),), 500.0, "made at 24 fps", 4.0, 8.0, 6.0
        ),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "results.jsonl"


def written(path, *results):
    lines = ResultsFile(path)
    for result in results:
        lines.add(result, MADE_OF)
    lines.close()


def blank(result, name):
    empty = {"interval_ms": None, "duration_s": None, "tracks": (), "fault": None}
    return replace(
        result,
        file=name,
        status="unreadable",
        reason="damaged",
        verdict=None,
        offset_ms=None,
        **empty,
    )


def test_a_result_comes_back_as_it_was(path, result):
    written(path, result, blank(result, "b.mp4"))
    lines = ResultsFile(path, resume=True)
    assert lines.result(result.file) == result
    assert lines.result("b.mp4") == blank(result, "b.mp4")


def test_a_line_is_the_json_of_the_file_with_its_call(path, result):
    written(path, result)
    document = to_json([result])
    line = {**document["files"][0], **document, "made_of": MADE_OF}
    del line["files"]
    assert json.loads(path.read_text()) == line


def test_a_line_is_on_the_disk_before_the_next_file_is_started(path, result, monkeypatch):
    lines, synced = ResultsFile(path), []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    lines.add(result, MADE_OF)
    assert path.read_bytes().count(b"\n") == 1
    assert synced == [path.stat().st_size]


def test_a_line_of_another_schema_is_checked_again_and_is_no_damage(path, result):
    written(path, result, blank(result, "b.mp4"))
    first, second = path.read_text().splitlines(keepends=True)
    path.write_text(first.replace('"schema": 2', '"schema": 1') + second)
    assert set(ResultsFile(path, resume=True).index.names()) == {"b.mp4"}
    assert not path.with_name("results.jsonl.bad").exists()


def test_a_result_that_is_resumed_is_rounded_and_has_no_score_map(path, result):
    scores = ScoreMap(np.zeros(1), np.zeros(2), np.zeros((1, 2)))
    track = replace(result.tracks[0], score_map=scores)
    written(path, replace(result, offset_ms=83.26, tracks=(track,)))
    resumed = ResultsFile(path, resume=True).result(result.file)
    assert resumed.offset_ms == 83.3
    assert resumed.tracks[0].score_map is None


def test_a_line_is_ascii_whatever_the_name(path, result):
    written(path, result)
    assert path.read_bytes().isascii()
    assert b"caf\\udce9" in path.read_bytes()


def test_only_results_from_equal_inputs_count(path, result):
    written(path, result)
    lines = ResultsFile(path, resume=True)
    assert lines.has(result.file, MADE_OF)
    assert not lines.has(result.file, {**MADE_OF, "mtime_ns": 6})
    assert not lines.has("other.mp4", MADE_OF)


def test_a_line_cut_by_a_kill_is_cut_off_and_the_others_stay(path, result):
    written(path, result, blank(result, "b.mp4"))
    whole = path.read_bytes()
    for size in range(len(whole) - 1, whole.index(b"\n"), -37):
        path.write_bytes(whole[:size])
        lines = ResultsFile(path, resume=True)
        assert lines.index.names() == [result.file]
        lines.add(blank(result, "b.mp4"), MADE_OF)
        lines.close()
        assert path.read_bytes() == whole


def test_at_the_end_each_file_has_one_line_in_order_and_others_stay(path, result):
    b, a, other = (blank(result, name) for name in ("b.mp4", "a.mp4", "other.mp4"))
    written(path, other, b, a)
    lines = ResultsFile(path, resume=True)
    lines.add(replace(b, detail="newer"), MADE_OF)
    lines.finish(["a.mp4", "b.mp4"])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["file"] for line in lines] == ["a.mp4", "b.mp4", "other.mp4"]
    assert lines[1]["detail"] == "newer"
    assert list(path.parent.iterdir()) == [path]


def test_results_are_not_overwritten_without_resume(path, result):
    written(path, result)
    with pytest.raises(ValueError, match="is not empty"):
        ResultsFile(path)
    assert ResultsFile(path, resume=True).index.names()


def test_a_second_batch_on_the_file_is_refused_and_names_the_first(path, result):
    first = ResultsFile(path)
    first.add(result, MADE_OF)
    with pytest.raises(InUseError, match=rf"is being written by process {os.getpid()} on .*wait"):
        ResultsFile(path, resume=True)
    link = path.with_name("link.jsonl")
    link.symlink_to(path)
    with pytest.raises(InUseError, match="is being written by"):
        ResultsFile(link, resume=True)
    link.unlink()
    first.finish([result.file])
    assert ResultsFile(path, resume=True).has(result.file, MADE_OF)


def test_a_damaged_line_is_kept_aside_and_the_other_results_stay(path, result):
    written(path, blank(result, "a.mp4"), blank(result, "b.mp4"), blank(result, "c.mp4"))
    a, b, c = path.read_bytes().splitlines(keepends=True)
    damaged = b[:30] + b"\0\0" + b[32:]
    path.write_bytes(a + damaged + b"\0" * 9 + b"\n" + c)
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"2 lines of .* could not be read: they are kept in"):
            lines = ResultsFile(path, resume=True)
        lines.close()
        assert set(lines.index.names()) == {"a.mp4", "c.mp4"}
    assert path.with_name("results.jsonl.bad").read_bytes() == damaged + b"\0" * 9 + b"\n"


def test_results_are_dropped_with_overwrite_and_continued_with_resume(path, result):
    written(path, result)
    ResultsFile(path, resume=True, overwrite=True).close()
    assert path.stat().st_size
    ResultsFile(path, overwrite=True).close()
    assert not path.stat().st_size


@pytest.mark.parametrize(
    "content",
    [
        b'{"file": "a.mp4", "size": 3}\n',
        b'{"file": "a.mp4", "size": 3}',
        b'{"file": "a", "status": "ok", "schema": 1, "made_of": 3}\n',
        b'{"file": ' + b"[" * 100_000 + b"\n",
    ],
)
def test_lines_that_only_begin_like_results_are_not_changed(tmp_path, content):
    path = tmp_path / "list.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds something other than results"):
        ResultsFile(path, resume=True)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content", [b"a video\nof two lines\n", b"\0\1\2", b'{"file": 1}\n{"fi\nno']
)
def test_a_file_of_something_else_is_not_changed(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds something other than results"):
        ResultsFile(path, resume=True)
    assert path.read_bytes() == content


def test_a_fingerprint_changes_with_the_file(tmp_path):
    clip = tmp_path / "a.mp4"
    assert file_fingerprint(clip) == {}
    clip.write_bytes(b"a")
    first = file_fingerprint(clip)
    os.utime(clip, (1, 1))
    second = file_fingerprint(clip)
    clip.write_bytes(b"ab")
    os.utime(clip, (1, 1))
    assert (
        len({json.dumps(fingerprint) for fingerprint in (first, second, file_fingerprint(clip))})
        == 3
    )
