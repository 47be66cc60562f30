"""Read the operators and constants of a TensorFlow Lite file, without TensorFlow.

Such a file is a FlatBuffer: tables and vectors that refer to each other by offsets. Only what a
converter needs is read, every offset is checked, and constants are views of the file: a file of
unknown origin costs no more memory than its size.
Source: tensorflow/lite/schema/schema.fbs, whose order of fields the numbers below are.
"""

import struct
from typing import Any, NamedTuple

import numpy as np

IDENTIFIER = b"TFL3"
# Limits that bound the time and memory that a crafted file takes.
MAX_BYTES = 8 * 2**20
MAX_TABLES, MAX_INTEGERS = 5000, 64
DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
# Codes of the operators that carry weights, or stand between weights and their users.
CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE, PRELU = 3, 4, 6, 54


class TfliteOperator(NamedTuple):
    """An operator: its code in the schema, and the indices of the tensors it reads and writes."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class TfliteGraph(NamedTuple):
    """The first graph of a TensorFlow Lite file.

    Args:
        operators: in the order in which they run.
        constants: the floating-point tensors whose values the file holds, by index.
        outputs: indices of the tensors that the graph returns.
    """

    operators: tuple[TfliteOperator, ...]
    constants: dict[int, np.ndarray]
    outputs: tuple[int, ...]


def read_tflite(data: bytes) -> TfliteGraph:
    """Read the first graph of a TensorFlow Lite file.

    Raises:
        RuntimeError: the data is no such file, damaged or cut short.
    """
    if data[4:8] != IDENTIFIER:
        raise RuntimeError("it is not a TensorFlow Lite file")
    if len(data) > MAX_BYTES:
        raise RuntimeError(f"it has {len(data)} bytes, more than the {MAX_BYTES} that are read")
    try:
        return _read_graph(_Table(data, _follow(data, 0)))
    except (struct.error, IndexError, ValueError) as error:
        raise RuntimeError("the TensorFlow Lite file is damaged or cut short") from error


def _read_graph(model: "_Table") -> TfliteGraph:
    # The older of the two fields of a code ends at 127.
    codes = [max(code.number(0, "<b"), code.number(3, "<i")) for code in model.tables(1)]
    buffers = model.tables(4)
    graph = model.tables(2)[0]
    operators = tuple(
        TfliteOperator(codes[one.number(0, "<I")], one.integers(1), one.integers(2))
        for one in graph.tables(3)
    )
    constants = {}
    for index, tensor in enumerate(graph.tables(0)):
        values = buffers[tensor.number(2, "<I")].data(0)
        dtype = DTYPES.get(tensor.number(1, "<b"))
        if dtype is not None and len(values):
            shape = tensor.integers(0)
            if min(shape, default=0) < 0:
                raise ValueError("a tensor has a negative size")
            constants[index] = np.frombuffer(values, dtype).reshape(shape)
    return TfliteGraph(operators, constants, graph.integers(2))


class _Table:
    """A table of a FlatBuffer, at a position in the data."""

    def __init__(self, buffer: bytes, position: int) -> None:
        self.buffer, self.position = buffer, position
        self.fields = position - _unpack("<i", buffer, position)
        self.field_bytes = _unpack("<H", buffer, self.fields)

    def number(self, field: int, kind: str) -> int:
        """Return the number in a field; 0, the default of all that are read here, if absent."""
        at = self._locate(field)
        return 0 if at is None else _unpack(kind, self.buffer, at)

    def tables(self, field: int) -> list["_Table"]:
        """Return the tables of a vector in a field."""
        at, count = self._vector(field, 4, MAX_TABLES)
        positions = range(at, at + 4 * count, 4)
        return [_Table(self.buffer, _follow(self.buffer, position)) for position in positions]

    def integers(self, field: int) -> tuple[int, ...]:
        """Return the int32 numbers of a vector in a field."""
        at, count = self._vector(field, 4, MAX_INTEGERS)
        return struct.unpack_from(f"<{count}i", self.buffer, at)

    def data(self, field: int) -> memoryview:
        """Return the bytes of a vector in a field, without a copy."""
        at, count = self._vector(field, 1, len(self.buffer))
        return memoryview(self.buffer)[at : at + count]

    def _vector(self, field: int, item_bytes: int, limit: int) -> tuple[int, int]:
        at = self._locate(field)
        if at is None:
            return 0, 0
        start = _follow(self.buffer, at)
        count = _unpack("<I", self.buffer, start)
        if count > limit or start + 4 + item_bytes * count > len(self.buffer):
            raise ValueError(f"a vector of {count} items does not fit")
        return start + 4, count

    def _locate(self, field: int) -> int | None:
        slot = 4 + 2 * field
        if slot + 2 > self.field_bytes:
            return None
        offset = _unpack("<H", self.buffer, self.fields + slot)
        return self.position + offset if offset else None


def _follow(buffer: bytes, position: int) -> int:
    return position + _unpack("<I", buffer, position)


def _unpack(kind: str, buffer: bytes, position: int) -> int:
    # Without this check Python would count a negative position from the end.
    if position < 0:
        raise ValueError("an offset leads outside the file")
    (number,) = struct.unpack_from(kind, buffer, position)
    return int(number)
