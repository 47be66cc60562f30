import pytest

from avsync.data.corpora.lrs2 import list_lrs2


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "mvlrs_v1" / "main").mkdir(parents=True)
    (tmp_path / "mvlrs_v1" / "pretrain").mkdir()
    (tmp_path / "test.txt").write_text("5535415699068794046/00001 NF\n\n553/00012\n")
    (tmp_path / "pretrain.txt").write_text("5535415699068794046/00001\n")
    return tmp_path


def test_a_list_is_a_split_and_selects_the_folder(corpus):
    root = corpus / "mvlrs_v1"
    first, second = list_lrs2(corpus, ["test.txt"])
    assert first.path == root / "main" / "5535415699068794046" / "00001.mp4"
    assert (first.source, first.split) == ("lrs2/main/5535415699068794046/00001.mp4", "test")
    assert (second.source, second.segments) == ("lrs2/main/553/00012.mp4", None)
    (other,) = list_lrs2(corpus, [corpus / "pretrain.txt"])
    assert other.path.parts[-3:] == ("pretrain", "5535415699068794046", "00001.mp4")


def test_without_names_all_existing_lists_are_used(corpus):
    assert [video.split for video in list_lrs2(corpus)] == ["pretrain", "test", "test"]
    # The same from the inner folder, which has the lists beside it.
    assert list_lrs2(corpus / "mvlrs_v1") == list_lrs2(corpus)


def test_a_line_may_contain_its_folder(corpus):
    (corpus / "few.txt").write_text("pretrain/553/00001.mp4\n")
    (video,) = list_lrs2(corpus, ["few.txt"])
    assert (video.source, video.split) == ("lrs2/pretrain/553/00001.mp4", "few")


@pytest.mark.parametrize("line", ["553", "../553/00001", "a/b/c/00001", "553/../00001", "553/."])
def test_damaged_lines_are_named(corpus, line):
    (corpus / "odd.txt").write_text(f"553/00001\n{line}\n")
    with pytest.raises(ValueError, match=r"odd\.txt must have ID/NUMBER.*in line 2"):
        list_lrs2(corpus, ["odd.txt"])


def test_missing_lists_and_folders_are_named(corpus, tmp_path_factory):
    with pytest.raises(ValueError, match=r"list nine\.txt is neither a file nor in"):
        list_lrs2(corpus, ["nine.txt"])
    (corpus / "none.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"none\.txt names no video"):
        list_lrs2(corpus, ["none.txt"])
    other = tmp_path_factory.mktemp("other")
    with pytest.raises(ValueError, match="folder must hold mvlrs_v1/main or mvlrs_v1/pretrain"):
        list_lrs2(other)
    (other / "main").mkdir()
    with pytest.raises(ValueError, match=r"no list is in .*the corpus has pretrain\.txt, train"):
        list_lrs2(other)
