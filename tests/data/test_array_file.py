import numpy as np
import pytest

from avsync.data.array_file import read_items


@pytest.mark.parametrize("shape", [(9,), (9, 4, 3), (9, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_items_are_those_that_numpy_reads(tmp_path, shape, dtype):
    path = tmp_path / "array.npy"
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(path, values)
    for start, stop in [(0, 9), (3, 5), (8, 9), (4, 4)]:
        items = read_items(str(path), start, stop)
        assert items.dtype == dtype
        np.testing.assert_array_equal(items, values[start:stop])


@pytest.mark.parametrize("span", [(-1, 3), (2, 10), (3, 2)])
def test_items_outside_the_file_are_refused(tmp_path, span):
    np.save(tmp_path / "array.npy", np.zeros(9))
    with pytest.raises(ValueError, match=r"items must lie in 0 to 9 of .*array\.npy, got"):
        read_items(str(tmp_path / "array.npy"), *span)


def test_files_that_are_missing_cut_short_or_no_arrays_are_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"none\.npy is missing or damaged"):
        read_items(str(tmp_path / "none.npy"), 0, 1)
    text = tmp_path / "text.npy"
    text.write_text("not an array")
    with pytest.raises(RuntimeError, match=r"text\.npy is damaged"):
        read_items(str(text), 0, 1)
    short = tmp_path / "short.npy"
    np.save(short, np.zeros(9))
    short.write_bytes(short.read_bytes()[:-8])
    assert len(read_items(str(short), 0, 8)) == 8
    with pytest.raises(RuntimeError, match=r"short\.npy is cut short"):
        read_items(str(short), 0, 9)


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(RuntimeError, match="no plain array of items"):
        read_items(str(path), 0, 1)
