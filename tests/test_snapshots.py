"""Snapshot tests of the public API, command-line flags, checkpoint keys and JSON keys.

To change one of these on purpose, regenerate the snapshots with

    python tests/test_snapshots.py --write

and commit the difference in `tests/snapshots/` with the change.
"""

import hashlib
import importlib
import inspect
import json
import os
import pkgutil
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from data.wav_files import write_wav_file
from pipelines.readers import write_reader
from safetensors import safe_open
from training.spoken import write_transcripts

import avsync
from avsync import TalkResult, TrackResult, list_models
from avsync.cli import main
from avsync.pipelines.check.jsonl import ResultsFile
from avsync.pipelines.evaluate.separation import SeparationEvaluation, evaluate_separation
from avsync.pipelines.evaluate.talking_metrics import ClipRow, SyncFigures, talking_figures
from avsync.pipelines.evaluate.video_pairs import Likeness
from avsync.pipelines.separate.result import RECORD, SeparatedVoice, write_separation
from avsync.pipelines.talk.result import Speaker, talk_json
from avsync.scoring.result import Coverage, Fault, OffsetSegment, StreamResult, TimelinePoint

SNAPSHOTS = Path(__file__).parent / "snapshots"
REWRITE = "AVSYNC_WRITE_SNAPSHOTS"
COMMAND = "python tests/test_snapshots.py --write"
PACKAGE = Path(avsync.__file__).parent
FOLDERS = (PACKAGE / "pretrained", PACKAGE.parent / "benchmarks" / "weights")
WEIGHTS = sorted(path for folder in FOLDERS for path in folder.rglob("*.safetensors"))
# Terminal width at which tyro wraps no line of the help.
COLUMNS = 10000
FRAME = "│╭╮─╰╯"


@pytest.fixture
def pinned():
    """Return `check(name, found)`, which fails where `found` differs from `snapshots/name.json`."""

    def check(name, found):
        path = SNAPSHOTS / f"{name}.json"
        found = json.loads(json.dumps(found))
        if os.environ.get(REWRITE):
            text = json.dumps(found, indent=1, sort_keys=True)
            # Short lists on one line each, so that a flag is a line of the file.
            text = re.sub(r"\[[^\[\]{}]{,100}\]", lambda match: " ".join(match[0].split()), text)
            path.write_text(text + "\n")
            return
        lines = differences(json.loads(path.read_text()), found)
        if lines:
            more = f"if this is intended, run `{COMMAND}` and commit the new snapshot"
            pytest.fail("\n".join([f"{path.name} differs:", *lines, more]), pytrace=False)

    return check


def differences(pinned, found, where=""):
    """List what is gone, new or changed, one per line."""
    if isinstance(pinned, list) and isinstance(found, list):
        lines = [f"  gone    {where} {item}" for item in pinned if item not in found]
        lines += [f"  new     {where} {item}" for item in found if item not in pinned]
        return lines or ([] if pinned == found else [f"  changed {where}: the order, now {found}"])
    if not (isinstance(pinned, dict) and isinstance(found, dict)):
        return [] if pinned == found else [f"  changed {where}: {pinned} -> {found}"]
    lines = []
    for key in sorted({*pinned, *found}):
        inside = f"{where} {key}".strip()
        if key not in found:
            lines.append(f"  gone    {inside}: {pinned[key]}")
        elif key not in pinned:
            lines.append(f"  new     {inside}: {found[key]}")
        else:
            lines += differences(pinned[key], found[key], inside)
    return lines


def test_differences_are_reported_by_path():
    old = {"check": {"--json": "PATH", "--csv": "PATH"}, "fix": ["a", "b"], "demo": ["a", "b"]}
    new = {"check": {"--json": "FILE", "--html": "PATH"}, "fix": ["a", "c"], "demo": ["b", "a"]}
    assert differences(old, old) == []
    assert differences(old, new) == [
        "  gone    check --csv: PATH",
        "  new     check --html: PATH",
        "  changed check --json: PATH -> FILE",
        "  changed demo: the order, now ['b', 'a']",
        "  gone    fix b",
        "  new     fix c",
    ]


def test_public_api_matches_the_snapshot(pinned):
    names = ["avsync", *(m.name for m in pkgutil.walk_packages(avsync.__path__, "avsync."))]
    modules = {name: importlib.import_module(name) for name in names if "__main__" not in name}
    public = {name: module for name, module in modules.items() if hasattr(module, "__all__")}
    found = {
        name: {item: parameters(getattr(module, item)) for item in module.__all__}
        for name, module in public.items()
    }
    pinned("api", found)


