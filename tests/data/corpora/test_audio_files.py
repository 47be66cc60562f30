import numpy as np
import pytest
from data.wav_files import tone, write_wav_file

from avsync.data.corpora.audio_files import (
    SPLITS,
    audio_files_of_split,
    list_audio_files,
    list_mir1k,
)


@pytest.fixture
def mir1k(tmp_path):
    for singer in "abcdefg":
        for song in (1, 2):
            write_wav_file(tmp_path / "mir1k" / f"{singer}_{song}_01.wav", tone(200, 0.01))
    return tmp_path / "mir1k"


def test_names_of_files_begin_with_the_folder(tmp_path):
    write_wav_file(tmp_path / "music" / "deep" / "b.wav", tone(200, 0.01))
    write_wav_file(tmp_path / "music" / "a.WAV", tone(200, 0.01))
    (tmp_path / "music" / "notes.txt").write_text("no audio")
    names = [file.name for file in list_audio_files(tmp_path / "music")]
    assert names == ["music/a.WAV", "music/deep/b.wav"]


def test_no_singer_is_in_two_splits(mir1k):
    files = list_mir1k(mir1k, "voice")
    singers = [{file.group for file in audio_files_of_split(files, split)} for split in SPLITS]
    assert singers == [set("abcfg"), {"d"}, {"e"}]


def test_every_file_is_in_one_split(mir1k):
    files = list_audio_files(mir1k)
    split = [file for name in SPLITS for file in audio_files_of_split(files, name)]
    assert sorted(split) == files


def test_accompaniment_is_left_and_voice_right(mir1k):
    music, voice = list_mir1k(mir1k, "music")[0], list_mir1k(mir1k, "voice")[0]
    assert (music.name, music.channel) == ("mir1k/a_1_01.wav#left", 0)
    assert (voice.name, voice.channel) == ("mir1k/a_1_01.wav#right", 1)


def test_folders_named_after_splits_are_the_splits(tmp_path):
    for split in ("train", "test"):
        for k in range(2):
            write_wav_file(tmp_path / split / f"{k}.wav", np.zeros(10))
    files = list_audio_files(tmp_path)
    found = audio_files_of_split(files, "test")
    assert [file.path.parent.name for file in found] == ["test", "test"]
    with pytest.raises(ValueError, match="to leave any for val; got 4"):
        audio_files_of_split(files, "val")


def test_wrong_folders_and_names_are_reported(tmp_path):
    with pytest.raises(ValueError, match="must hold audio files"):
        list_audio_files(tmp_path)
    write_wav_file(tmp_path / "a.wav", np.zeros(10))
    with pytest.raises(ValueError, match=r"five files or singers.*for test; got 1"):
        audio_files_of_split(list_audio_files(tmp_path), "test")
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'dev'"):
        audio_files_of_split(list_audio_files(tmp_path), "dev")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="part must be music or voice, got 'left'"):
        list_mir1k(tmp_path, "left")  # type: ignore[arg-type]


@pytest.mark.real_data
def test_mir1k_has_nineteen_singers_of_which_three_are_for_the_test(shared):
    voices = list_mir1k(shared / "data" / "mir1k", "voice")
    singers = {split: {e.group for e in audio_files_of_split(voices, split)} for split in SPLITS}
    assert {split: len(found) for split, found in singers.items()} == {
        "train": 12,
        "val": 4,
        "test": 3,
    }
