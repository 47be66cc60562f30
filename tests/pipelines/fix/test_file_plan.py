"""Each audio stream of a file is repaired by its own offset, or stays, for a reason."""

from dataclasses import replace

import pytest
from pipelines.answers import answer

from avsync.pipelines.fix.file_plan import plan_repairs
from avsync.pipelines.fix.fix_file import FixResult
from avsync.scoring.result import StreamResult

LATE = StreamResult(
    1, 2, "aac", 2, "stereo", "fra", status="ok", verdict="audio_lags", offset_ms=-197.0,
    confidence=0.9,
)  # fmt: skip
IN_TOLERANCE = replace(LATE, audio=0, stream=1, language="eng", verdict="in_sync", offset_ms=3.0)
UNKNOWN = replace(
    LATE, audio=2, stream=3, language="deu", status="cannot_tell", reason="music", verdict=None,
    offset_ms=None,
)  # fmt: skip


def judged_by_second(*streams, **changes):
    """Return the result of a file that is judged by its stream 1, unless `changes` say more."""
    judged = {"offset_ms": -197.0, "verdict": "audio_lags", "audio": 1, "streams": streams}
    return answer(**{**judged, **changes})


def shifts(repairs):
    return {at: repair.pieces[0].offset_ms for at, repair in repairs.items()}


def test_a_stream_in_tolerance_and_one_without_an_offset_stay():
    repairs = plan_repairs(judged_by_second(IN_TOLERANCE, LATE, UNKNOWN), 3)
    assert shifts(repairs) == {1: -197.0}


def test_streams_out_of_tolerance_move_each_by_its_own_offset():
    early = replace(IN_TOLERANCE, verdict="audio_leads", offset_ms=80.0)
    repairs = plan_repairs(judged_by_second(early, LATE), 2)
    assert shifts(repairs) == {1: -197.0, 0: 80.0}
    # That of the stream by which the file is judged comes first.
    assert next(iter(repairs)) == 1


def test_all_streams_move_by_small_offsets_if_the_file_is_in_tolerance():
    both = (IN_TOLERANCE, replace(IN_TOLERANCE, audio=1, offset_ms=12.0))
    repairs = plan_repairs(judged_by_second(*both, offset_ms=3.0, verdict="in_sync", audio=0), 2)
    assert shifts(repairs) == {0: 3.0, 1: 12.0}


@pytest.mark.parametrize(("together", "moved"), [(False, {1}), (True, {1, 2, 3})])
def test_streams_without_an_offset_move_with_the_file_only_if_wanted(together, moved):
    # Stream 3 was not compared.
    repairs = plan_repairs(judged_by_second(IN_TOLERANCE, LATE, UNKNOWN), 4, together=together)
    assert shifts(repairs) == dict.fromkeys(moved, -197.0)


def test_a_stream_that_is_chosen_alone_moves_alone():
    assert shifts(plan_repairs(judged_by_second(LATE), 3)) == {1: -197.0}


@pytest.mark.parametrize(("force", "moved"), [(False, {1}), (True, {0, 1})])
def test_another_stream_with_an_uncertain_offset_stays_unless_forced(force, moved):
    unsure = replace(IN_TOLERANCE, verdict="audio_leads", offset_ms=80.0, confidence=0.7)
    assert set(plan_repairs(judged_by_second(unsure, LATE), 2, force=force)) == moved


def test_what_is_done_with_every_stream_is_described(tmp_path):
    before = judged_by_second(IN_TOLERANCE, LATE, UNKNOWN)
    repairs = plan_repairs(before, 3)
    done = FixResult(before, None, -197.0, tmp_path / "new.mkv", repairs[1], repairs)
    assert done.describe() == [
        "audio 1 (fra): would move the audio by -197 ms, without re-encoding",
        "audio 0 (eng): not moved, in tolerance",
        "audio 2 (deu): not moved, its offset is not known: music",
    ]
