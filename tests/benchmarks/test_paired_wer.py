"""The difference of two word error rates that are known on paper."""

import json

import pytest

from benchmarks.talking import paired_wer


def write(path, *reads):
    rows = [{"clip": str(k), "said": "bin blue now", "read": read} for k, read in enumerate(reads)]
    path.write_text(json.dumps({"per_clip": rows}), "utf-8")
    return str(path)


def run(monkeypatch, results, without, with_):
    arguments = ["paired_wer.py", "--without", *without, "--with", *with_, "--name", "found"]
    monkeypatch.setattr("sys.argv", arguments)
    paired_wer.main()
    return json.loads((results / "talking" / "found.json").read_text("utf-8"))


def test_the_difference_is_over_all_words_of_all_seeds(monkeypatch, results, tmp_path):
    without = [
        write(tmp_path / "a0", "bin red now", "lay red"),
        write(tmp_path / "a1", "", ""),
    ]
    with_ = [
        write(tmp_path / "b0", "bin blue now", "lay red"),
        write(tmp_path / "b1", "bin", "bin blue now"),
    ]
    record = run(monkeypatch, results, without, with_)
    assert (record["clips"], record["seeds"], record["words"]) == (2, 2, 12)
    # Wrong of three words: 1, 3, 3, 3 without, 0, 3, 2, 0 with.
    assert record["without"] == pytest.approx(10 / 12, abs=1e-4)
    assert record["with"] == pytest.approx(5 / 12, abs=1e-4)
    assert record["difference"] == pytest.approx(-5 / 12, abs=1e-4)
    assert record["by_seed"] == [[0.6667, 0.5], [1.0, 0.3333]]
    # The first clip alone gains 2 of 6 words, the second 3 of 6; a draw may have one of them twice.
    assert record["interval"] == [-0.5, -0.3333]


def test_different_clips_are_refused(monkeypatch, results, tmp_path):
    one, two = (
        write(tmp_path / "one", "bin"),
        write(tmp_path / "two", "bin", "blue"),
    )
    with pytest.raises(SystemExit, match="must be of the same clips"):
        run(monkeypatch, results, [one], [two])
    with pytest.raises(SystemExit):
        run(monkeypatch, results, [one], [one, one])
