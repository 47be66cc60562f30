"""Write a TensorFlow Lite file: a FlatBuffer whose tables, vectors and buffers follow each other.

Source: https://flatbuffers.dev/internals and tensorflow/lite/schema/schema.fbs.
"""

import struct
from collections.abc import Sequence

import numpy as np

DTYPES = {"float32": 0, "float16": 1}
Operators = Sequence[tuple[int, Sequence[int], Sequence[int]]]


def write_tflite(
    operators: Operators, constants: dict[int, np.ndarray], outputs: Sequence[int]
) -> bytes:
    """Return the bytes of a file.

    Args:
        operators: code, inputs and outputs of each.
        constants: values by the index of their tensor; other tensors have none.
        outputs: the tensors that the graph returns.
    """
    codes = sorted({code for code, _, _ in operators})
    last = max([*constants, *(index for one in operators for index in (*one[1], *one[2]))])
    arrays = [constants.get(index) for index in range(last + 1)]
    tensors = [
        [b"" if a is None else vector("i", a.shape), *tensor_fields(a, index + 1)]
        for index, a in enumerate(arrays)
    ]
    buffers = [[], *([] if a is None else [vector("B", a.tobytes())] for a in arrays)]
    graph = [
        tensors,
        b"",
        vector("i", outputs),
        [
            [struct.pack("<I", codes.index(code)), vector("i", reads), vector("i", writes)]
            for code, reads, writes in operators
        ],
    ]
    model = [
        struct.pack("<I", 3),
        [[struct.pack("<b", min(code, 127)), b"", b"", struct.pack("<i", code)] for code in codes],
        [graph],
        b"",
        buffers,
    ]
    return struct.pack("<I", 8) + b"TFL3" + table(model, 8)


def tensor_fields(array: np.ndarray | None, buffer: int) -> list[bytes]:
    dtype = 0 if array is None else DTYPES[array.dtype.name]
    return [struct.pack("<b", dtype), struct.pack("<I", buffer)]


class Vector(bytes):
    """A vector: its count and its items."""


def vector(kind: str, items: Sequence[int] | bytes) -> Vector:
    body = items if isinstance(items, bytes) else struct.pack(f"<{len(items)}{kind}", *items)
    return Vector(struct.pack("<I", len(items)) + body)


def table(fields: list, start: int) -> bytes:
    """Return a table at a position, then its layout, then all that its fields refer to.

    A field is bytes (a number), a `Vector`, a list of lists (a vector of tables), or b"" (absent).
    """
    places, inline = [], 4
    for field in fields:
        refers = isinstance(field, Vector | list)
        places.append(0 if field == b"" else inline)
        inline += 0 if field == b"" else 4 if refers else len(field)
    layout = struct.pack(f"<HH{len(places)}H", 4 + 2 * len(places), inline, *places)
    head = bytearray(struct.pack("<i", -inline))
    tail = bytearray(layout)
    for field in fields:
        here = start + len(head)
        if isinstance(field, Vector | list):
            target = start + inline + len(tail)
            head += struct.pack("<I", target - here)
            tail += field if isinstance(field, Vector) else table_vector(field, target)
        else:
            head += field
    return bytes(head + tail)


def table_vector(tables: list, start: int) -> bytes:
    body, offsets = bytearray(), []
    first = start + 4 + 4 * len(tables)
    for index, one in enumerate(tables):
        offsets.append(first + len(body) - (start + 4 + 4 * index))
        body += table(one, first + len(body))
    return struct.pack(f"<I{len(offsets)}I", len(offsets), *offsets) + bytes(body)
