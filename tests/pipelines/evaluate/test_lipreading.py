import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from data.made_store import loud, made_store, moving
from pipelines.readers import write_reader
from training.spoken import write_transcripts

from avsync import weights
from avsync.cli import main
from avsync.data.sampling.crops import crops_for
from avsync.data.store.writer import write_tables
from avsync.metrics.word_error_rate import count_word_errors
from avsync.pipelines.evaluate.lip_reader_runner import aligned_audio, load_reader
from avsync.pipelines.evaluate.lipreading import LipreadEvaluation, evaluate_lipread, lipread_table
from avsync.tasks.registry import create_model


@pytest.fixture
def asked(store, tmp_path):
    """Three clips of two words each, "bin blue", "blue now" and "now please", and a reader that
    says "blue" in every one of their 40 frames."""
    return LipreadEvaluation(
        data=store.path,
        transcripts=write_transcripts(tmp_path / "words"),
        weights=write_reader(tmp_path / "reader.safetensors", "blue"),
    )


def test_a_reader_of_one_word_makes_the_errors_known_on_paper(asked):
    figures = evaluate_lipread(asked)
    assert (figures["clips"], figures["words"]) == (3, 6)
    # It hits "blue" twice and 40 words are read where there are two: 38 are inserted each time.
    counts = [figures[name] for name in ("substitutions", "deletions", "insertions")]
    assert counts == [1 + 1 + 2, 0, 3 * 38]
    assert figures["wer"] == (4 + 3 * 38) / 6
    confused = {(row["said"], row["read"]): row["times"] for row in figures["confused"]}
    assert confused == {("bin", "blue"): 1, ("now", "blue"): 2, ("please", "blue"): 1}
    assert figures["confused"][0]["said"] == "now"


def test_a_reader_that_says_nothing_leaves_every_word_out(asked, tmp_path):
    silent = write_reader(tmp_path / "silent.safetensors")
    figures = evaluate_lipread(replace(asked, weights=silent))
    assert (figures["wer"], figures["deletions"], figures["insertions"]) == (1.0, 6, 0)
    assert figures["interval"] == [1.0, 1.0]
    text = lipread_table(figures)
    assert text.startswith("word error rate 100.0 % (95 %: 100.0 to 100.0), from the lips alone")
    assert "6 words of 3 clips" in text and "6 left out" in text and "confused" not in text


@pytest.mark.parametrize("streams", ["video", "audio", "both"])
def test_each_clip_is_read_as_the_model_reads_it(asked, store, tmp_path, streams):
    torch.manual_seed(1)
    config = json.loads(asked.weights.with_suffix(".json").read_text())
    path = tmp_path / "random.safetensors"
    weights.save(path, create_model("lip_reader", config=config).state_dict(), config)
    asked = replace(asked, weights=path, streams=streams, beam=2, truth_ms=20.0)
    rows = {row["clip"]: row for row in evaluate_lipread(asked)["per_clip"]}
    clip = store["two.0"]
    wav = np.concatenate([np.zeros(320, np.float32), clip.wav_16k[:-320]])
    assert np.array_equal(aligned_audio(clip, 20.0), wav)
    reader = load_reader(path)
    crops = torch.from_numpy(crops_for(reader.spec, clip)).permute(3, 0, 1, 2)[None] / 255
    video, audio = (crops, torch.from_numpy(wav)[None])
    given = {"video": (video, None), "audio": (None, audio), "both": (video, audio)}[streams]
    assert rows["two.0"]["read"] == reader.read(*given, beam=2, longest=40)[0]
    found = count_word_errors(rows["two.0"]["said"], rows["two.0"]["read"])
    assert rows["two.0"]["said"] == "blue now"
    assert rows["two.0"]["substitutions"] == found.substitutions


def test_an_av_syncnet_reads_as_the_reader_inside_it(asked, tmp_path):
    aligned = write_reader(tmp_path / "av_syncnet.safetensors", "blue", model="av_syncnet")
    again = evaluate_lipread(replace(asked, weights=aligned))
    assert again["wer"] == evaluate_lipread(asked)["wer"]


