"""The difference of two word error rates that are known on paper."""

import json

import pytest


@pytest.fixture
def script(benchmark_script):
    return benchmark_script("words_apart")


def written(path, *reads):
    rows = [{"clip": str(k), "said": "bin blue now", "read": read} for k, read in enumerate(reads)]
    path.write_text(json.dumps({"per_clip": rows}), "utf-8")
    return str(path)


def run(script, monkeypatch, tmp_path, without, with_):
    words = ["words_apart.py", "--without", *without, "--with", *with_, "--name", "found"]
    monkeypatch.setattr("sys.argv", words)
    script.main()
    return json.loads((tmp_path / "results" / "found.json").read_text("utf-8"))


def test_the_difference_is_that_of_all_words_of_all_seeds(script, monkeypatch, tmp_path):
    without = [written(tmp_path / "a0", "bin red now", "lay red"), written(tmp_path / "a1", "", "")]
    with_ = [
        written(tmp_path / "b0", "bin blue now", "lay red"),
        written(tmp_path / "b1", "bin", "bin blue now"),
    ]
    record = run(script, monkeypatch, tmp_path, without, with_)
    assert (record["clips"], record["seeds"], record["words"]) == (2, 2, 12)
    # Wrong of three words: 1, 3, 3, 3 without, 0, 3, 2, 0 with.
    assert record["without"] == pytest.approx(10 / 12, abs=1e-4)
    assert record["with"] == pytest.approx(5 / 12, abs=1e-4)
    assert record["difference"] == pytest.approx(-5 / 12, abs=1e-4)
    assert record["by_seed"] == [[0.6667, 0.5], [1.0, 0.3333]]
    # The first clip alone loses 2 of 6, the second 3 of 6; a draw may be of one of them twice.
    assert record["interval"] == [-0.5, -0.3333]


def test_other_clips_are_refused(script, monkeypatch, tmp_path):
    one, two = written(tmp_path / "one", "bin"), written(tmp_path / "two", "bin", "blue")
    with pytest.raises(SystemExit, match="must be of the same clips"):
        run(script, monkeypatch, tmp_path, [one], [two])
    with pytest.raises(SystemExit):
        run(script, monkeypatch, tmp_path, [one], [one, one])
