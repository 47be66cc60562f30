"""The commands and the code of docs/how_to/clean_clips.md, run in its order on three clips."""

import json
import re
import shlex
from pathlib import Path

import pytest

from avsync.cli import main
from avsync.synthetic import render_clip

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "clean_clips.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_commands_and_the_code_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    for name, shift_ms in (("late", 200.0), ("good", 0.0), ("early", -240.0)):
        render_clip(
            f"clips/{name}.mp4", seed=3, duration_s=5.0, size=(320, 240), audio_shift_ms=shift_ms
        )
    Path("clips/broken.mp4").write_text("this is no video")
    names: dict[str, list[object]] = {}
    for kind, text in BLOCK.findall(PAGE.read_text("utf-8")):
        if kind == "python":
            exec(text, names)
            continue
        for line in text.splitlines():
            program, *arguments = shlex.split(line.removeprefix("$ "))
            assert program == "avsync"
            assert main(arguments) in (0, 10, 11, 12), line
    assert names["keep"] == ["clips/good.mp4"]
    assert {file for file, _ in names["shift"]} == {"clips/early.mp4", "clips/late.mp4"}
    for file, offset_ms in names["shift"]:
        assert offset_ms == pytest.approx(-200 if "late" in file else 240, abs=25)
    assert names["drop"] == ["clips/broken.mp4"]
    parts = [Path(f"part-{number}.jsonl").read_text().splitlines() for number in (1, 2)]
    assert sorted(json.loads(line)["file"] for part in parts for line in part) == [
        f"clips/{name}.mp4" for name in ("broken", "early", "good", "late")
    ]
    assert Path("fixed.mp4").is_file()
    _, *rows = Path("clean.csv").read_text().splitlines()
    assert sorted(name for row in rows for name in ("early", "good", "late") if name in row) == [
        "early",
        "good",
        "late",
    ]
