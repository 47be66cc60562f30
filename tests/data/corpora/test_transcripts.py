import pytest

from avsync.data.corpora.transcripts import Transcript, read_transcript


@pytest.fixture
def folder(tmp_path):
    grid = "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 50000 sil\n50000 53000 now\n"
    (tmp_path / "one.align").write_text(grid)
    (tmp_path / "two.txt").write_text(
        "Text:  IT'S NOON\nConf:  5\n\nWORD START END ASDSCORE\nIT'S 0.1 0.5 1.0\nNOON 0.5 0.9 2\n"
    )
    (tmp_path / "three.txt").write_text("Text:  GOOD DAY\nConf: 3\n")
    (tmp_path / "four.txt").write_text("good\n  day")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.txt").write_text("another")
    return tmp_path


def test_grid_times_are_25000ths_of_a_second_and_silence_is_no_word(folder):
    words, times_s = read_transcript(folder, "s1/one.mkv")
    assert words == ("bin", "blue", "now")
    assert times_s == ((0.95, 1.18), (1.18, 1.36), (2.0, 2.12))


def test_lrs_transcripts_have_words_and_optional_times(folder):
    assert read_transcript(folder, "two.mp4") == Transcript(
        ("it's", "noon"), ((0.1, 0.5), (0.5, 0.9))
    )
    assert read_transcript(folder, "three.mp4") == Transcript(("good", "day"))
    assert read_transcript(folder, "b/four.mp4").text == "good day"


def test_the_folder_of_a_source_takes_precedence(folder):
    assert read_transcript(folder, "a/one.mp4").words == ("another",)


def test_words_outside_a_clip_are_left_out(folder):
    transcript = read_transcript(folder, "one.mkv")
    assert transcript.between(1.0, 2.12) == Transcript(("blue", "now"), ((1.18, 1.36), (2.0, 2.12)))
    assert Transcript(("a",)).between(5, 6).words == ("a",)


@pytest.mark.parametrize("text", ["", "1 2", "x y bin", "0 25000 sil"])
def test_a_damaged_transcript_is_named(tmp_path, text):
    (tmp_path / "one.align").write_text(text)
    with pytest.raises(ValueError, match=r"one\.align is no transcript"):
        read_transcript(tmp_path, "one.mkv")


def test_times_of_other_words_are_refused(tmp_path):
    (tmp_path / "one.txt").write_text("Text: A B\nWORD START END\nA 0 1\n")
    with pytest.raises(ValueError, match="words with times are not those of its text"):
        read_transcript(tmp_path, "one.mkv")


def test_a_missing_transcript_is_named(folder):
    with pytest.raises(ValueError, match=r"five\.align or five\.txt for x/five\.mp4"):
        read_transcript(folder, "x/five.mp4")


@pytest.mark.real_data
def test_grid_has_51_words_in_sentences_of_six(shared):
    folder = shared / "data" / "grid_s1_alignments"
    texts = [read_transcript(folder, path.name).words for path in sorted(folder.glob("*.align"))]
    assert len(texts) == 1000 and {len(words) for words in texts} == {6}
    assert len({word for words in texts for word in words}) == 51
