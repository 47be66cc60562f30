"""OpenAI's checkpoint, rebuilt from the shipped weights, becomes these weights again."""

import pytest
import torch

from avsync.convert.whisper import PARTS, convert_whisper
from avsync.encoders.pretrained.whisper import (
    WHISPER_FILE,
    load_whisper_encoder,
    sinusoidal_positions,
)
from avsync.pipelines.convert_weights import convert_file
from avsync.weights import PRETRAINED, load


def upstream(layers=1):
    """Return tensors by OpenAI's names: the shipped ones, which further layers repeat."""
    shipped = load(PRETRAINED / WHISPER_FILE).state_dict
    state = {
        "encoder.positional_embedding": sinusoidal_positions(1500, 384).half(),
        "encoder.ln_post.weight": torch.ones(384),
        "decoder.ln.weight": torch.ones(384),
    }
    for name, tensor in shipped.items():
        if not name.startswith("layers."):
            state[f"encoder.{name}"] = tensor
            continue
        _, _, part, leaf = name.split(".")
        for index in range(layers):
            block = f"encoder.blocks.{index}"
            if part != "qkv":
                state[f"{block}.{PARTS[part]}.{leaf}"] = tensor
                continue
            for projection, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                if (projection, leaf) != ("key", "bias"):
                    state[f"{block}.attn.{projection}.{leaf}"] = rows
    return state


def test_the_published_file_becomes_the_shipped_weights(tmp_path):
    messages, output = [], tmp_path / "whisper.safetensors"
    content = {"dims": {"n_mels": 80}, "model_state_dict": upstream(layers=4)}
    torch.save(content, tmp_path / "tiny.en.pt")
    convert_file("whisper", tmp_path / "tiny.en.pt", output, say=messages.append)
    shipped = PRETRAINED / WHISPER_FILE
    assert output.read_bytes() == shipped.read_bytes()
    assert load(output).config == load(shipped).config == {"layers": 1}
    following = f"avsync.encoders.load_whisper_encoder('{output}')"
    assert messages == [f"whisper: 2,309,760 parameters are in {output}; next: {following}"]
    assert load_whisper_encoder(output).layers[0].heads == 6


def test_more_layers_are_kept_on_request():
    state = convert_whisper(upstream(layers=4), layers=2)
    assert torch.equal(state["layers.1.qkv.weight"], state["layers.0.qkv.weight"])
    assert not any(name.startswith("layers.2") for name in state)


def test_the_key_has_no_bias():
    state = convert_whisper(upstream())
    assert not state["layers.0.qkv.bias"][384:768].any()


def test_what_is_missing_or_of_another_shape_is_named():
    state = upstream()
    del state["encoder.blocks.0.attn.value.bias"]
    with pytest.raises(RuntimeError, match=r"no blocks\.0\.attn\.value\.bias$"):
        convert_whisper(state)
    with pytest.raises(RuntimeError, match=r"no blocks\.1\.attn\.query\.weight"):
        convert_whisper(upstream(), layers=2)
    state = upstream()
    del state["encoder.conv2.bias"]
    with pytest.raises(RuntimeError, match=r"1 missing: conv2\.bias"):
        convert_whisper(state)
    state = upstream() | {"encoder.conv1.weight": torch.zeros(384, 128, 3)}
    with pytest.raises(RuntimeError, match=r"misshapen: conv1\.weight \(384, 128, 3\)"):
        convert_whisper(state)


def test_positions_that_are_not_whispers_are_refused():
    state = upstream()
    state["encoder.positional_embedding"] = state["encoder.positional_embedding"].roll(1, 0)
    with pytest.raises(RuntimeError, match="positional_embedding are not Whisper's sinusoids"):
        convert_whisper(state)
    state["encoder.positional_embedding"] = torch.zeros(1500, 512)
    with pytest.raises(RuntimeError, match=r"must be \(1500, 384\), got \(1500, 512\)"):
        convert_whisper(state)