def parameters(value):
    """Return the parameter names of a function or class, or the type of another value."""
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return type(value).__name__
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    if inspect.isclass(value) and "__init__" not in vars(value) and issubclass(value, Exception):
        return ["*args"]  # Python 3.11 knows no signature of such a class.
    listed = []
    for each in inspect.signature(value).parameters.values():
        bare = each.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in "".join(listed)
        listed += ["*"] * bare + [marks.get(each.kind, "") + each.name]
    return listed


def test_command_line_flags_match_the_snapshot(pinned, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(COLUMNS))

    def said(*line):
        with pytest.raises(SystemExit):
            main(list(line))
        captured = capsys.readouterr()
        return re.sub(r"\x1b\[[0-9;]*m", "", captured.out + captured.err)

    def choices(*line):
        text = said(*line, "no-such-name").partition("Available subcommands: ")[2]
        return text.splitlines()[0].strip(FRAME + " ").split(", ")

    lines = [(name,) for name in choices()]
    lines += [(group, name) for group in ("train", "evaluate") for name in choices(group)]
    pinned("flags", {" ".join(line): flags(said(*line, "--help")) for line in lines})


def flags(text):
    """Parse the options and positional arguments of a help page: name -> kind, default, aliases."""
    found, heading, name = {}, "", None
    for line in text.splitlines():
        inside = line.strip(FRAME)
        indent, inside = len(inside) - len(inside.lstrip()), inside.strip()
        if inside in ("options", "positional arguments", "subcommands"):
            heading, name = inside, None
            continue
        # Lines with more indentation continue a help text. Without box drawing (an ASCII stdout)
        # there is a rule below each heading.
        begins = heading in ("options", "positional arguments") and inside.strip("-")
        if begins and indent < 3:
            written, _, inside = inside.partition("  ")
            spellings = re.findall(r"(?<![\w-])--?[a-z][\w-]*", written)
            name = next((s for s in spellings if s.startswith("--")), written)
            kind = "option" if heading == "options" else "positional"
            found[name] = [kind, "", *(s for s in spellings if s != name)]
        if name is not None and (end := re.search(r"\((default: .*|required)\)$", inside)):
            found[name][1] = end[1]
    return found


