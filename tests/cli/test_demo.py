import pytest

from avsync.cli.demo import LEAD_MS, _check_folder, demo
from avsync.tasks.registry import model_card
from avsync.timing import FRAME_MS


@pytest.mark.skipif(model_card("dense_sync").sha256 is None, reason="no weights are released yet")
def test_the_demo_finds_and_repairs_the_shift_and_says_so(tmp_path, monkeypatch):
    # Half the length, which is as sure and takes half the time.
    monkeypatch.setattr("avsync.cli.demo.CLIP_S", 4.0)
    lines = []
    done = demo(tmp_path / "out", say=lines.append)
    assert done.found
    assert done.before.offset_ms == pytest.approx(LEAD_MS, abs=FRAME_MS)
    assert done.after.offset_ms == pytest.approx(0, abs=FRAME_MS)
    assert lines[-1] == "The shift was found and repaired."
    assert any(f"audio leads by {LEAD_MS:.0f} ms" in line for line in lines)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"clip.mp4", "shifted.mp4", "fixed.mp4", "report.html", "demo.json"}
    _check_folder([tmp_path / "out" / "clip.mp4"], tmp_path / "out" / "report.html", False)
    (tmp_path / "out" / "clip.mp4").write_bytes(b"my video")
    with pytest.raises(FileExistsError, match=r"clip.mp4 exists and is not of an earlier demo"):
        demo(tmp_path / "out")
    assert (tmp_path / "out" / "clip.mp4").read_bytes() == b"my video"
