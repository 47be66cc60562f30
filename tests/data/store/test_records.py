import pytest

from avsync.data.store.records import ClipInfo, Rejection, SourceRecord

CLIP = ClipInfo("a.0", "videos/a.mp4", "videos", 0, 1.2, 30, 80.5, 0.9, 44100)


def test_a_record_survives_json():
    record = SourceRecord("videos/a.mp4", (CLIP,), (Rejection("videos/a.mp4", "no_face", "none"),))
    assert SourceRecord.from_json(record.to_json()) == record


def test_a_clip_has_its_duration_and_frame_rate_in_json():
    document = CLIP.to_json()
    assert (document["duration_s"], document["fps"]) == (1.2, 25)
    assert ClipInfo.from_json(document | {"unknown": 1}) == CLIP


def test_unknown_columns_of_a_rejection_are_left_out():
    assert list(Rejection("a.mp4", "no_face", "none").to_json()) == ["source", "reason", "detail"]
    whole = Rejection("a.mp4", "too_short", "short", 2, 0.0, 0.2).to_json()
    assert (whole["track"], whole["start_s"], whole["duration_s"]) == (2, 0.0, 0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": "30"}, "frames must be int, got '30'"),
        ({"start_s": None}, "start_s must be float, got None"),
    ],
)
def test_a_key_of_another_type_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        ClipInfo.from_json(CLIP.to_json() | changes)
    with pytest.raises(ValueError, match="expected id, source, speaker"):
        ClipInfo.from_json([])
