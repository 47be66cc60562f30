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


@pytest.mark.parametrize(
    "line",
    [
        "evaluate sync --data {store} --json {mine}",
        "evaluate lipread --data {store} --transcripts {folder} --weights {mine} --json {mine}",
        "evaluate separation --references {folder} --estimates {folder} --json {mine}",
        "evaluate talking --made {clip} --json {mine}",
        "evaluate talking --made {clip} --sheet {mine}",
        "audit {store} --clean {mine}",
        "separate {clip} -o {folder} --html {mine}",
        "separate {clip} -o {folder} --html {clip} --overwrite",
        "separate {clip} -o {mine}",
        "separate {clip} -o {folder}",
        "talk --face {clip} --audio {clip} -o {folder}/new.mp4 --json {mine}",
        "talk --face {clip} --audio {clip} -o {folder}/new.mp4 --json {folder}/new.mp4",
        "talk --face {clip} --audio {clip} -o {clip} --overwrite",
        "fix {clip} -o {mine}",
        "fix {clip} -o {clip} --overwrite",
        "convert syncnet {clip} -o {weights}",
        "demo {folder}",
        "prepare {folder} -o {folder}",
        "features {clip} -o {folder}",
        "train dense-sync --data {store} -o {folder}",
        "check {clip} --html {mine}",
    ],
)
def test_no_command_replaces_a_file_of_the_user(run, store, make_clip, tmp_path, line):
    folder, mine = tmp_path / "folder", tmp_path / "mine.png"
    folder.mkdir()
    mine.write_text("my notes")
    names = ("clip.mp4", "voice_0.wav", "rejected.csv", "index.jsonl", "audit.txt", "w.json")
    for name in names:
        (folder / name).write_text("mine")
    clip = make_clip("film.mp4", duration_s=1.0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    values = {"clip": clip, "folder": folder, "mine": mine, "store": store.path}
    values["weights"] = folder / "w.safetensors"
    code, out, err = run(*line.format(**values).split())
    assert code in (1, 2), (out, err)
    assert err.startswith("avsync: ") and err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


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
