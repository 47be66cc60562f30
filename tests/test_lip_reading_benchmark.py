"""Word error rates of readers whose errors are known on paper."""

import json

import pytest
from pipelines.readers import write_reader
from training.spoken import write_transcripts


@pytest.fixture
def script(benchmark_script):
    return benchmark_script("lip_reading")


def test_readers_are_set_beside_one_that_knows_nothing(script, store, monkeypatch, tmp_path):
    silent = write_reader(tmp_path / "silent" / "reader.safetensors")
    wordy = write_reader(tmp_path / "wordy" / "reader.safetensors", "blue")
    (silent.parent / "log.csv").write_text("step,seconds,loss\n25,9,3.1\n50,17,2.8\n", "utf-8")
    words = ["lip_reading.py", "--data", store.path, "--video", silent, "--audio", wordy]
    words += ["--transcripts", write_transcripts(tmp_path / "words")]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    script.main()
    record = json.loads((tmp_path / "results" / "lip_reading.json").read_text("utf-8"))
    video, audio = record["readers"]["video"], record["readers"]["audio"]
    assert (video["wer"], video["deletions"], video["words"]) == (1.0, 6, 6)
    assert (video["steps"], video["train_seconds"]) == (50, 17) and "steps" not in audio
    assert audio["wer"] == (4 + 3 * 38) / 6
    # "bin blue" is right in one of "bin blue", "blue now" and "now please", two words off in two.
    assert video["knowing_nothing"] == audio["knowing_nothing"] == pytest.approx(4 / 6, abs=1e-4)


def test_what_is_said_most_often_at_each_place(script):
    assert script.usual(["lay red now", "set red now", "lay blue"]) == "lay red now"
    assert script.usual(["lay red", "set red soon", "set red", "set"]) == "set red"
