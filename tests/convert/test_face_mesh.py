"""Converting MediaPipe's face mesh: each weight arrives where it belongs."""

import zipfile

import numpy as np
import pytest
import torch
from golden.tflite_writer import write_tflite

from avsync.convert.face_mesh import NETWORK, convert_face_mesh
from avsync.convert.tflite import CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE, PRELU
from avsync.encoders.pretrained.face_mesh import FACE_MESH_FILE, load_face_mesh
from avsync.weights import PRETRAINED, read_tensors

SHIPPED = PRETRAINED / FACE_MESH_FILE
FIRST_OUTPUT = 1000  # index of the first tensor that is computed


def published(state, leave_out=()):
    """The file of MediaPipe that has these weights: half precision, widened before each layer."""
    operators, constants, outputs = [], {}, {}
    for name, layer in load_face_mesh().named_modules():
        if not isinstance(layer, torch.nn.Conv2d | torch.nn.PReLU) or name in leave_out:
            continue
        values = [state[f"{name}.{leaf}"].numpy() for leaf, _ in layer.named_parameters()]
        code = PRELU
        if isinstance(layer, torch.nn.Conv2d):
            depthwise = layer.groups > 1
            code = DEPTHWISE_CONV_2D if depthwise else CONV_2D
            values[0] = values[0].transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
            values += [np.zeros(layer.out_channels, np.float16)] if depthwise else []
        else:
            values[0] = values[0].reshape(1, 1, -1)
        start = 2 * len(constants) + 10
        reads = [start + 2 * index for index in range(len(values))]
        operators += [(DEQUANTIZE, [index], [index + 1]) for index in reads]
        constants |= dict(zip(reads, values, strict=True))
        outputs[name] = FIRST_OUTPUT + len(outputs)
        operators.append((code, [3, *(index + 1 for index in reads)], [outputs[name]]))
    tongue = FIRST_OUTPUT - 1
    operators.append((CONV_2D, operators[-1][1], [tongue]))
    operators[-1], operators[-2] = operators[-2], operators[-1]
    return write_tflite(operators, constants, [outputs["points"], outputs["presence"], tongue])


@pytest.fixture(scope="module")
def state():
    return read_tensors(SHIPPED)


def assert_equal(converted, state):
    assert set(converted) == set(state)
    for name, tensor in converted.items():
        assert tensor.dtype == torch.float16 and torch.equal(tensor, state[name]), name


def test_every_weight_comes_back_from_the_network_and_from_the_archive(state, tmp_path):
    network, archive = tmp_path / "face.tflite", tmp_path / "face_landmarker.task"
    network.write_bytes(published(state))
    with zipfile.ZipFile(archive, "w") as file:
        file.write(network, NETWORK)
    assert_equal(convert_face_mesh(network), state)
    # The published archive starts with padding.
    archive.write_bytes(b"\0\0" + archive.read_bytes())
    assert_equal(convert_face_mesh(archive), state)


@pytest.mark.real_data
def test_the_shipped_weights_are_those_of_the_published_file(shared, state):
    assert_equal(convert_face_mesh(shared / "models" / "face_landmarker.task"), state)


def test_other_networks_and_files_are_refused_in_one_sentence(state, tmp_path):
    file = tmp_path / "face.tflite"

    def cause(data):
        file.write_bytes(data)
        with pytest.raises(RuntimeError, match=r"face\.tflite is no face mesh of MediaPipe") as e:
            convert_face_mesh(file)
        assert "\n" not in str(e.value)
        return str(e.value)

    assert "layers have weights, not" in cause(published(state, leave_out=("stages.1.0.act",)))
    swapped = state | {"stem.weight": torch.zeros(16, 3, 5, 5).half()}
    assert "its layer stem has another kind or shape" in cause(published(swapped))
    infinite = state | {"act.weight": torch.full((16,), torch.inf).half()}
    assert "its layer act has another kind or shape" in cause(published(infinite))
    assert "its outputs are not" in cause(write_tflite([(CONV_2D, [0], [1])] * 5, {}, [2, 2]))
    assert "it is not a TensorFlow Lite file" in cause(b"<!DOCTYPE html>")
    assert "it is not a TensorFlow Lite file" in cause(b"")
    assert "bytes" in cause(bytes(9 * 2**20))


def test_archives_without_the_network_or_damaged_are_refused(tmp_path):
    archive = tmp_path / "hand.task"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("hand.tflite", b"x")
    with pytest.raises(RuntimeError, match=f"is a zip archive without {NETWORK}"):
        convert_face_mesh(archive)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(NETWORK, bytes(1000))
    archive.write_bytes(archive.read_bytes().replace(bytes(1000), bytes(999) + b"x"))
    with pytest.raises(RuntimeError, match="the zip archive is damaged"):
        convert_face_mesh(archive)
    with pytest.raises(RuntimeError, match=r"none\.task could not be read"):
        convert_face_mesh(tmp_path / "none.task")
