import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from avsync.scoring.result import (
    CheckResult,
    Coverage,
    Fault,
    FaultKind,
    OffsetSegment,
    Reason,
    ScoreMap,
    StreamResult,
    TimelinePoint,
    TrackResult,
)
from avsync.scoring.result_json import SCHEMA, to_json

PAGE = (Path(__file__).parents[2] / "docs" / "concepts" / "json.md").read_text("utf-8")
NUMBERS = {"offset_ms", "interval_ms", "confidence"}
FILE_KEYS = NUMBERS | {"file", "status", "reason", "detail", "verdict", "borderline"}
FILE_KEYS |= {"duration_s", "fault", "coverage_s", "tracks", "streams"}
FILE_KEYS |= {"audio", "channel", "video", "not_read"}
FILE_KEYS |= {"absolute_interval_ms", "absolute_borderline"}
FILE_KEYS |= {"zero_uncertainty_ms", "source_spread_ms"}
TRACK_KEYS = NUMBERS | {"track", "start_s", "end_s", "box", "status", "reason"}
TRACK_KEYS |= {"speaking", "timeline"}


@pytest.fixture
def track():
    scores = ScoreMap(np.zeros(1), np.zeros(2), np.full((1, 2), np.nan))
    return TrackResult(
        track=2,
        start_s=0.04,
        end_s=7.96,
        box=(10.04, 20.0, 110.0, 140.0),
        status="ok",
        reason=None,
        offset_ms=83.26,
        interval_ms=(79.0, 88.04),
        confidence=0.97123,
        timeline=(TimelinePoint(0.5, 83.0, 0.9), TimelinePoint(1.0, None, 0.1)),
        score_map=scores,
    )


@pytest.fixture
def result(track):
    return CheckResult(
        file="a.mp4",
        status="ok",
        reason=None,
        detail="",
        verdict="audio_leads",
        borderline=False,
        offset_ms=83.26,
        interval_ms=(79.0, 88.04),
        confidence=0.97123,
        duration_s=8.00049,
        tracks=(track,),
        model="dense_sync",
        profile="ebu",
        search_s=1.0,
    )


@pytest.fixture
def no_face(result):
    return replace(
        result,
        status="cannot_tell",
        reason="no_face",
        detail="no face found",
        verdict=None,
        offset_ms=None,
        interval_ms=None,
        confidence=0.0,
        tracks=(),
    )


def test_the_document_has_its_schema_and_the_arguments(result):
    document = to_json([result])
    arguments = {key: value for key, value in document.items() if key != "files"}
    assert arguments == {"schema": 2, "model": "dense_sync", "search_s": 1.0, "profile": "ebu"}
    assert SCHEMA == 2


def test_files_and_tracks_have_the_keys_of_the_schema(result):
    file = to_json([result])["files"][0]
    assert set(file) == FILE_KEYS
    assert set(file["tracks"][0]) == TRACK_KEYS
    assert set(file["tracks"][0]["timeline"][0]) == {"t_s", "offset_ms", "confidence"}


def test_numbers_are_rounded_to_their_precision(result):
    file = to_json([result])["files"][0]
    assert file["offset_ms"] == 83.3
    assert file["interval_ms"] == [79.0, 88.0]
    assert file["confidence"] == 0.971
    assert file["duration_s"] == 8.0
    assert file["tracks"][0]["box"] == [10.0, 20.0, 110.0, 140.0]


def test_the_zero_of_the_model_widens_the_absolute_interval_only(result):
    narrow = {"offset_ms": 4.0, "interval_ms": (-2.0, 10.0), "verdict": "in_sync"}
    known = replace(result, **narrow, profile="atsc", zero_uncertainty_ms=16.0)
    half_ms = np.hypot(6, 16)
    assert known.absolute_interval_ms == pytest.approx((4 - half_ms, 4 + half_ms))
    assert (known.borderline, known.absolute_borderline) == (False, True)
    assert not replace(known, profile="ebu").absolute_borderline
    assert to_json([known])["files"][0]["interval_ms"] == [-2.0, 10.0]
    assert to_json([known])["files"][0]["absolute_interval_ms"] == [-13.1, 21.1]


