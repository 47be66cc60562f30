import csv
import json

import pytest

from avsync.cli import main
from avsync.pipelines.evaluate.score_table import score_csv, score_latex, score_text
from avsync.pipelines.evaluate.talking_scores import (
    ClipScores,
    ScoreTable,
    mean_misalignment_ms,
    score,
)
from avsync.scoring.result import OffsetSegment
from avsync.synthetic import render_clip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two clips with audio that lags by 120 ms, the same as they should be, and no media file."""
    folder = tmp_path_factory.mktemp("score")
    for name, shift_ms in (("made", 120.0), ("true", 0.0)):
        (folder / name).mkdir()
        for seed in (0, 1):
            render_clip(
                folder / name / f"c{seed}.mp4",
                seed=seed,
                duration_s=4.0,
                size=(320, 240),
                audio_shift_ms=shift_ms,
            )
    (folder / "made" / "bad.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def table(folders):
    return score(folders / "made", folders / "true")


def test_clips_and_references_are_scored_beside_each_other(table):
    assert [(row.clip, row.true) for row in table.rows] == [
        ("bad", False),
        ("c0", False),
        ("c1", False),
        ("c0", True),
        ("c1", True),
    ]
    made, true = table.means(), table.means(true=True)
    assert made["offset_ms"].mean == pytest.approx(-120, abs=20)
    assert true["offset_ms"].mean == pytest.approx(0, abs=20)
    assert made["misalignment_ms"].mean == pytest.approx(120, abs=20)
    assert (made["out_share"].mean, true["out_share"].mean) == (1.0, 0.0)
    # By a model that measures no offset here: the true audio is nearer to the lips.
    assert true["pri"].mean < made["pri"].mean - 0.05
    assert true["lse_c"].mean > 0 and made["ssim"].mean > 0.9 and "ssim" not in true
    low, high = made["offset_ms"].low, made["offset_ms"].high
    assert low <= made["offset_ms"].mean <= high and made["offset_ms"].clips == 2


def test_a_video_that_cannot_be_read_is_a_row_with_the_reason(table):
    bad = table.rows[0]
    assert bad.status == "unreadable" and bad.offset_ms is None and bad.lse_d is None
    assert "not a media file" in bad.detail and "no true video" in bad.detail
    assert "bad: not a media file" in score_text(table)
    assert "3 clips, 2 with an offset" in score_text(table)


def test_the_command_writes_what_it_prints(folders, tmp_path, capsys):
    outputs = {kind: tmp_path / f"scores.{kind}" for kind in ("csv", "json", "latex")}
    flags = [part for kind, path in outputs.items() for part in (f"--{kind}", str(path))]
    assert main(["score", str(folders / "made" / "c0.mp4"), *flags]) == 0
    printed = capsys.readouterr().out
    assert "1 clips, 1 with an offset" in printed and "by dense_sync" in printed
    (row,) = csv.DictReader(outputs["csv"].open())
    document = json.loads(outputs["json"].read_text())
    assert float(row["offset_ms"]) == document["clips"][0]["offset_ms"]
    assert document["scores"] == {"model": "face_sync", "sync": "dense_sync", "profile": "ebu"}
    assert document["means"]["references"] == {}
    assert outputs["latex"].read_text().startswith("% Scores of avsync")
    # Again: earlier outputs are replaced, other files are not.
    outputs["csv"].write_text("my,own,table\n")
    assert main(["score", str(folders / "made" / "c0.mp4"), "--csv", str(outputs["csv"])]) == 1
    assert outputs["csv"].read_text() == "my,own,table\n"


def test_an_unreadable_video_is_the_exit_code(folders, capsys):
    assert main(["score", str(folders / "made" / "bad.mp4")]) == 12
    assert "bad: not a media file" in capsys.readouterr().out


def test_misalignment_is_the_mean_of_the_absolute_offset_over_time():
    constant = OffsetSegment(0.0, 2.0, -30.0, 0.0)
    assert mean_misalignment_ms([constant]) == 30.0
    # From -60 to +60 ms in 4 s: 30 on average, though their own mean is 0.
    through_zero = OffsetSegment(2.0, 6.0, -60.0, 30_000.0)
    assert mean_misalignment_ms([through_zero]) == pytest.approx(30.0)
    # From -20 to +60: (20 * 1 / 2 + 60 * 3 / 2) / 4.
    uneven = OffsetSegment(0.0, 4.0, -20.0, 20_000.0)
    assert mean_misalignment_ms([uneven]) == pytest.approx(25.0)
    assert mean_misalignment_ms([OffsetSegment(0.0, 2.0, 10.0, 0.0), uneven]) == pytest.approx(20.0)
    assert mean_misalignment_ms([]) == 0.0


def test_means_leave_out_what_is_not_known_and_tables_escape_names():
    rows = (
        ClipScores("=cmd", False, "ok", "", offset_ms=10.0, lse_d=4.0),
        ClipScores("b", False, "cannot_tell", "no face\nat all", lse_d=8.0),
    )
    table = ScoreTable(rows, "face_sync", "syncnet", "ebu")
    assert table.means()["offset_ms"][0::3] == (10.0, 1)
    assert table.means()["lse_d"].mean == 6.0
    assert "'=cmd" in score_csv(table)
    text = score_text(table)
    assert r"b: no face\nat all" in text and "not comparable" not in text
    latex = score_latex(table)
    assert r"face\_sync" in latex and r"LSE-D $\downarrow$" in latex
    assert latex.count(r"\\") == 3 and "references" not in latex
