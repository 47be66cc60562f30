"""Convert the encoder of Whisper's published tiny and tiny.en checkpoints: stem and first layers.

The decoder, the later layers and the norm after the last one are left out. Query, key and value
projections become one, in which the bias of the key, which Whisper does not have, is 0.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.encoders.pretrained.whisper import WhisperEncoder

# Our part of a layer -> OpenAI's.
PARTS = {
    "attention_norm": "attn_ln",
    "qkv": "attn.qkv",
    "out": "attn.out",
    "mlp_norm": "mlp_ln",
    "mlp_in": "mlp.0",
    "mlp_out": "mlp.2",
}
POSITIONS = "positional_embedding"


def convert_whisper(state_dict: Mapping[str, Tensor], layers: int = 1) -> dict[str, Tensor]:
    """Convert a state dict of OpenAI's `tiny.en.pt` or `tiny.pt` to one of `WhisperEncoder`.

    Args:
        state_dict: tensors by upstream name, as `read_upstream` returns them.
        layers: number of transformer layers to keep.

    Raises:
        RuntimeError: names or shapes do not fit, or the positions are not Whisper's; the message
            lists upstream names without their prefix `encoder.`.
    """
    with torch.device("meta"):
        encoder = WhisperEncoder(layers)
    kept = ("conv1.", "conv2.", *(f"blocks.{index}." for index in range(layers)))
    given = {name.removeprefix("encoder."): tensor for name, tensor in state_dict.items()}
    _check_positions(given, encoder.positions)
    given = {name: tensor for name, tensor in given.items() if name.startswith(kept)}
    for index in range(layers):
        _join_projections(given, f"blocks.{index}.attn")
    return convert_state(given, encoder, _upstream_name)


def _join_projections(given: dict[str, Tensor], attention: str) -> None:
    names = [f"{attention}.{part}" for part in ("query", "key", "value")]
    parts = [f"{name}.{leaf}" for name in names for leaf in ("weight", "bias")]
    if missing := [name for name in parts if name not in given and name != f"{names[1]}.bias"]:
        raise RuntimeError(f"the checkpoint is of another model: no {', '.join(missing)}")
    given.setdefault(f"{names[1]}.bias", torch.zeros_like(given[f"{names[0]}.bias"]))
    for leaf in ("weight", "bias"):
        given[f"{attention}.qkv.{leaf}"] = torch.cat([given.pop(f"{n}.{leaf}") for n in names])


def _check_positions(given: Mapping[str, Tensor], positions: Tensor) -> None:
    """Compare the table of positions with ours, which is computed and not stored."""
    table = given.get(POSITIONS)
    if table is None or table.shape != positions.shape:
        expected, found = tuple(positions.shape), None if table is None else tuple(table.shape)
        raise RuntimeError(f"{POSITIONS} must be {expected}, got {found}")
    # Half precision, or float32 with angles in float32, differ by less.
    if not torch.allclose(table.float(), positions, rtol=0, atol=1e-3):
        raise RuntimeError(f"{POSITIONS} are not Whisper's sinusoids")


def _upstream_name(name: str) -> str:
    if not name.startswith("layers."):
        return name
    _, index, part, leaf = name.split(".")
    return f"blocks.{index}.{PARTS[part]}.{leaf}"
