import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from data.made_store import loud, made_store, moving
from pipelines.grey_talker import write_talker
from pipelines.readers import write_reader
from training.spoken import write_transcripts

from avsync.cli.main import main
from avsync.data.store.writer import write_tables
from avsync.pipelines.evaluate.talking import TalkingEvaluation, evaluate_talking, talking_table
from avsync.pipelines.evaluate.talking_metrics import PICTURES
from avsync.synthetic import render_clip
from avsync.training.engine.contact_sheet import GAP_PX, TEXT_PX


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Weights of a model that draws grey, and of a reader that says "blue" 40 times."""
    folder = tmp_path_factory.mktemp("models")
    talker = write_talker(folder / "talker.safetensors", 0.5)
    return talker, write_reader(folder / "reader.safetensors", "blue")


@pytest.fixture
def asked(store, models, tmp_path):
    return TalkingEvaluation(
        data=store.path,
        weights=models[0],
        reader=models[1],
        transcripts=write_transcripts(tmp_path / "words"),
        json=tmp_path / "figures.json",
    )


def test_clips_of_a_store_are_drawn_and_judged(asked):
    figures = evaluate_talking(asked)
    assert json.loads(asked.json.read_text()) == figures
    assert figures["judges"]["sync"] == "dense_sync"
    said = {row["clip"]: row["said"] for row in figures["per_clip"]}
    # Each says what the next one says: one, three, two.
    assert said == {"one.0": "now please", "three.0": "blue now", "two.0": "bin blue"}
    assert figures["reading"]["insertions"] == 3 * 38
    assert figures["psnr"]["mean"] > 5 and 0 < figures["ssim"]["mean"] < 1
    assert 0 <= figures["pri"]["mean"] <= 1 and figures["sync_clips"] == 3
    # The grey face does not move, the true one is as bright as its own voice is loud.
    assert figures["undrawn"]["sync_clips"] == 3
    found = [(row["lse_d"], row["undrawn"]["lse_d"]) for row in figures["per_clip"]]
    assert all(drawn != true for drawn, true in found)
    text = talking_table(figures)
    assert "drawn by synctalklip (talker.safetensors), judged with another clip's voice" in text
    assert "word error rate" in text and "by dense_sync" in text


def test_the_sheet_shows_true_faces_above_drawn_ones(asked, tmp_path):
    sheet = tmp_path / "sheets" / "faces.png"
    evaluate_talking(replace(asked, sheet=sheet, clips=2))
    frame = cv2.imread(str(sheet))
    strip = TEXT_PX + 2 * 96 + GAP_PX
    assert frame.shape == (2 * strip, PICTURES * 96, 3)
    words, faces = frame[:TEXT_PX], frame[TEXT_PX : TEXT_PX + 2 * 96]
    assert words.min() < 100 < words.max()
    # What is drawn is an even grey, the true faces are not.
    assert np.ptp(faces[96:].astype(int)) <= 2 and np.ptp(faces[:96].astype(int)) > 50
    with pytest.raises(ValueError, match=r"must end in .png, .jpg, .jpeg, got faces.gif"):
        evaluate_talking(replace(asked, sheet=Path("faces.gif")))


def test_films_are_judged_beside_the_true_ones(tmp_path, capsys):
    made, true = tmp_path / "made", tmp_path / "true"
    for folder in (made, true):
        folder.mkdir()
    render_clip(true / "a.mp4", seed=1, duration_s=1.2, size=(160, 120))
    (made / "a.mp4").write_bytes((true / "a.mp4").read_bytes())
    (made / "b.mp4").write_bytes(b"no video")
    (true / "b.mp4").write_bytes((true / "a.mp4").read_bytes())
    (made / "c.mp4").write_bytes((true / "a.mp4").read_bytes())
    path = tmp_path / "figures.json"
    line = f"evaluate talking --made {made} --references {true} --detector haar --json {path}"
    assert main(line.split()) == 12
    figures = json.loads(path.read_text())
    assert [row["status"] for row in figures["per_clip"]] == ["ok", "unreadable", "unreadable"]
    assert (figures["identical"], figures["psnr"]) == (1, None)
    assert figures["ssim"]["mean"] == pytest.approx(1)
    out = capsys.readouterr().out
    assert "1 videos of made beside true" in out and "c: there is no true video" in out


def test_an_option_that_does_not_fit_is_refused(asked, tmp_path):
    made = TalkingEvaluation(made=tmp_path)
    for options, message in (
        ({"made": tmp_path}, "videos by --made, or a store by --data, not both"),
        ({"weights": None}, "--data needs --weights"),
        ({"references": tmp_path}, "the clips of a store are the true ones"),
        ({"transcripts": None}, "--reader and --transcripts go together"),
        ({"beam": 0}, "beam must be 1 or more and clips 0 or more, got 0 and 0"),
        ({"clips": -1}, "beam must be 1 or more and clips 0 or more, got 1 and -1"),
        ({"voice": "mine"}, "voice must be other or own, got 'mine'"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(asked, **options)
    with pytest.raises(ValueError, match="videos are drawn already"):
        replace(made, weights=tmp_path)
    with pytest.raises(ValueError, match="both be videos or both folders"):
        evaluate_talking(replace(made, references=tmp_path / "video.mp4"))
    with pytest.raises(ValueError, match="there is no video in the folder"):
        evaluate_talking(made)


def test_what_is_missing_is_told_before_anything_is_drawn(asked, models, tmp_path):
    write_tables(tmp_path / "empty", {})
    with pytest.raises(ValueError, match="empty holds no clips"):
        evaluate_talking(replace(asked, data=tmp_path / "empty"))
    alone = made_store(tmp_path / "alone", {"a/b": (moving(0), loud(0))})
    with pytest.raises(ValueError, match="two clips or more, got one: --voice own"):
        evaluate_talking(replace(asked, data=alone.path))
    with pytest.raises(RuntimeError, match=r"reader\.safetensors holds no weights of synctalklip"):
        evaluate_talking(replace(asked, weights=models[1]))
    with pytest.raises(RuntimeError, match="neither a lip reader nor an AV-SyncNet"):
        evaluate_talking(replace(asked, reader=models[0]))
    with pytest.raises(ValueError, match=r"model must be one of .*got 'lip_reader'"):
        evaluate_talking(replace(asked, sync="lip_reader"))
    (asked.transcripts / "two.align").write_text("0 9000 zebra\n")
    with pytest.raises(ValueError, match="the reader knows, got zebra as well"):
        evaluate_talking(asked)
    (asked.transcripts / "two.align").unlink()
    with pytest.raises(ValueError, match=r"two\.align or two\.txt"):
        evaluate_talking(asked)