@pytest.mark.parametrize("columns", ["40", "200"])
def test_help_has_every_flag_at_any_terminal_width(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", columns)
    snapshot = json.loads((SNAPSHOTS / "flags.json").read_text())
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    out = capsys.readouterr().out
    assert all(flag in out for flag in snapshot["check"] if flag.startswith("--"))


FRAMED = """usage: avsync thing
╭─ positional arguments ─────────────────────╮
│ FILE...       videos. (default: )          │
╰────────────────────────────────────────────╯
╭─ options ──────────────────────────────────╮
│ -o PATH, --output PATH                     │
│               where to. (required)         │
│ --tables, --no-tables                      │
│               writes them, or with           │
│               --no-tables not. (default: False) │
╰────────────────────────────────────────────╯
"""
BARE = "\n".join(
    [
        "usage: avsync thing",
        " positional arguments ",
        " ----------------------",
        "  FILE...       videos. (default: )  ",
        "                                     ",
        " options ",
        " ----------------------",
        "  -o PATH, --output PATH              ",
        "                where to. (required)  ",
        "  --tables, --no-tables               ",
        "                writes them, or with  ",
        "                --no-tables not. (default: False) ",
    ]
)


@pytest.mark.parametrize("page", [FRAMED, BARE], ids=["framed", "bare"])
def test_flags_are_parsed_with_and_without_box_drawing(page):
    assert flags(page) == {
        "FILE...": ["positional", "default: "],
        "--output": ["option", "required", "-o"],
        "--tables": ["option", "default: False", "--no-tables"],
    }


def test_released_checkpoints_match_the_snapshot(pinned):
    assert WEIGHTS
    found = {}
    for path in WEIGHTS:
        with safe_open(path, "pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            tensors = {k: f"{s.get_dtype()} {s.get_shape()}" for k, s in slices.items()}
        config = json.loads(path.with_suffix(".json").read_text())
        found[path.relative_to(PACKAGE.parent).as_posix()] = {
            "tensors": tensors,
            "config": sorted(config),
        }
    pinned("checkpoints", found)


def test_state_dict_keys_match_the_snapshot(pinned, monkeypatch):
    # Values do not matter: skip random initialisation, which would take most of the time.
    for draw in ("normal_", "uniform_"):
        monkeypatch.setattr(torch.Tensor, draw, lambda tensor, *_, **__: tensor)
    pinned("models", {row.name: keys_of(row.name) for row in list_models()})


def keys_of(name):
    """Return hashes of the state dict of a model with its default config, one for each first part
    of the keys, and the fields of that config."""
    state = avsync.create_model(name).state_dict()
    parts = {}
    for key, tensor in sorted(state.items()):
        text = f"{key} {tuple(tensor.shape)} {tensor.dtype}\n"
        parts.setdefault(key.split(".")[0], []).append(text)
    with pytest.raises(ValueError, match="its fields are ") as refused:
        avsync.create_model(name, config={"no such field": None})
    return {
        "keys": {
            part: f"{len(texts)} {hashlib.sha256(''.join(texts).encode()).hexdigest()[:16]}"
            for part, texts in parts.items()
        },
        "config": sorted(str(refused.value).rpartition("its fields are ")[2].split(", ")),
    }


def test_json_keys_of_results_match_the_snapshot(pinned, tmp_path):
    points, spans = (TimelinePoint(0.0, 1.0, 0.9),), ((0.0, 1.0),)
    box, status = (0.0, 0.0, 9.0, 9.0), ("ok", None)
    track = TrackResult(0, 0.0, 1.0, box, *status, 1.0, (0.0, 2.0), 0.9, points, spans)
    fault = Fault("constant", (OffsetSegment(0.0, 1.0, 1.0, 0.0),))
    checked = avsync.CheckResult(
        file="a.mp4",
        status="ok",
        reason=None,
        detail="",
        verdict="in_sync",
        borderline=False,
        offset_ms=1.0,
        interval_ms=(0.0, 2.0),
        confidence=0.9,
        duration_s=1.0,
        tracks=(track,),
        model="dense_sync",
        profile="ebu",
        search_s=1.0,
        fault=fault,
        audio=0,
        coverage=Coverage(1.0, 0.0, 0.0),
        not_read=spans,
        streams=(StreamResult(0, 1, "aac", 2, dispositions=("default",), fault=fault),),
    )
    lines = ResultsFile(tmp_path / "lines.jsonl")
    lines.add(checked, {})
    voice = SeparatedVoice(0, "voice_0.wav", None, -3.0, box, spans)
    arguments = ("a.mp4", str(tmp_path), *status, "", "all", "lip_mask")
    write_separation(avsync.SeparationResult(*arguments, voices=(voice,)))
    speakers = (Speaker(0, box, spans, 25),)
    arguments = ("a.mp4", "a.wav", "b.mp4", *status, "", None, "synctalklip")
    talked = TalkResult(*arguments, speakers=speakers)
    sync, likeness = SyncFigures(1.0, 1.0, 0.5, 0.5, 0, True), Likeness(30.0, 0.9)
    row = ClipRow("a", "ok", "", likeness, sync, sync, said="bin blue", read="bin now")
    found = {
        "check --json": avsync.to_json([checked]),
        "check --jsonl": json.loads((tmp_path / "lines.jsonl").read_text()),
        f"separate {RECORD}": json.loads((tmp_path / RECORD).read_text()),
        "talk": talk_json(talked),
        "evaluate talking, of its clips": talking_figures([row]),
    }
    pinned("json_results", {name: paths(document) for name, document in found.items()})


def test_json_keys_of_commands_match_the_snapshot(pinned, run, store, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    lines = tmp_path / "lines.jsonl"
    path = tmp_path / "figures.json"
    found = {}
    assert run("check", tmp_path / "text.mp4", "--detector", "haar", "--jsonl", lines)[0] == 12
    found["check --jsonl, a batch"] = json.loads(lines.read_text())

    assert run("evaluate", "sync", "--data", store.path, "--json", path)[0] == 0
    found["evaluate sync"] = json.loads(path.read_text())

    reader = write_reader(tmp_path / "reader.safetensors", "blue")
    words = write_transcripts(tmp_path / "words")
    asked = ["--data", store.path, "--transcripts", words, "--weights", reader, "--json", path]
    assert run("evaluate", "lipread", *asked)[0] == 0
    found["evaluate lipread"] = json.loads(path.read_text())

    for folder in ("references", "estimates"):
        for number, name in enumerate(("voice_0", "voice_1", "rest")):
            noise = np.random.default_rng(number).normal(0, 0.1, 4000)
            write_wav_file(tmp_path / folder / f"{name}.wav", noise)
    asked = SeparationEvaluation(tmp_path / "references", tmp_path / "estimates", json=path)
    evaluate_separation(asked)
    found["evaluate separation"] = json.loads(path.read_text())
    pinned("json_commands", {name: paths(document) for name, document in found.items()})


def paths(document, where=""):
    """List the keys of a JSON document as paths such as `files[].tracks[].box`, in order."""
    listed = {}
    if isinstance(document, dict):
        for key, value in document.items():
            inside = f"{where}.{key}".lstrip(".")
            listed |= dict.fromkeys([inside, *paths(value, inside)])
    elif isinstance(document, list | tuple):
        for value in document:
            listed |= dict.fromkeys(paths(value, f"{where}[]"))
    return list(listed)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: {COMMAND}")
    os.environ[REWRITE] = "1"
    sys.exit(pytest.main([__file__, "-q"]))
