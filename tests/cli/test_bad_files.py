"""Any file of a wrong type or content is one sentence that names it, for every command."""

import json
import re
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from avsync.data.cache.audio import AudioCache
from avsync.data.corpora.transcripts import read_transcript
from avsync.data.sampling.mixture_manifest import read_manifest
from avsync.data.sampling.separation_targets import FaceSource, SeparationTargets
from avsync.data.store.npy_items import map_items, read_header
from avsync.pipelines.evaluate.sync import read_words
from avsync.tasks.registry import create_model
from avsync.training.engine.checkpoint import RunState
from avsync.weights import save

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 4
DEEP = "[" * 100_000
# What stands where a file of another kind is expected; None is a folder.
CONTENTS = {
    "folder": None,
    "image": JPEG,
    "empty": b"",
    "list": b"[1, 2]\n",
    "text": b'"a"\n',
    "numbers as text": b'{"dim": "8", "train": "a", "id": 3}\n',
    "not a number": b'{"dim": NaN, "train": NaN, "id": NaN}\n',
    "huge number": b'{"dim": 1' + b"0" * 5000 + b"}\n",
    "large number": b'{"dim": 99999999999999999999, "train": 1e999}\n',
    "deep": b'{"dim": ' + DEEP.encode() + b"\n",
    "not UTF-8": b'{"dim": "\xff\xfe"}\n',
}
# Of what takes a command of its own, these are enough to notice a missing check.
FIRST = ("folder", "image", "deep")
EACH_CONTENT = pytest.mark.parametrize(
    "content",
    [name if name in FIRST else pytest.param(name, marks=pytest.mark.slow) for name in CONTENTS],
)


def put(path: Path, content: bytes | None) -> Path:
    if path.exists():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)
    return path


def is_one_sentence(outcome, path: Path) -> None:
    code, _, err = outcome
    assert code in (1, 2), err
    last = err.splitlines()[-1]
    assert last.startswith("avsync: ") and "Traceback" not in err
    assert path.name in last, last
    assert len(last) < 1000, last


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights" / "mine.safetensors"
    path.parent.mkdir()
    config = {"dim": 8, "mouth_channels": [4, 4, 4, 4], "mel_channels": [4, 4, 4, 4, 4]}
    save(path, create_model("dense_sync", config=config).state_dict(), config)
    return path


@EACH_CONTENT
@pytest.mark.parametrize(
    "line",
    [
        "check {clip} --weights {bad} --detector haar",
        "fix {clip} -o {out} --weights {bad} --detector haar",
        "features {store} -o {out} --weights {bad}",
        "audit {store} --weights {bad}",
        "evaluate sync --data {store} --weights {bad}",
        "evaluate lipread --data {store} --transcripts {texts} --weights {bad}",
        "separate {clip} -o {out} --weights {bad} --detector haar",
        "talk --face {clip} --audio {clip} -o {out}.mp4 --weights {bad} --detector haar",
        "convert syncnet {bad} -o {out}.safetensors",
        "train fine-tune --data {store} -o {out} --weights {bad} --device cpu",
    ],
)
def test_weights(run, store, make_clip, tmp_path, line, content):
    bad = put(tmp_path / "bad.safetensors", CONTENTS[content])
    values = {"bad": bad, "store": store.path, "out": tmp_path / "out", "texts": texts(tmp_path)}
    values["clip"] = make_clip("clip.mp4", duration_s=1.0)
    is_one_sentence(run(*line.format(**values).split()), bad)


def texts(tmp_path):
    folder = tmp_path / "texts"
    for name in ("one", "two", "three", "a", "b", "c", "0", "1", "2"):
        put(folder / f"{name}.txt", b"a word\n")
    return folder


@pytest.mark.parametrize("content", CONTENTS)
def test_the_config_beside_weights(run, make_clip, weights, content):
    clip = make_clip("clip.mp4", duration_s=1.0)
    config = put(weights.with_suffix(".json"), CONTENTS[content])
    is_one_sentence(run("check", clip, "--weights", weights, "--detector", "haar"), config)


@EACH_CONTENT
@pytest.mark.parametrize(
    "line",
    [
        "audit {store} --splits {bad}",
        "evaluate sync --data {store} --splits {bad}",
        "evaluate lipread --data {store} --transcripts {out} --weights {out} --splits {bad}",
        "evaluate talking --data {store} --weights {out} --splits {bad}",
        "train dense-sync --data {store} -o {out} --splits {bad} --device cpu",
        "train dense-sync --data {store} -o {out} --clean {bad} --device cpu",
        "check {clip} --jsonl {bad} --resume --detector haar",
    ],
)
def test_lists_and_tables(run, store, make_clip, tmp_path, line, content):
    bad = put(tmp_path / "bad.json", CONTENTS[content])
    values = {"bad": bad, "store": store.path, "out": tmp_path / "out"}
    values["clip"] = make_clip("clip.mp4", duration_s=1.0)
    outcome = run(*line.format(**values).split())
    if "--jsonl" in line and content == "empty":
        assert outcome[0] == 11
    else:
        is_one_sentence(outcome, bad)


