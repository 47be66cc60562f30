"""Convert the face mesh network of MediaPipe's face landmarker (`face_landmarker.task`).

Source: https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker. The file is a zip
archive; the network in it, `face_landmarks_detector.tflite`, has half-precision weights.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from avsync.convert.tflite import (
    CONV_2D,
    DEPTHWISE_CONV_2D,
    DEQUANTIZE,
    IDENTIFIER,
    MAX_BYTES,
    PRELU,
    TfliteGraph,
    TfliteOperator,
    read_tflite,
)
from avsync.encoders.pretrained.face_mesh import FaceMesh

NETWORK = "face_landmarks_detector.tflite"
KINDS = {CONV_2D: nn.Conv2d, DEPTHWISE_CONV_2D: nn.Conv2d, PRELU: nn.PReLU}


def convert_face_mesh(file: str | Path) -> dict[str, Tensor]:
    """Convert MediaPipe's face mesh network to a state dict of `FaceMesh`, in half precision.

    The third output of the network, whether the tongue is out, is left out.

    Args:
        file: `face_landmarker.task`, or the `face_landmarks_detector.tflite` in it.

    Raises:
        RuntimeError: the file cannot be read, is damaged, or holds another network.
    """
    try:
        graph = read_tflite(_network_bytes(Path(file)))
        return _state(graph)
    except OSError as error:
        raise RuntimeError(f"{file} could not be read: {error.strerror or error}") from error
    except RuntimeError as error:
        raise RuntimeError(f"{file} is no face mesh of MediaPipe: {error}") from error


def _network_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise RuntimeError(f"it has more than {MAX_BYTES} bytes")
    # By the end of an archive, which may start with padding; the network has one at its own end.
    if data[4:8] == IDENTIFIER or not zipfile.is_zipfile(io.BytesIO(data)):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(NETWORK) as member:
            return member.read(MAX_BYTES)
    except KeyError as error:
        raise RuntimeError(f"it is a zip archive without {NETWORK}") from error
    # Any exception of zipfile on a maliciously crafted archive.
    except Exception as error:
        raise RuntimeError(f"the zip archive is damaged: {error}") from error


def _state(graph: TfliteGraph) -> dict[str, Tensor]:
    with torch.device("meta"):
        model = FaceMesh()
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.PReLU)
    ]
    operators = _weighted_operators(graph)
    if len(operators) != len(layers):
        raise RuntimeError(f"{len(operators)} of its layers have weights, not {len(layers)}")
    constants = _constants(graph)
    state: dict[str, Tensor] = {}
    for (name, layer), operator in zip(layers, operators, strict=True):
        values = [constants.get(index) for index in operator.inputs[1:]]
        if not isinstance(layer, KINDS[operator.code]) or not _fill(state, name, layer, values):
            raise RuntimeError(f"its layer {name} has another kind or shape")
    return state


def _weighted_operators(graph: TfliteGraph) -> list[TfliteOperator]:
    """Return the operators with weights in the order of our modules."""
    operators = [one for one in graph.operators if one.code in KINDS]
    # The three heads come last, in any order; the graph returns points, presence and the tongue.
    trunk, heads = operators[:-3], operators[-3:]
    by_output = {one.outputs[:1]: one for one in heads}
    points, presence = (by_output.get((index,)) for index in graph.outputs[:2])
    if points is None or presence is None:
        raise RuntimeError("its outputs are not points and presence")
    return [*trunk, presence, points]


def _constants(graph: TfliteGraph) -> dict[int, np.ndarray]:
    """Return the constants by the index under which layers read them."""
    constants = dict(graph.constants)
    for one in graph.operators:
        # Half-precision constants pass through an operator that widens them.
        if one.code == DEQUANTIZE and one.inputs and one.outputs and one.inputs[0] in constants:
            constants[one.outputs[0]] = constants[one.inputs[0]]
    return constants


def _fill(
    state: dict[str, Tensor], name: str, layer: nn.Module, values: list[np.ndarray | None]
) -> bool:
    """Add the tensors of a layer to the state dict; False if they are not of its shape."""
    arrays = [value for value in values if value is not None]
    if isinstance(layer, nn.PReLU):
        arrays = [array.reshape(-1) for array in arrays]
    elif isinstance(layer, nn.Conv2d) and arrays and arrays[0].ndim == 4:
        # Ours (out, in, H, W); theirs (out, H, W, in), or if depthwise (1, H, W, out).
        order = (3, 0, 1, 2) if layer.groups > 1 else (0, 3, 1, 2)
        arrays[0] = arrays[0].transpose(order)
        # A depthwise layer has no bias in ours and one of zeros in theirs.
        if layer.bias is None and len(arrays) == 2 and not arrays[1].any():
            del arrays[1]
    parameters = dict(layer.named_parameters(recurse=False))
    if [tuple(one.shape) for one in parameters.values()] != [array.shape for array in arrays]:
        return False
    state |= {
        f"{name}.{leaf}": torch.from_numpy(array.astype(np.float16))
        for leaf, array in zip(parameters, arrays, strict=True)
    }
    return all(bool(state[f"{name}.{leaf}"].isfinite().all()) for leaf in parameters)
