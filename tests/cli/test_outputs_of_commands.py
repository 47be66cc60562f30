"""No command destroys a file that avsync did not write."""

import json

import pytest


@pytest.fixture
def clips(make_clip, tmp_path):
    """Two videos, the first of which a shell gives to an option that takes a value."""
    return [make_clip(name, duration_s=1.0) for name in ("a.mp4", "b.mp4")]


@pytest.mark.parametrize("flag", ["--html", "--csv", "--json", "--jsonl"])
def test_a_pattern_after_an_option_does_not_cost_the_first_video(run, clips, flag):
    before = [clip.read_bytes() for clip in clips]
    code, out, err = run("check", flag, *clips)
    assert (code, out) == (1, "")
    assert f"avsync: {clips[0]} exists and is not " in err and "--overwrite" in err
    assert run("check", *clips, flag, clips[1], "--overwrite")[0] == 2
    assert [clip.read_bytes() for clip in clips] == before


def test_outputs_of_ours_are_renewed_and_other_files_need_overwrite(run, clips, tmp_path):
    flags = [f"--{kind}={tmp_path / f'out.{kind}'}" for kind in ("json", "csv", "html")]
    check = ["check", clips[0], "--detector", "haar", *flags]
    first = run(*check)
    assert first[0] == 11
    assert run(*check)[0] == 11
    (tmp_path / "out.csv").write_text("my,table\n")
    code, out, err = run(*check)
    assert (code, out) == (1, "")
    assert "out.csv exists and is not the table of an avsync check" in err
    assert run(*check, "--overwrite")[0] == 11
    assert (tmp_path / "out.csv").read_text().startswith("file,")


def test_two_outputs_in_one_file_are_wrong_usage(run, clips, tmp_path):
    out = tmp_path / "out"
    code, _, err = run("check", clips[0], "--json", out, "--html", out)
    assert code == 2 and "--json and --html must differ" in err


def test_names_are_escaped_on_both_streams(run, make_clip, tmp_path):
    clip = make_clip("x.mp4", duration_s=1.0).rename(tmp_path / "\x1b[31m[red]\u202e.mp4")
    code, out, err = run("check", clip, "--detector", "haar", "--csv", clip)
    assert (code, out) == (2, "")
    assert "an input, got" in err and "\\x1b[31m[red]\\u202e.mp4" in err and "\x1b" not in err
    code, out, err = run("check", clip, "--detector", "haar")
    assert "\\x1b[31m[red]\\u202e.mp4: cannot tell" in out and "\x1b" not in out + err


def test_names_that_no_file_can_have_cost_only_themselves(run, clips, tmp_path):
    names = ["x" * 300 + ".mp4", "a\0b.mp4", "y" * 5000, str(clips[0] / "below")]
    code, out, err = run("check", *names, clips[0], "--detector", "haar", "--json", "-")
    assert (code, err) == (12, "")
    files = json.loads(out)["files"]
    assert [file["status"] for file in files] == ["unreadable"] * 4 + ["cannot_tell"]