@EACH_CONTENT
@pytest.mark.parametrize(
    "line",
    [
        "audit {store}",
        "features {store} -o {out}",
        "evaluate sync --data {store}",
        "train dense-sync --data {store} -o {out} --device cpu",
        "landmarks {store} --videos {out} -o {out}",
    ],
)
@pytest.mark.parametrize("name", ["clips.jsonl", "array"])
def test_files_of_a_store(run, store, tmp_path, line, name, content):
    mine = shutil.copytree(store.path, tmp_path / "store")
    array = next(mine.rglob("face.npy"))
    path = put(array if name == "array" else mine / name, CONTENTS[content])
    outcome = run(*line.format(store=mine, out=tmp_path / "out").split())
    if name == "clips.jsonl" and content == "empty" and "features" in line:
        assert outcome[0] == 0  # A store may hold no clip.
    elif name == "clips.jsonl" and content == "empty":
        assert outcome[0] == 2 and "holds no clips" in outcome[2]
    elif name == "clips.jsonl" and content == "folder" and "features" in line:
        assert outcome[0] == 2 and "there is no video in the folder" in outcome[2]
    else:
        is_one_sentence(outcome, path)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", ["features.json", "index.jsonl"])
def test_files_of_features(run, store, tmp_path, name, content):
    out = tmp_path / "out"
    line = ["features", store.path, "-o", out]
    assert run(*line)[0] == 0
    put(out / name, CONTENTS[content])
    outcome = run(*line)
    if name == "index.jsonl" and content == "empty":
        assert outcome[0] == 0
    elif name == "index.jsonl" and content in ("list", "text", "deep"):
        # The last line, as a killed run leaves it: its source is done again.
        assert outcome[0] == 0 and (out / name).read_bytes().count(b"}\n") == len(store)
    else:
        is_one_sentence(outcome, out / name)


def test_a_manifest_of_mixtures(tmp_path):
    spec = create_model("unet").spec
    for content in CONTENTS.values():
        bad = put(tmp_path / "bad.jsonl", content)
        with pytest.raises(ValueError, match=r"bad\.jsonl "):
            read_manifest(bad, spec)


@pytest.mark.parametrize("content", CONTENTS)
def test_transcripts_and_alignments(tmp_path, content):
    bad = put(tmp_path / "clip.align", CONTENTS[content])
    if CONTENTS[content] is not None:
        with pytest.raises(ValueError, match=r"clip\.align is no transcript"):
            read_transcript(tmp_path, "a/clip.mp4")
    try:
        assert read_words(tmp_path) == {}  # Lines of other than three words are none.
    except ValueError as error:
        assert str(bad) in str(error)


@pytest.mark.parametrize("content", CONTENTS)
def test_the_state_of_a_run(tmp_path, content):
    bad = put(tmp_path / "state.pt", CONTENTS[content])
    with pytest.raises(RuntimeError, match=r"state\.pt does not fit this run; choose another"):
        RunState(bad, {}).resume()


def test_a_state_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"step": 1, "task": Evil()}, tmp_path / "state.pt")
    with pytest.raises(RuntimeError, match=r"state\.pt does not fit this run; .*run"):
        RunState(tmp_path / "state.pt", {}).resume()
    assert not (tmp_path / "executed").exists()


def npy(shape: tuple[int, ...], dtype: str = "<f4", data: bytes = b"") -> bytes:
    """Return a .npy file whose header claims a shape."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".encode()
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "data", [npy((10**12,)), npy((2**62, 2)), npy((3,), "|O"), npy((9,), data=bytes(8)), JPEG, b""]
)
def test_an_array_that_claims_more_than_its_file_has(tmp_path, data):
    path = tmp_path / "wav.npy"
    path.write_bytes(data)
    for read in (
        read_header,
        map_items,
        lambda p: AudioCache(tmp_path / "cache", 16000).add_array(p, 8000),
    ):
        with pytest.raises(RuntimeError, match=r"wav\.npy"):
            read(str(path))


def test_landmarks_that_unpack_to_more_than_they_should(store, tmp_path):
    folder = tmp_path / "landmarks"
    folder.mkdir()
    row, spec = store.rows[0], create_model("ynet_g").spec
    shape = (row.frames, 68, 2)
    cache = AudioCache(tmp_path / "cache", spec.sample_rate)
    targets = SeparationTargets([FaceSource(store, [0])], spec, cache, folder)
    bomb = npy((10**12, 68, 2)) + bytes(10**6)
    for members in (
        {"landmarks.npy": bomb},
        {"landmarks.npy": npy(shape, "|O")},
        {"landmarks.npy": npy(shape)},
        {"landmarks.npy": b"\x93NUMPY\x03\x00" + bytes(99)},
        {"other.npy": npy(shape)},
        {},
    ):
        with zipfile.ZipFile(folder / f"{row.id}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        with pytest.raises(RuntimeError, match=re.escape(f"{row.id}.npz")):
            targets.landmarks(0, 0, 1)
    for content in CONTENTS.values():
        put(folder / f"{row.id}.npz", content)
        with pytest.raises(RuntimeError, match=re.escape(f"{row.id}.npz")):
            targets.landmarks(0, 0, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dim": 10**8}, "dim of DenseSyncConfig must be an integer from 1 to 100000"),
        ({"mouth_channels": [12_000] * 4}, "a far larger model than the weights hold"),
    ],
)
def test_a_config_of_a_far_larger_model_takes_no_memory(weights, changes, said):
    config = weights.with_suffix(".json")
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(RuntimeError, match=rf"the config .*mine\.json does not fit .*{said}"):
        create_model("dense_sync", weights=weights)


def test_weights_whose_header_claims_a_terabyte(weights):
    header = b'{"a": {"dtype": "F32", "shape": [250000000000], "data_offsets": [0, 1000000000000]}}'
    weights.write_bytes(len(header).to_bytes(8, "little") + header + bytes(100))
    with pytest.raises(RuntimeError, match=r"mine\.safetensors is damaged or cut short"):
        create_model("dense_sync", weights=weights)
    weights.write_bytes((10**12).to_bytes(8, "little") + header)
    with pytest.raises(RuntimeError, match=r"mine\.safetensors is damaged or cut short"):
        create_model("dense_sync", weights=weights)
