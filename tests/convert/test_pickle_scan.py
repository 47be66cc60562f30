"""Hand-written pickles, one for each assumption that the scanner must check."""

import io
import pickle

import pytest

from avsync.convert.pickle_scan import StorageRecord, printable_name, scan_pickle, unsafe_globals

START = b"\x80\x02"
STORAGE = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x0ctQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
SHAPE = b"K\x00K\x03K\x04\x86K\x04K\x01\x86"  # offset 0, shape (3, 4), strides (4, 1)
PLAIN = b"\x89}"  # no gradient, no hooks
TENSOR = REBUILD + b"(" + STORAGE + SHAPE + PLAIN + b"tR"


def scanned(pickle_bytes):
    return scan_pickle(io.BytesIO(START + pickle_bytes + b"."))


@pytest.mark.parametrize(
    "content",
    [None, True, 7, 300, -70000, 2**70, 0.5, "ä", [1, [2]], {"a": {1: ()}, 0.5: []}, (1, 2, 3, 4)],
)
def test_plain_values_are_returned_unchanged(content):
    assert scan_pickle(io.BytesIO(pickle.dumps(content, 2))).content == content


def test_a_tensor_declares_its_storage_and_is_not_created():
    found = scanned(b"}U\x01w" + TENSOR + b"s")
    assert found.storages == {"0": StorageRecord("0", numel=12, item_bytes=4)}
    assert found.storages["0"].size == 48
    assert not hasattr(found.content["w"], "shape")


def test_consecutive_pickles_are_read_one_by_one():
    stream = io.BytesIO(pickle.dumps(1, 2) + pickle.dumps([2], 2) + b"rest")
    contents = [scan_pickle(stream).content for _ in range(2)]
    assert [*contents, stream.read()] == [1, [2], b"rest"]


def swap(old, new):
    assert old in TENSOR
    return TENSOR.replace(old, new)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"U\x01\xe9", "a name that is not ASCII"),
        (b"cos\nsystem\n", r"references os system$"),
        (b"c\x1b[2Jx\ny\n", r"references \?\[2Jx y$"),
        (b"}}U\x05itemsK\x01sb", "sets attributes"),
        (b"]}b", "sets attributes"),
        (b"})K\x01s", "holds tuple where another type is expected"),
        (b"})a", "holds dict where another type is expected"),
        (b"(K\x01u", "is malformed"),
        (b"}(K\x01u", "shorter"),
        (b"h\x09", "is malformed"),
        (b"t", "is malformed"),
        (b"K\x01)R", "holds int where"),
        (b"ctorch\nFloatStorage\n)R", "its pickle calls torch FloatStorage"),
        (b"ctorch\nFloatStorage\n)\x81", "has opcode NEWOBJ"),
        (b"U\x010Q", "holds str where another type is expected"),
        (STORAGE.replace(b"\x07storage", b"\x06module"), "something other than a storage"),
        (STORAGE.replace(b"tQ", b"NtQ"), None),
        (STORAGE.replace(b"tQ", b"K\x01tQ"), "something other than a storage"),
        (STORAGE.replace(b"K\x0c", b"J\xff\xff\xff\xff"), "without a number or a size"),
        (STORAGE.replace(b"K\x0c", b"G?\xe0\0\0\0\0\0\0"), "without a number or a size"),
        (STORAGE.replace(b"U\x010", b"U\x02-1"), "without a number or a size"),
        (b"]" + STORAGE + b"a" + STORAGE.replace(b"K\x0c", b"K\x0d") + b"a", "0 two sizes"),
        (b"]" + STORAGE + b"a" + STORAGE.replace(b"Float", b"Double") + b"a", "0 two sizes"),
        (swap(STORAGE, b"K\x01"), "holds int where"),
        (swap(b"K\x03K\x04\x86", b"K\x03K\x05\x86"), r"\(3, 5\) in a storage of 12 el"),
        (swap(b"K\x04K\x01\x86", b"K\x05K\x01\x86"), r"\(3, 4\) in a storage of 12 el"),
        (
            swap(b"(" + STORAGE + b"K\x00", b"(" + STORAGE + b"K\x01"),
            r"\(3, 4\) in a storage of 12 el",
        ),
        (swap(b"K\x04K\x01\x86", b"K\x00K\x00\x86"), None),
        (swap(b"K\x03K\x04\x86", b"K\x64K\x64\x86"), r"\(100, 100\) in a storage of 12 el"),
        (swap(b"K\x03K\x04\x86", b"K\x0c\x85"), "a malformed shape"),
        (swap(b"K\x03K\x04\x86", b"K\x0cJ\xff\xff\xff\xff\x86"), "a malformed shape"),
        (swap(b"K\x03K\x04\x86", b"K\x00\x8a\x08" + b"\x7f" * 8 + b"\x86"), "a malformed shape"),
        (swap(b"\x89}t", b"\x89]t"), "a tensor with hooks"),
        (swap(b"\x89}t", b"\x89}K\x01K\x02st"), "a tensor with hooks"),
        (swap(b"\x89}t", b"K\x07}t"), "a tensor with hooks"),
        (swap(b"\x89}t", b"\x89}}t"), "is malformed"),
        (b"ctorch._utils\n_rebuild_parameter\nK\x01\x89}\x87R", "holds int where"),
    ],
)
def test_only_plain_tensors_within_their_storage_pass(content, message):
    if message is None:
        scanned(content)
        return
    with pytest.raises(ValueError, match=message):
        scanned(content)


def test_unsafe_globals_are_listed_once():
    stream = io.BytesIO(START + TENSOR + b"0cos\nsystem\n0cos\nsystem\n0ca.b\nc d\n.")
    assert unsafe_globals(stream) == ["os.system", "a.b.c.d"]


def test_a_printable_name_is_one_short_line():
    assert printable_name("a\n\x1b[31m\u202eb") == "a??[31m?b"
    assert printable_name("x" * 10**6) == "x" * 80 + "..."
