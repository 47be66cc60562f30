"""Whisper's encoder against the published network's outputs, which `golden_whisper.json` holds."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.summary import close
from safetensors.torch import load_file

from avsync.audio.features import WhisperMel
from avsync.encoders.pretrained.whisper import (
    WHISPER_FILE,
    LocalWhisperEncoder,
    WhisperEncoder,
    load_whisper_encoder,
    sinusoidal_positions,
)
from avsync.media.audio_reader import read_audio
from avsync.pipelines.doctor import doctor
from avsync.weights import PRETRAINED, save

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/golden_whisper.json").read_text())


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
    monkeypatch.setattr("avsync.encoders.pretrained.whisper.PRETRAINED", tmp_path / "pretrained")
    load_whisper_encoder()
    path = tmp_path / "pretrained" / WHISPER_FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match="is not the expected file"):
        load_whisper_encoder()
    (finding,) = (found for found in doctor() if found.topic == "speech encoder")
    assert finding.ok is False and "is not the expected file" in finding.text


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


# A window of 9 tokens, 80 ms before a token's own and after it.
CONTEXT, POSITION = 4, 7


@pytest.fixture(scope="module")
def tiny():
    """A local encoder with random weights, norms too, in windows of 9 tokens."""
    torch.manual_seed(0)
    encoder = WhisperEncoder(dim=24, heads=2).eval().requires_grad_(False)
    for norm in (encoder.layers[0].attention_norm, encoder.layers[0].mlp_norm):
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    torch.nn.init.normal_(encoder.layers[0].qkv.weight, std=0.3)
    return LocalWhisperEncoder(encoder, CONTEXT, POSITION)


def noise(samples, batch=1):
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(1))


def tokens_of_windows(encoder, wav):
    """Encode every window by itself with the published layer, and keep its middle token."""
    mel = encoder.mel.columns(wav)
    x = encoder.conv2(torch.nn.functional.gelu(encoder.conv1(mel)))
    # Without the tokens that saw the padding of the two convolutions.
    x = torch.nn.functional.gelu(x).mT[:, 1 : (mel.shape[2] - 1) // 2]
    windows = x.unfold(1, 2 * CONTEXT + 1, 1).mT
    positions = encoder.positions[POSITION - CONTEXT : POSITION + CONTEXT + 1]
    return torch.cat([encoder.layers[0](w[None] + positions)[:, CONTEXT] for w in windows[0]])


@pytest.mark.arithmetic
def test_a_local_token_is_the_middle_of_its_own_window(tiny):
    wav = noise(40_000)
    expected = tokens_of_windows(tiny.encoder, wav)
    torch.testing.assert_close(tiny(wav)[0], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("samples", [3600, 3601, 7000, 40_000, 400_000])
def test_audio_outside_its_margin_does_not_change_a_local_token(tiny, samples):
    wav, margin = noise(samples), tiny.margin_samples
    tokens = tiny(wav)
    assert tokens.shape == (1, 1 + (samples - 2 * margin) // 320, 24)
    for index in {0, tokens.shape[1] // 2, tokens.shape[1] - 1}:
        first, last = 320 * index, 320 * index + 2 * margin
        other = torch.rand(wav.shape) - 0.5
        other[:, first:last] = wav[:, first:last]
        assert torch.equal(tiny(other)[:, index], tokens[:, index])
        # Nor is the margin wider than it must be: the last columns on either side count.
        for sample in (first + 100, last - 100):
            other = wav.clone()
            other[:, sample] += 1
            assert not torch.equal(tiny(other)[:, index], tokens[:, index])


@pytest.mark.parametrize("start", [320, 3200, 6720])
def test_local_tokens_do_not_depend_on_where_the_audio_was_cut(tiny, start):
    wav = noise(20_000)
    cut, first = tiny(wav[:, start : start + 9000]), start // 320
    expected = tiny(wav)[:, first : first + cut.shape[1]]
    torch.testing.assert_close(cut, expected, rtol=0, atol=1e-5)


def test_blocks_of_a_long_waveform_join_without_a_seam(tiny, monkeypatch):
    wav = noise(40_000, batch=2)
    expected = torch.cat([tiny(wav[:1]), tiny(wav[1:])])
    monkeypatch.setattr(LocalWhisperEncoder, "block_tokens", 7)
    torch.testing.assert_close(tiny(wav), expected, rtol=0, atol=1e-5)


@pytest.mark.real_data
def test_local_tokens_differ_between_clips_as_those_of_whole_clips_do(encoder, shared):
    paths = [shared / f"data/grid_s1/{name}.mkv" for name in ("bbaf2n", "bbbm1s")]
    if not all(path.is_file() for path in paths):
        pytest.skip("no GRID clips in the shared folder")
    local = LocalWhisperEncoder(encoder)
    clips = [np.concatenate(list(read_audio(path, 0.0)))[:44_800] for path in paths]
    wav = torch.from_numpy(np.stack(clips))
    # Of the difference: the mean of a token depends on its position, in whole clips on the time.
    tokens, whole = (
        (x[0, :140] - x[1, :140]).flatten()
        for x in (local(torch.nn.functional.pad(wav, (local.margin_samples,) * 2)), encoder(wav))
    )
    assert torch.nn.functional.cosine_similarity(tokens, whole, dim=0) > 0.85


def test_local_input_that_is_too_short_or_too_deep_is_named(tiny):
    with pytest.raises(ValueError, match=r"wav must be \(B, N\) with N >= 3600, got \(1, 3599\)"):
        tiny(torch.zeros(1, 3599))
    with pytest.raises(ValueError, match="encoder must have one layer, got 2"):
        LocalWhisperEncoder(WhisperEncoder(layers=2, dim=24, heads=2))
    with pytest.raises(ValueError, match="a window of 48 tokens around position 47 does not lie"):
        LocalWhisperEncoder(tiny.encoder, position=47)
