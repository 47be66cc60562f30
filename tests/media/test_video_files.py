from pathlib import Path

import pytest

from avsync.media.video_files import find_videos


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.MP4", "a.mkv", "notes.txt", "deep/c.mov", "[x].mp4"):
        (tmp_path / name).touch()
    return tmp_path


def names(found, folder):
    return [str(Path(path).relative_to(folder)) for path in found]


def test_a_folder_stands_for_the_videos_in_and_below_it(folder):
    assert names(find_videos([folder]), folder) == ["[x].mp4", "a.mkv", "b.MP4", "deep/c.mov"]


def test_hidden_files_of_a_folder_are_left_out(folder):
    (folder / "._a.mkv").touch()
    assert len(find_videos([folder])) == 4
    assert find_videos([folder / "._a.mkv"]) == [folder / "._a.mkv"]


def test_named_files_keep_their_order_and_come_once(folder):
    given = [folder / "b.MP4", folder / "notes.txt", folder / "b.MP4"]
    assert find_videos(given) == given[:2]


def test_a_pattern_that_no_shell_expanded_is_expanded(folder):
    assert names(find_videos([folder / "*.m*"]), folder) == ["[x].mp4", "a.mkv"]
    assert names(find_videos([folder / "**" / "*.mov"]), folder) == ["deep/c.mov"]


def test_a_name_with_brackets_is_a_name(folder):
    assert find_videos([folder / "[x].mp4"]) == [folder / "[x].mp4"]


def test_a_missing_file_is_kept_for_its_result(folder):
    assert find_videos([folder / "none.mp4", folder / "*.xyz"]) == [
        folder / "none.mp4",
        folder / "*.xyz",
    ]


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no video in the folder"):
        find_videos([tmp_path])
