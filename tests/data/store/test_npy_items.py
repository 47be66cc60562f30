import numpy as np
import pytest

from avsync.data.store.npy_items import ArrayFiles, max_open_files

# From a memory map, and by reading.
METHODS = [ArrayFiles(9).items, ArrayFiles(0).items]


@pytest.mark.parametrize("items", METHODS)
@pytest.mark.parametrize("shape", [(9,), (9, 4, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_items_are_those_that_numpy_reads(tmp_path, shape, dtype, items):
    path = tmp_path / "array.npy"
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(path, values)
    for start, stop in [(0, 9), (3, 5), (8, 9), (4, 4)]:
        found = items(str(path), start, stop)
        assert found.dtype == dtype and not found.flags.writeable
        np.testing.assert_array_equal(found, values[start:stop])


@pytest.mark.parametrize("items", METHODS)
@pytest.mark.parametrize("start_stop", [(-1, 3), (2, 10), (3, 2)])
def test_items_outside_the_file_are_refused(tmp_path, start_stop, items):
    np.save(tmp_path / "array.npy", np.zeros(9))
    with pytest.raises(ValueError, match=r"items must lie in 0 to 9 of .*array\.npy, got"):
        items(str(tmp_path / "array.npy"), *start_stop)


@pytest.mark.parametrize("items", METHODS)
def test_files_that_are_missing_cut_short_or_no_arrays_are_named(tmp_path, items):
    with pytest.raises(RuntimeError, match=r"none\.npy is missing or damaged"):
        items(str(tmp_path / "none.npy"), 0, 1)
    text = tmp_path / "text.npy"
    text.write_text("not an array")
    with pytest.raises(RuntimeError, match=r"text\.npy is damaged"):
        items(str(text), 0, 1)
    short = tmp_path / "short.npy"
    np.save(short, np.zeros(9))
    short.write_bytes(short.read_bytes()[:-8])
    with pytest.raises(RuntimeError, match=r"short\.npy is cut short"):
        items(str(short), 0, 9)


@pytest.mark.parametrize("items", METHODS)
def test_objects_are_never_unpickled(tmp_path, items):
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(RuntimeError, match="no plain array of items"):
        items(str(path), 0, 1)


def test_no_more_files_are_mapped_than_allowed(tmp_path):
    files = ArrayFiles(2)
    for number in range(4):
        path = tmp_path / f"{number}.npy"
        np.save(path, np.full(3, number))
        assert files.items(str(path), 1, 2).tolist() == [number]
    assert len(files.maps) == 2
    assert ArrayFiles().max_maps == max_open_files() // 4 > 0
