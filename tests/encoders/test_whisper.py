"""Whisper's encoder against the published network's outputs, which `golden_whisper.json` holds."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from golden.summary import close
from safetensors.torch import load_file

from avsync.audio.features import WhisperMel
from avsync.encoders.whisper import (
    WHISPER_FILE,
    WhisperEncoder,
    load_whisper_encoder,
    sinusoidal_positions,
)
from avsync.weights import PRETRAINED, save

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/golden_whisper.json").read_text())


def chirp():
    """The input that the golden file describes."""
    t = torch.arange(32_000, dtype=torch.float64) / 16_000
    level = 0.3 * (1 + torch.sin(2 * math.pi * 3 * t)) / 2
    return (level * torch.sin(2 * math.pi * (200 * t + 150 * t**2))).float()[None]


@pytest.fixture(scope="module")
def encoder():
    return load_whisper_encoder()


@pytest.mark.arithmetic
def test_mel_equals_the_published_one():
    mel = WhisperMel()(chirp())
    assert list(mel.shape[1:]) == GOLDEN["mel_shape"]
    close(mel[0, 40, ::40], GOLDEN["mel[40,::40]"], 1e-4)


@pytest.mark.arithmetic
def test_stem_and_first_layer_equal_the_published_ones(encoder):
    stem = encoder.stem(encoder.mel(chirp()))
    assert list(stem.shape[1:]) == GOLDEN["stem_shape"]
    close(stem[0, 50, :6], GOLDEN["stem[50,:6]"], 1e-4)
    tokens = encoder(chirp())
    close(tokens[0, 50, :6], GOLDEN["layer0[50,:6]"], 1e-4)
    close(tokens.mean(), GOLDEN["layer0_mean"], 1e-4)
    close(tokens.std(unbiased=False), GOLDEN["layer0_std"], 1e-4)


@pytest.mark.real_data
def test_second_layer_equals_the_published_one(shared):
    path = shared / "models/whisper_tiny_en_2_layers.safetensors"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the shared folder")
    state = {name: tensor.float() for name, tensor in load_file(path).items()}
    positions = state.pop("positions")
    encoder = WhisperEncoder(layers=2)
    encoder.load_state_dict(state)
    assert torch.equal(encoder.positions, positions)
    with torch.no_grad():
        close(encoder(chirp())[0, 50, :6], GOLDEN["layer1[50,:6]"], 1e-4)


def test_positions_are_sines_and_cosines_in_half_precision():
    table = sinusoidal_positions(1500, 384)
    assert torch.equal(table[0], torch.cat([torch.zeros(192), torch.ones(192)]))
    # The first rate is 1, the last one 1 / 10000.
    close(table[3, [0, 192, 191]], [math.sin(3), math.cos(3), 3e-4], 2.0**-11)
    assert torch.equal(table, table.half().float())


def test_weights_are_frozen(encoder):
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_a_changed_shipped_file_is_refused(tmp_path, monkeypatch):
    shutil.copytree(PRETRAINED, tmp_path / "pretrained")
    monkeypatch.setattr("avsync.encoders.whisper.PRETRAINED", tmp_path / "pretrained")
    load_whisper_encoder()
    path = tmp_path / "pretrained" / WHISPER_FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match="is not the expected file"):
        load_whisper_encoder()


def test_weights_of_a_user_may_have_more_layers(tmp_path):
    torch.manual_seed(0)
    deep = WhisperEncoder(layers=2, dim=24, heads=2).eval()
    save(tmp_path / "deep.safetensors", deep.state_dict(), {"layers": 2, "dim": 24, "heads": 2})
    loaded = load_whisper_encoder(tmp_path / "deep.safetensors")
    wav = torch.randn(1, 3200)
    assert torch.equal(loaded(wav), deep(wav))
    save(tmp_path / "deep.safetensors", deep.state_dict(), {"layers": 1, "dim": 24, "heads": 2})
    with pytest.raises(RuntimeError, match="holds no Whisper encoder"):
        load_whisper_encoder(tmp_path / "deep.safetensors")


@pytest.mark.parametrize("shape", [(1, 80, 3001), (1, 80, 1), (1, 64, 100), (80, 100)])
def test_mel_of_another_shape_is_named(encoder, shape):
    with pytest.raises(ValueError, match=r"mel must be \(B, 80, S\) with S from 2 to 3000, got"):
        encoder.encode_mel(torch.zeros(shape))


def test_heads_that_do_not_divide_the_width_are_named():
    with pytest.raises(ValueError, match="dim must be a multiple of 12, got 100"):
        WhisperEncoder(dim=100)