def test_without_a_known_zero_there_is_no_absolute_interval(result, no_face):
    for one in (result, no_face, replace(result, borderline=True)):
        assert one.absolute_interval_ms is None
        assert one.absolute_borderline == one.borderline
    assert replace(no_face, zero_uncertainty_ms=16.0).absolute_interval_ms is None


def test_a_track_says_when_it_speaks(result):
    track = replace(result.tracks[0], speaking=((0.0, 6.4), (7.2, 8.0)))
    file = to_json([replace(result, tracks=(track,))])["files"][0]
    assert file["tracks"][0]["speaking"] == [[0.0, 6.4], [7.2, 8.0]]


def test_a_fault_holds_the_offset_trajectory(result):
    pieces = (OffsetSegment(0.0, 42.1004, 3.04, 0.0), OffsetSegment(42.1004, 60.0, 123.0, 0.0))
    fault = Fault("jumps", pieces, out_s=17.94, worst_t_s=50.0, worst_ms=123.0)
    assert to_json([replace(result, fault=fault)])["files"][0]["fault"] == {
        "kind": "jumps",
        "pieces": [
            {"start_s": 0.0, "end_s": 42.1, "offset_ms": 3.0, "ppm": 0.0},
            {"start_s": 42.1, "end_s": 60.0, "offset_ms": 123.0, "ppm": 0.0},
        ],
        "drift_ppm": None,
        "cause": None,
        "out_s": 17.9,
        "worst_t_s": 50.0,
        "worst_ms": 123.0,
    }
    assert to_json([result])["files"][0]["fault"] is None


def test_the_offset_of_a_segment_grows_with_its_ppm():
    assert OffsetSegment(60.0, 120.0, -10.0, 1000.0).at(120.0) == pytest.approx(50.0)


def test_a_missing_answer_is_null_and_never_zero(result, no_face):
    missing = to_json([no_face])["files"][0]
    assert missing["offset_ms"] is missing["interval_ms"] is missing["verdict"] is None
    assert to_json([result])["files"][0]["tracks"][0]["timeline"][1]["offset_ms"] is None


def test_every_file_of_a_batch_is_there_in_order(result, no_face):
    files = to_json([no_face, result])["files"]
    assert [file["status"] for file in files] == ["cannot_tell", "ok"]


def test_the_document_is_strict_json_and_survives_a_round_trip(result, no_face):
    document = to_json([result, no_face])
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_numpy_numbers_become_plain_ones(result):
    exact = replace(result, offset_ms=np.float32(83.25), confidence=np.float64(0.5))
    assert type(json.loads(json.dumps(to_json([exact])))["files"][0]["offset_ms"]) is float


def test_two_results_are_equal_whatever_their_score_maps(track):
    assert track == replace(track, score_map=None)


def test_no_results_are_refused():
    with pytest.raises(ValueError, match="at least one CheckResult"):
        to_json([])


def test_the_page_shows_every_key_of_a_document(result):
    fault = Fault("jumps", (OffsetSegment(0.0, 8.0, 83.0, 0.0),))
    stream = StreamResult(0, 1, "aac", 2, fault=fault)
    covered = replace(result, fault=fault, coverage=Coverage(7.2, 0.0, 0.8), streams=(stream,))
    made = to_json([covered])
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    shown = json.loads(block)
    assert set(shown) == set(made)
    (file,), (page_file,) = made["files"], shown["files"]
    assert set(page_file) == set(file)
    for key in ("fault", "coverage_s"):
        assert set(page_file[key]) == set(file[key])
    assert set(page_file["fault"]["pieces"][0]) == set(file["fault"]["pieces"][0])
    assert set(page_file["tracks"][0]) == set(file["tracks"][0])
    # Those that are left out there mean the same as for a file.
    (stream,), (page_stream,) = file["streams"], page_file["streams"]
    assert set(page_stream) <= set(stream) <= set(page_stream) | set(page_file)


def test_the_page_explains_every_reason_and_kind_of_fault():
    for name in (*get_args(Reason), *get_args(FaultKind)):
        assert f"`{name}`" in PAGE
