import json
import re
import resource
import subprocess
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch

import avsync
from avsync.cli import dataset_commands
from avsync.cli.dispatch import COMMANDS, GROUPS
from avsync.pipelines.check import messages
from avsync.pipelines.check.check_file import check
from avsync.pipelines.prepare.sources import Layout
from avsync.tasks.calibration import Calibration
from avsync.tasks.registry import MODELS, create_model
from avsync.timing import PROFILES
from avsync.training.catalog import RECIPES
from avsync.weights import save, save_calibration

ROOT = Path(__file__).parents[2]
TINY = {"dim": 8, "mouth_channels": [4, 4, 4, 4], "mel_channels": [4, 4, 4, 4, 4]}


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    for name in COMMANDS:
        assert name in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_a_sentence_for_each_option(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert f"usage: avsync {name}" in out


@pytest.mark.parametrize(
    "line",
    [
        "train dense-sync --help",
        "evaluate sync --help",
        "evaluate lipread --help",
        "evaluate talking --help",
    ],
)
def test_recipes_are_the_options_of_training_and_evaluation(run, line):
    code, out, _ = run(*line.split())
    assert code == 0
    assert "--data STORE" in out


@pytest.mark.parametrize(
    ("group", "names"),
    [("train", list(RECIPES)), ("evaluate", ["sync", "lipread", "talking", "separation"])],
)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_a_group_lists_its_commands_with_a_sentence_each(
    run, group, names, flag, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "1000")
    code, out, err = run(group, flag)
    assert (code, err) == (0, "")
    items = re.findall(r"• ([\w-]+) +(\S.*\S)", re.sub(r"[│╭╮╰╯]", "", out))
    assert [name for name, _ in items] == names
    assert all(sentence.endswith(".") for _, sentence in items)
    # Nothing else of a recipe's description, which its own help has.
    assert "mixed down to one channel" not in out and "is cached" not in out
    assert COMMANDS[group].__doc__ in out


def test_help_names_every_profile(run):
    out = run("check", "--help")[1]
    assert all(profile in out for profile in PROFILES)


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"]])
def test_help_takes_under_half_a_second(arguments):
    def once():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "avsync", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Seconds of processor time, the best of three: the machine may be busy with something else.
    assert min(once() for _ in range(3)) < 0.5


def test_the_version_is_the_packages(run):
    assert run("--version") == (0, f"avsync {avsync.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "say which FILE to check"),
        (["check", "a.mp4", "--resume"], "--resume continues a results file: name it"),
        (["check", "a.mp4", "--profile", "pal"], "profile must be one of ebu, itu"),
        (["check", "a.mp4", "--model", "none"], "model must be one of face_sync"),
        (["check", "a.mp4", "--model", "unet"], "model must be one of face_sync"),
        (["models", "lips*"], "model must be one of face_sync"),
        (["fix", "a.mp4", "-o", "b.mp4", "--profile", "pal"], "profile must be one of ebu, itu"),
        (["convert", "ynet", "a", "-o", "b.safetensors"], "name must be one of vocalist, mtdvocal"),
        (["train"], "name a recipe"),
        (["evaluate"], "name an evaluation"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_code_2_and_one_line_on_stderr(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"avsync: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        *("", "chek", "chek --help", "check --colour", "check --version", "--version now"),
        *("fix a.mp4", "check a --search x", "check a --detector x"),
        *("models a b", "models --job x"),
        *("train nope", "train nope --help", "train dense-sync", "train dense-sync --steps x"),
        *("evaluate nope", "evaluate nope -h", "evaluate sync"),
    ],
)
def test_what_is_not_understood_is_code_2(run, line):
    code, out, err = run(*line.split())
    assert (code, out) == (2, "")
    assert err


def test_a_folder_without_videos_is_wrong_usage(run, tmp_path):
    code, _, err = run("check", tmp_path)
    assert (code, err) == (2, f"avsync: there is no video in the folder {tmp_path}\n")


def test_models_reports_licence_and_origin_of_each(run):
    code, out, _ = run("models")
    assert code == 0
    for row in MODELS.values():
        assert all(text in out for text in (row.name, row.licence, row.trained_on, row.measured))


def test_models_are_listed_by_pattern_and_job(run):
    def listed(*arguments):
        code, out, _ = run("models", *arguments)
        assert code == 0
        return [line.split(":")[0] for line in out.splitlines() if not line.startswith(" ")]

    assert listed("sync*") == ["syncnet", "synctalklip"]
    assert listed("sync*", "--job", "talking") == ["synctalklip"]
    assert listed("--job", "all") == list(MODELS)


def test_a_misspelt_model_gets_the_most_similar_name(run):
    _, _, err = run("check", "a.mp4", "--model", "facesync")
    assert err.endswith("got 'facesync'; did you mean 'face_sync'?\n")


def test_doctor_names_packages_device_detector_and_model(run, monkeypatch):
    monkeypatch.delenv("AVSYNC_YUNET", raising=False)
    code, out, _ = run("doctor")
    assert code == 0
    assert "YuNet, shipped file intact" in out
    assert "MediaPipe's network, shipped file intact, Apache-2.0" in out
    assert "Whisper tiny.en, shipped file intact, MIT" in out
    for topic in ("torch", "device", "face detector", "model dense_sync", "cache", "extra train"):
        assert topic in out


def test_doctor_reports_a_face_detector_that_cannot_be_used(run, monkeypatch):
    monkeypatch.setenv("AVSYNC_YUNET", "none.onnx")
    code, out, _ = run("doctor")
    assert code == 1
    assert "AVSYNC_YUNET names none.onnx, which is no file" in out


def test_doctor_gives_the_command_for_a_missing_extra():
    from avsync.pipelines.doctor import EXTRAS, doctor

    extras = [finding for finding in doctor() if finding.topic.startswith("extra")]
    assert len(extras) == len(EXTRAS)
    for finding in extras:
        assert finding.ok or f"pip install 'avsync[{finding.topic[6:]}]'" in finding.text


def test_a_reader_that_leaves_early_gets_no_traceback():
    command = f"{sys.executable} -m avsync models | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_warning_is_one_plain_line(run, monkeypatch):
    monkeypatch.setitem(COMMANDS, "models", lambda: warnings.warn("no network", stacklevel=1) or 0)
    assert run("models") == (0, "", "avsync: no network\n")
    named = "cannot read \x1b[2J\u202e.mp4"
    monkeypatch.setitem(COMMANDS, "models", lambda: warnings.warn(named, stacklevel=1) or 0)
    assert run("models") == (0, "", "avsync: cannot read \\x1b[2J\\u202e.mp4\n")


@pytest.fixture
def offline(tmp_path):
    """Options that need no network and no released weights: a model that has learnt nothing."""
    torch.manual_seed(0)
    path = tmp_path / "weights" / "untrained.safetensors"
    save(path, create_model("dense_sync", config=TINY).state_dict(), TINY)
    save_calibration(path, asdict(Calibration()))
    return ["--model", "dense_sync", "--weights", path, "--detector", "haar"]


@pytest.fixture
def batch(make_clip, tmp_path):
    """Files that cannot be judged, by the start of the answer that each must get."""
    make_clip("faceless.mp4")
    make_clip("mute.mp4", audio=False)
    make_clip("blind.mp4", video=False)
    whole = (tmp_path / "faceless.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is a text\n" * 100)
    return {
        "blind.mp4": "unreadable: ",
        "cut.mp4": "unreadable: ",
        "empty.mp4": "unreadable: ",
        "faceless.mp4": "cannot tell: no face found",
        "mute.mp4": "unreadable: ",
        "text.mp4": "unreadable: ",
    }


def test_each_file_of_a_batch_gets_its_line_and_the_worst_its_code(run, batch, offline, tmp_path):
    code, out, err = run("check", tmp_path, *offline)
    assert (code, err) == (12, "")
    lines, summary = (part.splitlines() for part in out.split("\n\n"))
    for line, (name, answer) in zip(lines, batch.items(), strict=True):
        assert line.startswith(f"{tmp_path / name}: {answer}")
    assert summary[0] == "6 files"
    assert {line.strip() for line in summary[4:]} < set(lines)


def test_a_file_that_cannot_be_judged_is_code_11(run, batch, offline, tmp_path):
    code, out, _ = run("check", tmp_path / "faceless.mp4", *offline)
    assert (code, out) == (11, f"{tmp_path / 'faceless.mp4'}: cannot tell: no face found\n")


def test_a_file_that_is_not_there_is_code_12(run, offline, tmp_path):
    code, out, _ = run("check", tmp_path / "none.mp4", *offline)
    assert code == 12
    assert "does not exist" in out


def test_json_on_stdout_is_alone_there(run, batch, offline, tmp_path):
    code, out, _ = run("check", tmp_path, *offline, "--json", "-")
    files = {file["file"]: file for file in json.loads(out)["files"]}
    assert code == 12
    assert set(files) == {str(tmp_path / name) for name in batch}
    faceless = files[str(tmp_path / "faceless.mp4")]
    assert (faceless["status"], faceless["reason"]) == ("cannot_tell", "no_face")


def test_weights_without_a_calibration_are_reported_once_on_standard_error(run, batch, tmp_path):
    weights = tmp_path / "weights" / "mine.safetensors"
    save(weights, create_model("dense_sync", config=TINY).state_dict(), TINY)
    options = "--model", "dense_sync", "--weights", weights, "--detector", "haar"
    _, out, err = run("check", tmp_path, *options)
    assert err.count("\n") == 1 and "avsync: this DenseSync has no calibration of its own" in err
    assert "calibration" not in out


def test_a_batch_goes_on_from_its_lines(run, batch, offline, tmp_path):
    lines = tmp_path / "lines.jsonl"
    arguments = ["check", tmp_path, *offline, "--jsonl", lines]
    first = run(*arguments, "--worst", 1)
    assert first[0] == 12
    assert first[1].count(": unreadable: ") == 5 + 1
    files = [json.loads(line)["file"] for line in lines.read_text().splitlines()]
    assert files == [str(tmp_path / name) for name in batch]
    assert run(*arguments, "--worst", 1, "--resume") == first
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "is not empty" in err


def test_an_interrupted_batch_leaves_its_lines_and_the_older_tables(
    run, batch, offline, tmp_path, monkeypatch
):
    folder, lines = tmp_path / "out", tmp_path / "out" / "lines.jsonl"
    paths = [f"--{kind}={folder / kind}" for kind in ("json", "csv", "html")]
    arguments = ["check", tmp_path, *offline, *paths, "--jsonl", lines]
    assert run("check", tmp_path / "faceless.mp4", *offline, *paths)[0] == 11
    before = {path: path.read_bytes() for path in folder.iterdir()}

    def stopped(path, **options):
        if path.name == "empty.mp4":
            raise KeyboardInterrupt
        return check(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr("avsync.pipelines.check.batch.check", stopped)
        code, _, err = run(*arguments)
    assert code == 130
    assert f"finished results are in {lines}; --resume continues" in err
    assert lines.read_text().count("\n") == list(batch).index("empty.mp4")
    assert {path: path.read_bytes() for path in before} == before
    assert run(*arguments, "--resume")[0] == 12
    assert (folder / "csv").read_text().count("\n") == 1 + len(batch)


def test_results_are_written_as_json_csv_and_a_page(run, batch, offline, tmp_path):
    out = tmp_path / "out"
    paths = [f"--{kind}={out / kind}" for kind in ("json", "csv", "html")]
    assert run("check", tmp_path / "faceless.mp4", *offline, *paths)[0] == 11
    assert json.loads((out / "json").read_text())["files"][0]["reason"] == "no_face"
    assert (out / "csv").read_text().count("\n") == 2
    assert "faceless.mp4" in (out / "html").read_text()


@pytest.mark.parametrize(("name", "code"), [("faceless.mp4", 11), ("text.mp4", 12)])
def test_a_file_without_an_offset_is_not_fixed(run, batch, offline, tmp_path, name, code):
    found, out, err = run("fix", tmp_path / name, "-o", tmp_path / "fixed.mp4", *offline)
    assert found == code
    assert out.startswith(f"before  {tmp_path / name}: {batch[name]}")
    assert "nothing was written" in err
    assert not (tmp_path / "fixed.mp4").exists()


def test_neither_the_input_nor_another_file_is_overwritten(run, batch, offline, tmp_path):
    source, other = tmp_path / "faceless.mp4", tmp_path / "text.mp4"
    before = source.read_bytes(), other.read_bytes()
    assert run("fix", source, "-o", source, *offline, "--force", "--overwrite")[0] == 2
    assert run("fix", source, "-o", other, *offline, "--force")[0] == 1
    assert (source.read_bytes(), other.read_bytes()) == before


def test_weights_that_cannot_be_used_are_code_1_and_one_line(run, batch, tmp_path):
    page = tmp_path / "page.safetensors"
    page.write_text("<html>")
    code, out, err = run("check", tmp_path / "faceless.mp4", "--weights", page)
    assert (code, out) == (1, "")
    assert "is not a safetensors file but a web page" in err
    assert err.count("\n") == 1


def test_published_weights_are_converted_before_they_are_used(run, make_clip, tmp_path):
    clip, published = make_clip("faceless.mp4"), tmp_path / "vocalist_5f_lrs2.pth"
    torch.save({"state_dict": {"fc.weight": torch.ones(1)}}, published)
    with pytest.raises(RuntimeError, match="run `avsync convert NAME FILE -o OUT"):
        create_model("vocalist", weights=published)
    code, out, err = run("check", clip, "--model", "vocalist", "--weights", published)
    assert (code, out) == (1, "")
    assert "run `avsync convert NAME FILE -o OUT.safetensors` on published weights first" in err
    code, out, err = run("convert", "mtdvocalist", published, "-o", tmp_path / "x.safetensors")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"avsync: {published} is no checkpoint of mtdvocalist: " in err


def test_features_of_a_store_are_written_and_a_bad_file_is_code_12(run, store, tmp_path):
    out = tmp_path / "out"
    code, said, _ = run("features", store.path, "-o", out)
    assert code == 0
    assert said.splitlines()[0] == f"one.0: {out / 'one.0.safetensors'}"
    code, said, _ = run("features", tmp_path / "none.mp4", "-o", out, "--detector", "haar")
    assert code == 12
    assert "does not exist" in said
    code, _, err = run("features", store.path, "-o", out, "--layer", "lips")
    assert code == 2 and "layer must name a module of the model" in err


def test_the_page_of_the_command_line_lists_every_exit_code_and_environment_variable():
    page = (ROOT / "docs" / "start" / "command_line.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    answers = {messages.IN_TOLERANCE, messages.OUT_OF_TOLERANCE}
    assert listed == answers | {1, 2, messages.CANNOT_TELL, messages.UNREADABLE, 130}
    sources = [path.read_text() for path in (ROOT / "avsync").rglob("*.py")]
    used = {name for text in sources for name in re.findall(r'"(AVSYNC_\w+)"', text)}
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == used


def test_groups_are_commands():
    assert set(GROUPS) <= set(COMMANDS)


@pytest.mark.parametrize("kind", ["sync", "lipread", "talking"])
@pytest.mark.parametrize("flag", ["--truth-ms", "--corpus-offset-ms"])
def test_evaluation_takes_the_name_that_training_has_for_the_offset_of_a_corpus(run, kind, flag):
    code, _, err = run("evaluate", kind, flag, "20", "--help")
    assert code == 0, err


def test_the_command_offers_every_layout_that_prepare_knows():
    offered = get_type_hints(dataset_commands.prepare)["layout"]
    assert get_args(offered) == get_args(Layout)
