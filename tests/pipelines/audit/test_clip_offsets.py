from avsync.pipelines.audit.clip_offsets import ClipOffset, clean_rows


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


def test_unsure_clips_are_not_moved_and_short_ones_are_kept():
    assert clean_rows(measured(200.0, confidence=0.6))[0].action == "drop"
    assert clean_rows(measured(200.0), move=False)[0].action == "drop"
    assert clean_rows(measured(None, duration_s=1.5))[0].action == "keep"
