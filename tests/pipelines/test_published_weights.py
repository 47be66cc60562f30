"""What is stated of published weights is true, and no other file is taken for them."""

import os
import re
from pathlib import Path

import pytest
import torch

from avsync.cli import main
from avsync.pipelines import CONVERTERS, check_published, published_files
from avsync.pipelines import published_weights as module
from avsync.pipelines.convert_weights import ENCODERS
from avsync.pipelines.published_weights import PublishedFile
from avsync.tasks.registry import create_model
from avsync.weights import load, sha256_of

SHARED = Path(os.environ.get("AVSYNC_SHARED", "../shared"))
MESH = SHARED / "models" / "face_landmarker.task"


def test_every_published_model_that_can_be_converted_is_listed():
    assert {one.model for one in published_files()} == {*CONVERTERS, *ENCODERS} - {"unet"}


def test_what_is_stated_has_its_source():
    for one in published_files():
        assert one.address.startswith(("https://", "http://")) and one.source
        assert (one.sha256 is None) == (one.hash_source is None)
        assert one.sha256 is None or len(one.sha256) == 64


def test_the_command_lists_all_and_says_what_is_not_published(capsys):
    assert main(["weights"]) == 0
    text = capsys.readouterr().out
    assert all(one.file in text and one.address in text for one in published_files())
    assert "  sha256    not published" in text


def test_the_command_says_where_one_file_is_and_what_comes_next(capsys):
    assert main(["weights", "syncnet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "syncnet: syncnet_v2.model"
    assert "  size      54573114 bytes" in lines
    assert lines[-1] == "next: avsync weights syncnet syncnet_v2.model -o syncnet.safetensors"


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("weights nobody", 2, "name must be one of vocalist, "),
        ("weights unet", 2, "nobody published weights of unet"),
        ("weights syncnet -o {out}", 2, "-o needs the downloaded file"),
        ("weights syncnet {out}", 1, "there is no file .* download syncnet_v2.model from http"),
        ("weights syncnet {file}", 1, "is not the published file: 3 bytes, sha256 .* 54573114"),
        ("weights whisper {file} -o {out}", 1, "expected tiny.en.pt: .* or tiny.pt: "),
    ],
)
def test_a_refusal_says_why_and_nothing_is_written(line, code, message, tmp_path, capsys):
    file, out = tmp_path / "x.pth", tmp_path / "x.safetensors"
    file.write_bytes(b"abc")
    assert main(line.format(file=file, out=out).split()) == code
    assert re.search(message, capsys.readouterr().err)
    assert not out.exists()


def test_a_file_without_a_published_hash_cannot_be_told_and_is_converted(tmp_path, capsys):
    model = create_model("lip_expert")
    names = {"visual.blocks.": "face_encoder.", "audio.blocks.": "audio_encoder."}
    state = {}
    for name, tensor in model.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state[name.replace(".conv.", ".conv_block.0.").replace(".norm.", ".conv_block.1.")] = tensor
    file, out = tmp_path / "lipsync_expert.pth", tmp_path / "lip_expert.safetensors"
    torch.save({"state_dict": state}, file)
    assert main(["weights", "lip-expert", str(file), "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"sha256 {sha256_of(file)}; no hash is published to compare it with" in text
    create_model("lip_expert", weights=out)


def test_a_file_with_the_published_hash_is_recognised(tmp_path, monkeypatch):
    file = tmp_path / "renamed.bin"
    file.write_bytes(b"abc")
    one = PublishedFile("syncnet", "x.model", "https://x", "a page", 3, sha256_of(file), "a page")
    monkeypatch.setattr(module, "PUBLISHED", (one,))
    assert "is x.model: 3 bytes, sha256 ba7816bf" in check_published("syncnet", file)


@pytest.mark.real_data
@pytest.mark.skipif(not MESH.is_file(), reason="AVSYNC_SHARED has no face_landmarker.task")
def test_the_published_face_mesh_has_the_stated_size_and_hash_and_is_converted(tmp_path, capsys):
    out = tmp_path / "face_mesh.safetensors"
    assert main(["weights", "face-mesh", str(MESH), "-o", str(out)]) == 0
    assert "is face_landmarker.task: 3758596 bytes" in capsys.readouterr().out
    assert load(out).state_dict
