import json

import pytest

from avsync.data.corpora.acappella import list_acappella, seconds_of

SAMPLE = "dQw4w9WgXcQ_0_07_to_1_3"
HEADER = "ID,Repeat,Init,Fin,Length (s),Song Name,Link,Comments,Singer,Language,Gender\n"


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "splits.json").write_text(json.dumps({"train": [SAMPLE], "test_unseen": []}))
    return tmp_path


def test_times_are_minutes_and_seconds_as_in_the_public_code():
    assert [seconds_of(float(text)) for text in ("0.07", "1.3", "1.30", "2")] == [7, 90, 90, 120]
    # 0.29 % 1 * 100 is 28.999...: the public samples begin a second early.
    assert seconds_of(0.29) == 28


def test_a_file_with_the_name_of_a_sample_is_used_whole(corpus):
    (corpus / "samples").mkdir()
    (corpus / "samples" / f"{SAMPLE}.mp4").touch()
    (video,) = list_acappella(corpus)
    assert video.path == corpus / "samples" / f"{SAMPLE}.mp4"
    assert video.source == f"acappella/train/dQw4w9WgXcQ/{SAMPLE}.mp4"
    assert (video.split, video.segments) == ("train", None)


def test_of_a_whole_video_the_segment_of_the_sample_is_used(corpus):
    (corpus / "dQw4w9WgXcQ.webm").touch()
    (video,) = list_acappella(corpus)
    assert (video.path.name, video.segments) == ("dQw4w9WgXcQ.webm", ((7.0, 90.0),))


def test_valid_frames_are_counted_from_the_sample_at_25_a_second(corpus):
    frames = {SAMPLE: [[25, 100], [200, 1000]], "other_0_0_to_0_1": []}
    (corpus / "acapella_timestamps.json").write_text(json.dumps(frames))
    (video,) = list_acappella(corpus)
    assert video.segments == ((1, 4), (8, 40))
    assert not video.path.exists()
    (corpus / "dQw4w9WgXcQ.mkv").touch()
    (video,) = list_acappella(corpus)
    assert video.segments == ((8, 11), (15, 47))


def test_a_sample_without_valid_frames_has_no_segment(corpus):
    (corpus / "acapella_timestamps.json").write_text('{"other_0_0_to_0_1": [[0, 9]]}')
    assert list_acappella(corpus)[0].segments == ()


def test_a_table_is_the_split_of_its_name_and_has_the_singer(tmp_path):
    row = "dQw4w9WgXcQ,1,0.07,1.30,83,A song,youtube.com/watch?v=d,,Ana M/N,English,Female\n"
    (tmp_path / "val_seen.csv").write_text(HEADER + row, encoding="utf-8-sig")
    (video,) = list_acappella(tmp_path, ["val_seen.csv"])
    assert video.source == f"acappella/val_seen/Ana_M_N/{SAMPLE}.mp4"
    # Beside the JSON of splits only its singers are used.
    (tmp_path / "splits.json").write_text(json.dumps({"test_seen": [SAMPLE]}))
    (video,) = list_acappella(tmp_path)
    assert video.source == f"acappella/test_seen/Ana_M_N/{SAMPLE}.mp4"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "video,start\nx,1\n", "must have columns ID, Init and Fin, lacks ID"),
        ("a.csv", HEADER + "x,1,early,1.3,,,,,,,\n", "times as minutes.seconds, got 'early'"),
        ("a.json", "{", "must be a CSV with columns"),
        ("a.json", '{"train": 3}', "or a JSON of .first, last. frames by sample name"),
        ("a.json", '{"train": ["dQw4w9WgXcQ"]}', "must be named ID_M_SS_to_M_SS, got 'dQw4"),
        ("a.json", '{"train": ["a/../../b_0_1_to_0_2"]}', "must be named ID_M_SS_to_M_SS"),
        ("a.json", '{"dQw4w9WgXcQ_0_07_to_1_3": [[0, 9]]}', "the lists name no sample"),
    ],
)
def test_damaged_lists_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        list_acappella(tmp_path, [name])


def test_for_a_folder_without_lists_those_of_the_corpus_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"say which one with --list .*splits\.json"):
        list_acappella(tmp_path)
