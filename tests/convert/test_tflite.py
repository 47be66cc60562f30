"""Reading TensorFlow Lite files, also damaged and crafted ones."""

import struct
import tracemalloc

import numpy as np
import pytest
from golden.tflite_writer import write_tflite

from avsync.convert.tflite import MAX_BYTES, PRELU, TfliteOperator, read_tflite

WIDE = np.arange(6, dtype=np.float32).reshape(2, 3)
HALF = np.array([0.5, -1.25], np.float16)
DATA = write_tflite([(3, [0, 1, 2], [3]), (150, [3, 2], [4])], {1: WIDE, 2: HALF}, [4])


def test_operators_constants_and_outputs_are_those_written():
    graph = read_tflite(DATA)
    assert graph.operators == (
        TfliteOperator(3, (0, 1, 2), (3,)),
        TfliteOperator(150, (3, 2), (4,)),
    )
    assert graph.outputs == (4,) and set(graph.constants) == {1, 2}
    for index, expected in {1: WIDE, 2: HALF}.items():
        np.testing.assert_array_equal(graph.constants[index], expected, strict=True)


@pytest.mark.parametrize("length", range(8, len(DATA), 7))
def test_a_file_cut_short_is_refused_or_holds_only_whole_tensors(length):
    try:
        graph = read_tflite(DATA[:length])
    except RuntimeError as error:
        assert "damaged or cut short" in str(error)
    else:
        assert all(one.size in (2, 6) for one in graph.constants.values())


def test_no_changed_byte_crashes_the_reader_or_fills_the_memory():
    rng = np.random.default_rng(0)
    tracemalloc.start()
    for _ in range(3000):
        data = bytearray(DATA)
        for at in rng.integers(8, len(data), 3):
            data[at] = rng.choice([0, 1, 4, 127, 128, 255])
        try:
            read_tflite(bytes(data))
        except RuntimeError as error:
            assert "damaged" in str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 2**20


def test_vectors_that_claim_more_than_the_file_holds_are_refused():
    at = DATA.index(struct.pack("<I6f", 24, *range(6)))
    for count in (25, 10**6, 2**32 - 1):
        data = bytearray(DATA)
        data[at : at + 4] = struct.pack("<I", count)
        with pytest.raises(RuntimeError, match="damaged or cut short"):
            read_tflite(bytes(data))


def test_an_operator_with_a_thousand_inputs_is_refused():
    with pytest.raises(RuntimeError, match="damaged"):
        read_tflite(write_tflite([(PRELU, range(1000), [0])], {1: WIDE}, [0]))


def test_other_and_oversized_files_are_refused():
    with pytest.raises(RuntimeError, match="it is not a TensorFlow Lite file"):
        read_tflite(b"\x89PNG\r\n\x1a\n" * 4)
    with pytest.raises(RuntimeError, match=f"more than the {MAX_BYTES} that are read"):
        read_tflite(DATA + bytes(MAX_BYTES))