def test_only_the_split_is_read_and_written_as_json(asked, store, tmp_path, capsys):
    line = f"evaluate lipread --data {store.path} --transcripts {asked.transcripts} --split val"
    line += f" --weights {asked.weights} --splits {store.path / 'splits.json'} --streams both"
    assert main([*line.split(), "--json", str(tmp_path / "figures.json")]) == 0
    assert "from lips and speech" in capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [row["clip"] for row in figures["per_clip"]] == ["three.0"]
    assert figures["per_clip"][0]["said"] == "now please"
    assert figures["weights"] == "reader.safetensors" and figures["split"] == "val"


def test_a_clip_without_a_word_is_left_out_and_named(asked):
    (asked.transcripts / "two.align").write_text("90000 95000 blue")
    figures = evaluate_lipread(asked)
    assert (figures["clips"], figures["wordless"]) == (2, ["two.0"])
    assert "left out, no whole word in them: two.0" in lipread_table(figures)
    for name in ("one", "three"):
        (asked.transcripts / f"{name}.align").write_text("90000 95000 blue")
    with pytest.raises(ValueError, match=r"no clip of store .* holds a whole word"):
        evaluate_lipread(asked)


def test_words_that_the_reader_cannot_write_are_refused_or_counted(asked):
    (asked.transcripts / "two.align").write_text("0 9000 blue\n9000 15000 zebra\n")
    with pytest.raises(ValueError, match="of the 4 words that the reader knows, got zebra as well"):
        evaluate_lipread(asked)
    figures = evaluate_lipread(replace(asked, unknown="count"))
    assert {"said": "zebra", "read": "blue", "times": 1} in figures["confused"]


def test_characters_that_the_reader_cannot_write_are_refused(asked, tmp_path):
    spells = write_reader(tmp_path / "s.safetensors", symbols=tuple(" binlue"), unit="characters")
    with pytest.raises(ValueError, match="7 characters that the reader knows, got now, please as"):
        evaluate_lipread(replace(asked, weights=spells))


def test_what_is_missing_is_named(asked, store, tmp_path):
    with pytest.raises(ValueError, match=r"transcripts must be a folder, got .*none"):
        evaluate_lipread(replace(asked, transcripts=tmp_path / "none"))
    with pytest.raises(RuntimeError, match="there is no weights file"):
        evaluate_lipread(replace(asked, weights=tmp_path / "none.safetensors"))
    with pytest.raises(ValueError, match=r"split must be one of train, val of .*, got 'tset'"):
        evaluate_lipread(replace(asked, splits=store.path / "splits.json", split="tset"))
    (asked.transcripts / "two.align").unlink()
    with pytest.raises(ValueError, match=r"two\.align or two\.txt for folder/two\.mp4"):
        evaluate_lipread(asked)


def test_a_store_without_clips_is_refused(asked, tmp_path):
    write_tables(tmp_path / "empty", {})
    with pytest.raises(ValueError, match="empty holds no clips"):
        evaluate_lipread(replace(asked, data=tmp_path / "empty"))
    made_store(tmp_path / "other", {"a/b": (moving(0), loud(0))})
    (tmp_path / "splits.json").write_text('{"test": ["c"]}')
    with pytest.raises(ValueError, match="holds no clip of split 'test'"):
        evaluate_lipread(replace(asked, data=tmp_path / "other", splits=tmp_path / "splits.json"))


def test_weights_of_another_model_are_refused(asked, tmp_path):
    path = tmp_path / "dense.safetensors"
    weights.save(path, create_model("dense_sync").state_dict(), {})
    with pytest.raises(RuntimeError, match="neither a lip reader nor an AV-SyncNet"):
        evaluate_lipread(replace(asked, weights=path))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"streams": "lips"}, "streams must be one of video, audio, both, got 'lips'"),
        ({"beam": 0}, "beam must be 1 or more, got 0"),
        ({"unknown": "skip"}, "unknown must be refuse or count, got 'skip'"),
    ],
)
def test_options_out_of_range_are_refused(asked, option, message):
    with pytest.raises(ValueError, match=message):
        replace(asked, **option)
