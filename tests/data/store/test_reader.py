import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avsync.atomic import partial_path
from avsync.data.store.npy_items import ArrayFiles
from avsync.data.store.reader import CLIPS_TABLE, Store, StoreClips, clip_folder, samples_in
from avsync.data.store.records import ClipInfo, Rejection, SourceRecord
from avsync.data.store.writer import (
    GrowingArray,
    SourceWriter,
    finished_sources,
    forget_source,
    remove_unfinished,
    write_tables,
)

FRAMES, RATE = 30, 44100


def arrays(seed: int, frames: int = FRAMES) -> dict[str, np.ndarray]:
    g = np.random.default_rng(seed)
    return {
        "face": g.integers(0, 256, (frames, 96, 96, 3), np.uint8),
        "mouth": g.integers(0, 256, (frames, 96, 96, 3), np.uint8),
        "boxes": g.normal(size=(frames, 4)).astype(np.float32),
        "points": g.normal(size=(frames, 5, 2)).astype(np.float32),
        "wav_16k": g.normal(size=frames * 640).astype(np.float32),
        "wav": g.normal(size=frames * RATE // 25).astype(np.float32),
    }


def row(key: str, **changes: object) -> dict:
    clip = {"id": f"{key}.0", "source": f"videos/{key}.mp4", "speaker": "videos", "track": 0}
    clip |= {"start_s": 1.2, "duration_s": FRAMES / 25, "frames": FRAMES, "fps": 25}
    return clip | {"face_px": 80.5, "score": 0.9, "sample_rate": RATE} | changes


def write_source(store: Path, key: str, seed: int = 0, **changes: object) -> None:
    record = SourceRecord(f"videos/{key}.mp4", (ClipInfo.from_json(row(key, **changes)),))
    with SourceWriter(store, key) as writer:
        for name, values in arrays(seed).items():
            array = writer.array(0, name)
            array.append(values[:7])
            array.append(values[7:])
            array.close()
        writer.finish(record)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of two clips."""
    write_source(tmp_path, "b", seed=2)
    write_source(tmp_path, "a", seed=1)
    write_tables(tmp_path, finished_sources(tmp_path))
    return tmp_path


def damage(folder: Path, name: str, array: np.ndarray) -> None:
    np.save(clip_folder(folder, "a.0") / f"{name}.npy", array)


def test_what_was_written_is_read_back(folder):
    store = Store(folder)
    assert [clip.id for clip in store] == ["a.0", "b.0"] and len(store) == 2
    clip = store["a.0"]
    for name, values in arrays(1).items():
        np.testing.assert_array_equal(getattr(clip, name), values)
    assert (clip.source, clip.speaker, clip.sample_rate) == ("videos/a.mp4", "videos", RATE)
    assert clip.duration_s == FRAMES / 25
    np.testing.assert_allclose(clip.times_s[[0, 1, -1]], [1.2, 1.24, 1.2 + 29 / 25])


def test_arrays_stay_on_disk_and_cannot_be_written(folder):
    clip = Store(folder)[1]
    assert isinstance(clip.face, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        clip.face[0] = 0


def test_nothing_is_stored_before_a_source_is_finished(folder):
    with pytest.raises(KeyboardInterrupt), SourceWriter(folder, "c") as writer:
        writer.array(0, "boxes").append(np.zeros((3, 4), np.float32))
        raise KeyboardInterrupt
    assert sorted(finished_sources(folder)) == ["a", "b"]
    assert sorted(p.name for p in (folder / "clips").iterdir()) == ["a", "b"]


def test_files_of_a_killed_writer_are_ignored_and_removed(folder):
    code = "import os; print(os.getpid())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    mine = partial_path(folder / "clips" / "c")
    left = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{dead.strip()}-"))
    (left / "0").mkdir(parents=True)
    (left / "0" / "old.npy").touch()
    mine.mkdir()
    (left / "source.json").write_text('{"source": "c", "clips": [], "rejected": []}')
    assert sorted(finished_sources(folder)) == ["a", "b"]
    remove_unfinished(folder)
    assert not left.exists()
    assert mine.exists()
    write_source(folder, "c")
    assert not (folder / "clips" / "c" / "0" / "old.npy").exists()


def test_a_damaged_record_is_left_out(folder):
    (folder / "clips" / "a" / "source.json").write_text('{"source": "a", "clips": 3')
    assert list(finished_sources(folder)) == ["b"]


@pytest.mark.parametrize(
    "record",
    [
        [],
        {"source": "x", "clips": [], "rejected": [{"why": "?"}]},
        {"source": "x", "clips": [{"id": "x.0"}], "rejected": []},
        {"source": 3, "clips": [], "rejected": []},
    ],
)
def test_a_record_of_other_keys_or_types_is_left_out(folder, record):
    (folder / "clips" / "a" / "source.json").write_text(json.dumps(record))
    assert list(finished_sources(folder)) == ["b"]


def test_a_record_is_stored_with_all_its_keys(folder):
    document = json.loads((folder / "clips" / "a" / "source.json").read_text())
    assert list(document) == ["source", "clips", "rejected"]
    (clip,) = document["clips"]
    assert clip == row("a")
    assert list(clip) == [
        "id", "source", "speaker", "track", "start_s", "duration_s", "frames", "fps", "face_px",
        "score", "sample_rate",
    ]  # fmt: skip
    (line, _) = (folder / CLIPS_TABLE).read_text().splitlines()
    assert json.loads(line) == clip
    rejected = Rejection("a.mp4", "too_short", "short", 2, 0.4, 0.2)
    assert list(rejected.to_json()) == [
        "source", "reason", "detail", "track", "start_s", "duration_s",
    ]  # fmt: skip


def test_a_forgotten_source_is_gone(folder):
    forget_source(folder, "a")
    assert list(finished_sources(folder)) == ["b"]


def test_rejections_are_a_table_with_reasons(tmp_path):
    rejected = Rejection('odd,"name".mp4', "no_face", "none\nfound")
    write_tables(tmp_path, {"k": SourceRecord("x", rejected=(rejected,))})
    text = (tmp_path / "rejected.csv").read_text()
    assert text.startswith("source,track,start_s,duration_s,reason,detail\n")
    assert '"odd,""name"".mp4",,,,no_face,none\\nfound\n' in text
    assert len(Store(tmp_path)) == 0


def test_a_growing_array_is_what_numpy_saves(tmp_path):
    values = np.random.default_rng(0).normal(size=(1234, 5, 2)).astype(np.float32)
    array = GrowingArray(tmp_path / "x.npy", (5, 2), np.float32)
    for start in range(0, 1234, 100):
        array.append(values[start : start + 100])
    array.close()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), values)


def test_a_growing_array_can_be_cut(tmp_path):
    array = GrowingArray(tmp_path / "x.npy", (3,), np.uint8)
    array.append(np.arange(30, dtype=np.uint8).reshape(10, 3))
    array.cut(4)
    array.close()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy").ravel(), np.arange(12))


def test_a_growing_array_refuses_other_shapes(tmp_path):
    array = GrowingArray(tmp_path / "x.npy", (3,), np.uint8)
    with pytest.raises(ValueError, match=r"items must be \(n, \*\(3,\)\), got \(4, 2\)"):
        array.append(np.zeros((4, 2)))
    array.close()


def test_a_folder_that_is_no_store_is_named(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"is no store of prepared clips: it has no clips\.jsonl"
    ):
        Store(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[1]",
        '{"id": "a.0"}',
        json.dumps(row("a", id="../../a.0")),
        json.dumps(row("a", id="a/b.0")),
        json.dumps(row("a", id="a.x")),
        json.dumps(row("a", frames=0)),
        json.dumps(row("a", frames="30")),
    ],
)
def test_a_damaged_or_evil_line_of_the_table_is_refused(folder, line):
    good = (folder / CLIPS_TABLE).read_text()
    (folder / CLIPS_TABLE).write_text(good + line + "\n")
    with pytest.raises(RuntimeError, match=r"clips\.jsonl is damaged in line 3"):
        Store(folder)


def test_pickled_arrays_are_never_unpickled(folder):
    boxes = clip_folder(folder, "a.0") / "boxes.npy"
    for evil in (pickle.dumps(Evil(folder / "ran")), object_array(Evil(folder / "ran"))):
        boxes.write_bytes(evil)
        with pytest.raises(RuntimeError, match=r"boxes\.npy is missing or damaged"):
            Store(folder)["a.0"]
    assert not (folder / "ran").exists()


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def object_array(thing: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([thing], dtype=object), allow_pickle=True)
    return file.getvalue()


def test_arrays_of_a_wrong_shape_or_type_are_refused(folder):
    damage(folder, "face", np.zeros((FRAMES, 96, 96), np.uint8))
    with pytest.raises(RuntimeError, match=r"must be \(T, 96, 96, 3\) uint8, got \(30, 96, 96\)"):
        Store(folder)["a.0"]
    damage(folder, "face", np.zeros((FRAMES, 96, 96, 3), np.int8))
    with pytest.raises(RuntimeError, match=r"got .* int8"):
        Store(folder)["a.0"]


def test_arrays_that_do_not_belong_together_are_refused(folder):
    damage(folder, "wav_16k", np.zeros(FRAMES * 640 - 1, np.float32))
    with pytest.raises(RuntimeError, match=r"clip a\.0 is damaged: wav_16k must have 19200 items"):
        Store(folder)["a.0"]


def test_a_missing_or_truncated_array_is_named(folder):
    mouth = clip_folder(folder, "a.0") / "mouth.npy"
    mouth.write_bytes(mouth.read_bytes()[:5000])
    with pytest.raises(RuntimeError, match=r"mouth\.npy is missing or damaged"):
        Store(folder)["a.0"]
    mouth.unlink()
    with pytest.raises(RuntimeError, match=r"mouth\.npy is missing or damaged"):
        Store(folder)["a.0"]


def test_an_array_that_the_system_does_not_open_is_not_called_damaged(folder):
    mouth = clip_folder(folder, "a.0") / "mouth.npy"
    mouth.unlink()
    mouth.mkdir()
    with pytest.raises(RuntimeError, match=r"mouth\.npy cannot be opened"):
        Store(folder)["a.0"]
    with pytest.raises(RuntimeError, match=r"mouth\.npy cannot be opened"):
        ArrayFiles().items(str(mouth), 0, 1)


def test_chosen_clips_are_opened_as_often_as_they_are_iterated(folder):
    clips = StoreClips(Store(folder), [1, 0])
    assert len(clips) == 2
    assert [clip.id for clip in clips] == [clip.id for clip in clips] == ["b.0", "a.0"]


def test_a_clip_that_is_not_there_is_a_key_or_index_error(folder):
    with pytest.raises(KeyError):
        Store(folder)["c.0"]
    with pytest.raises(IndexError):
        Store(folder)[2]


def test_keys_must_be_plain_names(tmp_path):
    with pytest.raises(ValueError, match="source_key must be a plain name"):
        SourceWriter(tmp_path, "../x")


def test_samples_of_rates_that_do_not_divide_are_rounded_down():
    assert samples_in(3, 16000) == 1920
    assert samples_in(1, 22050 + 1) == 882


@pytest.mark.parametrize(("kind", "size"), [("head", 224), ("mesh", 256)])
def test_further_crops_are_read_from_stores_that_have_them(folder, kind, size):
    assert getattr(Store(folder)["a.0"], kind) is None
    damage(folder, kind, np.zeros((FRAMES, size, size, 3), np.uint8))
    assert getattr(Store(folder)["a.0"], kind).shape == (FRAMES, size, size, 3)
    damage(folder, kind, np.zeros((FRAMES - 1, size, size, 3), np.uint8))
    with pytest.raises(RuntimeError, match=rf"clip a\.0 is damaged: {kind} must have 30 items"):
        Store(folder)["a.0"]
    damage(folder, kind, np.zeros((FRAMES, size - 1, size, 3), np.uint8))
    with pytest.raises(RuntimeError, match=rf"{kind}\.npy must be \(T, {size}, {size}, 3\) uint8"):
        Store(folder)["a.0"]
