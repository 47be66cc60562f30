import json
import math
import re

import numpy as np
import pytest
import torch

from avsync.cli import main
from avsync.media.writers.wav_writer import WavWriter
from avsync.metrics.separation import score_sources
from avsync.pipelines.evaluate.separation import (
    SeparationEvaluation,
    evaluate_separation,
    evaluation_json,
    separation_table,
)

RATE, N = 8000, 4000


def noise(seed):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(N, generator=generator)


def write(path, audio, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    with WavWriter(path, rate, "mono") as writer:
        writer.write(np.asarray(audio, np.float32)[None])


@pytest.fixture
def folders(tmp_path):
    """Two voices and the rest, and an estimate of each."""
    voices, rest = [noise(0), noise(1)], noise(2)
    for index, voice in enumerate(voices):
        write(tmp_path / "true" / f"voice_{index}.wav", voice)
        write(tmp_path / "found" / f"voice_{index}.wav", voice + 0.1 * voices[1 - index])
    write(tmp_path / "true" / "rest.wav", rest)
    write(tmp_path / "found" / "rest.wav", rest + 0.3 * voices[0])
    return SeparationEvaluation(tmp_path / "true", tmp_path / "found")


def test_each_source_gets_the_figures_of_the_metrics(folders):
    rows = {row.source: row for row in evaluate_separation(folders)}
    assert set(rows) == {"voice_0", "voice_1", "rest"}
    first, second, rest = noise(0), noise(1), noise(2)
    expected = score_sources((first + 0.1 * second)[None], first[None], rest[None], second[None])
    for name, value in expected._asdict().items():
        assert rows["voice_0"].figures[name] == pytest.approx(float(value), abs=1e-3), name
    # To the rest, voices are but interference.
    expected = score_sources(
        (rest + 0.3 * first)[None], rest[None], torch.stack([first, second])[None]
    )
    assert rows["rest"].figures["sir"] == pytest.approx(float(expected.sir), abs=1e-3)
    assert rows["rest"].figures["sir"] == rows["rest"].figures["sir_with_second"]


def test_the_voices_can_be_chosen_by_name(folders):
    other = SeparationEvaluation(folders.references, folders.estimates, voices=("rest",))
    usual, renamed = (evaluate_separation(evaluation)[1].figures for evaluation in (folders, other))
    assert usual["sir"] > usual["sir_with_second"] + 1
    assert renamed["sir"] == renamed["sir_with_second"] == pytest.approx(usual["sir_with_second"])


def test_gains_are_over_a_mixture_that_is_given(folders):
    without = evaluate_separation(folders)[0].figures
    write(folders.references / "mixture.wav", noise(0) + 3 * noise(1))
    rows = evaluate_separation(folders)
    assert [row.source for row in rows] == ["rest", "voice_0", "voice_1"]
    assert rows[0].figures["sdr"] == pytest.approx(without["sdr"])
    assert rows[0].figures["sdr_gain"] != pytest.approx(without["sdr_gain"], abs=0.5)


def test_folders_of_mixtures_are_scored_separately(tmp_path):
    for seed, name in enumerate(["a", "b"]):
        write(tmp_path / "true" / name / "target.wav", noise(seed))
        write(tmp_path / "true" / name / "music.wav", noise(5))
        write(tmp_path / "found" / name / "target.flac.wav", noise(seed))
        write(tmp_path / "found" / name / "target.wav", noise(seed) + 0.1 * noise(5))
    rows = evaluate_separation(SeparationEvaluation(tmp_path / "true", tmp_path / "found"))
    assert [(row.mixture, row.source) for row in rows] == [("a", "target"), ("b", "target")]
    assert all(row.figures["si_sdr"] == pytest.approx(20, abs=1) for row in rows)


@pytest.mark.parametrize(
    ("spoil", "status", "detail"),
    [
        (lambda path: write(path, torch.zeros(N)), "silent", "the estimate is silent"),
        (lambda path: write(path, noise(0)[:-1]), "unreadable", "estimate is 3999 samples at 8000"),
        (lambda path: write(path, noise(0), 16000), "unreadable", "4000 samples at 16000 Hz"),
        (lambda path: path.write_bytes(b"RIFF"), "unreadable", ""),
        (lambda path: path.write_bytes(b""), "unreadable", "the file is empty"),
    ],
    ids=["silent", "short", "other rate", "broken", "empty"],
)
def test_what_cannot_be_scored_is_reported_and_the_rest_goes_on(folders, spoil, status, detail):
    spoil(folders.estimates / "voice_0.wav")
    rows = {row.source: row for row in evaluate_separation(folders)}
    assert rows["voice_0"].status == status
    assert detail in rows["voice_0"].detail
    assert rows["voice_1"].status == "ok"
    assert f"{status}: " in separation_table(folders, list(rows.values()))
    document = evaluation_json(folders, list(rows.values()))
    assert document[status] == 1
    assert document["mean"]["voices"]["sdr"] == rows["voice_1"].figures["sdr"]


def test_the_command_prints_a_table_and_writes_json(folders, tmp_path, capsys):
    path = tmp_path / "figures.json"
    folder = ["--references", str(folders.references), "--estimates", str(folders.estimates)]
    assert main(["evaluate", "separation", *folder, "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("BSS Eval v3, 512 taps, whole audio; dB\n")
    assert "SIR+2nd" in out and "mean of voices" in out
    document = json.loads(path.read_text())
    assert document["bss_eval"] == {
        **{"version": "v3", "window_s": None, "hop_s": None, "filter_taps": 512}
    }
    assert document["silent"] == document["unreadable"] == 0
    values = [row["figures"]["sdr"] for row in document["sources"]]
    assert len(values) == 3 and all(map(math.isfinite, values))


def test_an_unreadable_file_is_exit_code_12(folders, capsys):
    (folders.estimates / "rest.wav").write_bytes(b"RIFF")
    folder = ["--references", str(folders.references), "--estimates", str(folders.estimates)]
    assert main(["evaluate", "separation", *folder]) == 12
    assert re.search(r"^rest +unreadable: ", capsys.readouterr().out, re.MULTILINE)


def test_version_4_names_its_windows(folders):
    four = SeparationEvaluation(folders.references, folders.estimates, bss="v4", window_s=0.25)
    rows = evaluate_separation(four)
    assert evaluation_json(four, rows)["bss_eval"]["window_s"] == 0.25
    assert separation_table(four, rows).startswith("BSS Eval v4, 512 taps, windows of 0.25 s; dB")
    assert rows[0].figures["sdr"] == pytest.approx(10.5, abs=1)


def test_wrong_input_is_named(tmp_path, folders):
    with pytest.raises(ValueError, match="estimates must be a folder, got"):
        SeparationEvaluation(tmp_path, tmp_path / "none")
    with pytest.raises(ValueError, match="bss must be v3 or v4, got 'v2'"):
        SeparationEvaluation(tmp_path, tmp_path, bss="v2")
    with pytest.raises(ValueError, match="window_s must be positive, got 0"):
        SeparationEvaluation(tmp_path, tmp_path, window_s=0)
    with pytest.raises(ValueError, match="must hold audio files of the same names"):
        evaluate_separation(SeparationEvaluation(folders.references, tmp_path))
    write(folders.estimates / "voice_0.flac", noise(0))
    with pytest.raises(ValueError, match="one file a source, has two of voice_0"):
        evaluate_separation(folders)
