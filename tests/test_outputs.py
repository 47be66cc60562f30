"""An output replaces an earlier output of its kind, and nothing else."""

import os
import sys

import pytest

from avsync.outputs import (
    HTML_REPORT,
    OutputFile,
    check_output,
    check_outputs,
    csv_kind,
    json_kind,
    write_output,
)

TABLE = csv_kind("a table of ours", "file", "status")
DOCUMENT = json_kind("a document of ours", "schema", "files")


@pytest.mark.parametrize(
    ("kind", "ours", "others"),
    [
        (
            HTML_REPORT,
            '<!doctype html>\n<head>\n<meta name="generator" content="avsync">',
            "<!doctype html>\n<head>\n<title>my page about avsync</title>",
        ),
        (TABLE, "file,offset_ms,status\na,1,ok\n", "name,file,status\nx,a,ok\n"),
        (TABLE, '\ufefffile,"status"\r\n', "file;status\n"),
        (DOCUMENT, '{"schema": 1, "files": []}', '{"files": [], "schema": 1}'),
        (DOCUMENT, '{\n  "schema": 2,\n  "model": "x",\n  "files": [', '{"schema": 1, "a": 2}'),
    ],
)
def test_an_earlier_output_may_be_replaced_and_a_similar_file_may_not(tmp_path, kind, ours, others):
    path = tmp_path / "out"
    path.write_text(ours)
    write_output(path, ours, kind)
    for content in (others, "\0\1\2", f" {others}"):
        path.write_text(content)
        with pytest.raises(FileExistsError, match=f"exists and is not {kind.name}; choose another"):
            write_output(path, ours, kind)
        assert path.read_text() == content
        check_output(path, kind, overwrite=True)


def test_an_empty_file_and_a_missing_one_are_written(tmp_path):
    (tmp_path / "empty").touch()
    for path in (tmp_path / "empty", tmp_path / "new" / "folder" / "out"):
        write_output(path, "text", TABLE)
        assert path.read_text() == "text"


def test_an_input_is_never_replaced_under_any_of_its_names(tmp_path, monkeypatch):
    clip = tmp_path / "clip.mp4"
    clip.write_text("file,status\n")
    (tmp_path / "soft").symlink_to(clip)
    os.link(clip, tmp_path / "hard")
    monkeypatch.chdir(tmp_path)
    for name in (clip, "clip.mp4", "./clip.mp4", "soft", "hard"):
        with pytest.raises(ValueError, match="an output must not replace an input, got"):
            check_output(name, TABLE, [tmp_path / "other.mp4", clip], overwrite=True)
    with pytest.raises(ValueError, match="an output must not replace an input"):
        check_output("missing", TABLE, [tmp_path / "missing"])


def test_two_outputs_of_a_call_are_different_files(tmp_path):
    first, second = tmp_path / "out", tmp_path / "new" / ".." / "out"
    with pytest.raises(ValueError, match="--json and --csv must differ"):
        check_outputs([OutputFile("--json", first, DOCUMENT), OutputFile("--csv", second, TABLE)])
    check_outputs([OutputFile("--json", first, DOCUMENT), OutputFile("--csv", None, TABLE)])


def test_a_folder_and_what_is_below_a_file_are_no_outputs(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(IsADirectoryError, match="is a folder, expected a file"):
        check_output(tmp_path, TABLE, overwrite=True)
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        check_output(tmp_path / "file" / "out", TABLE, overwrite=True)
    with pytest.raises(ValueError, match="an output must be a path"):
        check_output("a\0b", TABLE)


@pytest.mark.skipif(sys.platform == "win32", reason="devices are files on POSIX systems")
def test_a_device_is_written_to_and_stays_one(capfd):
    for device in ("/dev/null", "/dev/stdout"):
        write_output(device, "text", TABLE)
    assert not os.path.isfile("/dev/null")
    assert os.path.islink("/dev/stdout")
