"""Word error rates of lip readers with known errors, and of the constant baseline."""

import json

import pytest
from pipelines.readers import write_reader
from training.spoken import write_transcripts

from benchmarks.talking import lip_reader_wer


def test_readers_are_compared_with_a_constant_transcript(results, store, monkeypatch, tmp_path):
    silent = write_reader(tmp_path / "silent" / "reader.safetensors")
    wordy = write_reader(tmp_path / "wordy" / "reader.safetensors", "blue")
    (silent.parent / "log.csv").write_text("step,seconds,loss\n25,9,3.1\n50,17,2.8\n", "utf-8")
    arguments = ["lip_reader_wer.py", "--data", store.path, "--video", silent, "--audio", wordy]
    arguments += ["--transcripts", write_transcripts(tmp_path / "words")]
    monkeypatch.setattr("sys.argv", [str(argument) for argument in arguments])
    lip_reader_wer.main()
    record = json.loads((results / "talking" / "lip_reader_wer.json").read_text("utf-8"))
    video, audio = record["readers"]["video"], record["readers"]["audio"]
    assert (video["wer"], video["deletions"], video["words"]) == (1.0, 6, 6)
    assert (video["steps"], video["train_seconds"]) == (50, 17) and "steps" not in audio
    assert audio["wer"] == (4 + 3 * 38) / 6
    # "bin blue" is right in one of "bin blue", "blue now" and "now please", two words off in two.
    assert video["knowing_nothing"] == audio["knowing_nothing"] == pytest.approx(4 / 6, abs=1e-4)


def test_the_constant_transcript_has_the_most_frequent_word_at_each_position():
    constant = lip_reader_wer.most_frequent_words
    assert constant(["lay red now", "set red now", "lay blue"]) == "lay red now"
    assert constant(["lay red", "set red soon", "set red", "set"]) == "set red"
