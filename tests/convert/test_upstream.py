"""Reading foreign checkpoints: what is read, and that no code in a file is ever run."""

import builtins
import copy
import io
import os
import pickle
import random
import struct
import tarfile
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from avsync.convert.upstream import read_upstream

STATE = OrderedDict(
    {
        "a.weight": torch.arange(6.0).reshape(2, 3),
        "a.bias": torch.ones(3).half(),
        "n": torch.tensor(7),
    }
)
KINDS = {"zip": True, "legacy": False}


@pytest.fixture(params=KINDS)
def save(request, tmp_path):
    """Return a function that writes `x.pth` in one of the two formats of torch."""

    def write(content, **options):
        zipped = KINDS[request.param]
        torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped, **options)
        return tmp_path / "x.pth"

    return write


@pytest.fixture
def unloadable(monkeypatch):
    """Fail the test if `torch.load` is called."""
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("torch.load was called"))


def rezipped(path, edit=lambda name, data: data, **options):
    """Copy the records of a torch file to a new zip archive, with correct checksums."""
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(path.with_name("y.pth"), "w", **options) as new,
    ):
        for name in old.namelist():
            new.writestr(name, edit(name, old.read(name)))
    return path.with_name("y.pth")


def edited_pickle(path, old, new):
    def edit(name, data):
        if not name.endswith("data.pkl"):
            return data
        assert old in data
        return data.replace(old, new)

    return rezipped(path, edit)


class Call:
    """An object that pickles as a call of `function`, whose result gets attributes."""

    def __init__(self, function, *arguments, attributes=None):
        self.call = (function, arguments, attributes)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "content",
    [
        dict(STATE),
        {"state_dict": STATE},
        {
            "state_dict": STATE,
            "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"betas": (0.9, 0.999)}]},
            "aw_loss": OrderedDict(params=torch.ones(13)),
            "lr": [5e-5],
            "global_step": 123456,
            "global_epoch": None,
        },
        {name: nn.Parameter(t, requires_grad=t.is_floating_point()) for name, t in STATE.items()},
        Call(OrderedDict, [[name, tensor] for name, tensor in STATE.items()]),
    ],
    ids=["flat", "wrapped", "training", "parameters", "python 2"],
)
def test_tensors_are_read_by_name_whatever_else_the_file_holds(save, content):
    tensors = read_upstream(save(content))
    torch.testing.assert_close(tensors, dict(STATE), rtol=0, atol=0)
    assert not any(tensor.requires_grad for tensor in tensors.values())


def test_a_state_dict_of_a_module_is_read_with_its_metadata(save):
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    torch.testing.assert_close(read_upstream(save(module.state_dict())), dict(module.state_dict()))


def test_views_of_one_tensor_are_read_as_such(save):
    whole = torch.arange(24.0).reshape(4, 6)
    parts = {"columns": whole[:, 1:3], "turned": whole.T, "none": whole[:0], "one": whole[3, 5]}
    torch.testing.assert_close(read_upstream(save(parts)), parts, rtol=0, atol=0)


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "x.safetensors")
    torch.testing.assert_close(read_upstream(tmp_path / "x.safetensors"), dict(STATE))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is not a checkpoint but a web page"),
        (b"\xef\xbb\xbf\r\n <html>", "is not a checkpoint but a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "but a Git LFS pointer"),
        (b'{"error": "not found"}', "neither torch.save nor safetensors wrote it"),
        (b"cposix\nsystem\n(S'touch ran'\ntR.", "neither torch.save nor safetensors wrote it"),
        (b"\x80\x02K\x01.", "a Python pickle that torch.save did not write"),
        (b"\x80\x05K\x01.", "its pickle, of protocol 5, could run code"),
        (b"\x80\x02\xff", "its pickle is damaged or cut short"),
        (b"\x80", "its pickle is damaged or cut short"),
        (b"\x80\x02.", "its pickle is malformed"),
        (b"PK\x03\x04", "is damaged or cut short: its end is missing"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all", "is damaged or cut short"),
    ],
)
def test_the_error_says_what_a_file_that_is_no_checkpoint_is(tmp_path, content, message):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match=message) as caught:
        read_upstream(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"there is no checkpoint .*none\.pth"):
        read_upstream(tmp_path / "none.pth")
    with pytest.raises(RuntimeError, match=r"is not a file"):
        read_upstream(tmp_path)
    with pytest.raises(RuntimeError, match="could not be read: File name too long"):
        read_upstream(tmp_path / ("x" * 300))


@pytest.mark.parametrize("kept", [10, 300, -200, -1])
def test_a_checkpoint_cut_short_is_refused(save, kept):
    path = save(STATE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RuntimeError, match="damaged or cut short"):
        read_upstream(path)


def test_a_flipped_bit_of_a_weight_is_noticed_by_the_checksum(tmp_path):
    torch.save(STATE, tmp_path / "x.pth")
    data = bytearray((tmp_path / "x.pth").read_bytes())
    data[data.index(STATE["a.weight"].numpy().tobytes()) + 5] ^= 1
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(RuntimeError, match=r"damaged .* checksum of x/data/0"):
        read_upstream(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}}, "holds no tensors by name$"),
        ([torch.ones(1)], "holds no tensors by name$"),
        ({"model": {"w": torch.ones(1)}, "epoch": 3}, "no tensors by name but model, epoch"),
        ({"w": torch.ones(1), "epoch\n\x1b[2J": 3}, r"more than tensors: epoch\?\?\[2J$"),
        ({"w": torch.ones(1), 3: torch.ones(1)}, "holds more than tensors: 3"),
    ],
    ids=["empty", "list", "other wrapper", "mixed", "numbered"],
)
def test_content_without_a_state_dict_is_refused(save, content, message):
    with pytest.raises(RuntimeError, match=message):
        read_upstream(save(content))


def test_torch_loads_weights_only_and_tries_no_tar_archive(save, monkeypatch):
    passed = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: passed.append(k) or load(*a, **k))
    monkeypatch.setattr(tarfile, "open", lambda *a, **k: pytest.fail("tarfile was opened"))
    read_upstream(save(STATE))
    assert [options["weights_only"] for options in passed] == [True]


ATTACKS = {
    "posix.system": lambda ran: Call(os.system, f"touch {ran}"),
    "__builtin__.exec": lambda ran: Call(builtins.exec, f"open({str(ran)!r}, 'w')"),
    "__builtin__.eval": lambda ran: Call(builtins.eval, f"open({str(ran)!r}, 'w')"),
    "__builtin__.bytearray": lambda ran: Call(bytearray, 10**12),
    "torch._tensor._rebuild_from_type_v2": lambda ran: Call(
        torch._tensor._rebuild_from_type_v2, torch.ones, torch.Tensor, (10**6, 10**6), {}
    ),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(
    save, unloadable, tmp_path, attack, protocol
):
    ran = tmp_path / "ran"
    path = save({"state_dict": STATE, "x": ATTACKS[attack](ran)}, pickle_protocol=protocol)
    named = {
        2: rf"a pickle that would run {attack}.* when read",
        4: "of protocol 4, could run code",
    }
    with pytest.raises(RuntimeError, match=named[protocol]):
        read_upstream(path)
    assert not ran.exists()


def test_the_attacks_work_on_an_unsafe_reader(save, tmp_path):
    path = save(ATTACKS["posix.system"](tmp_path / "ran"))
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_bare_pickle_is_refused_and_runs_nothing(unloadable, tmp_path, protocol):
    attack = Call(os.system, f"touch {tmp_path / 'ran'}")
    (tmp_path / "x.pth").write_bytes(pickle.dumps(attack, protocol))
    with pytest.raises(RuntimeError, match=r"would run posix\.system|could run code"):
        read_upstream(tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_whole_pickled_model_is_named_as_one(save, unloadable):
    with pytest.raises(RuntimeError, match=r"whole pickled model, whose code \(torch\.nn\."):
        read_upstream(save(nn.Sequential(nn.Linear(1, 1))))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            lambda: {"w": torch.ones(1).expand(10**9)},
            r"\(1000000000,\) in a storage of 1 elements",
        ),
        (lambda: {"w": torch.ones(2).view(*[1] * 9, 2)}, "a malformed shape"),
        (lambda: Call(OrderedDict, attributes={"items": 3}), "sets attributes"),
        (lambda: {((), ()): torch.ones(1)}, "holds tuple where another type"),
        (lambda: {"w": torch.ones(1).to_sparse()}, "would run torch._utils._rebuild_sparse_tensor"),
        (lambda: {"w": torch.ones(2, dtype=torch.complex64)}, "run torch.ComplexFloatStorage"),
        (lambda: {"w": "x" * 5 * 2**20}, "damaged|holds more than tensors"),
    ],
    ids=["expanded", "many axes", "hidden method", "tuple as key", "sparse", "complex", "long"],
)
def test_content_that_would_exhaust_or_confuse_is_refused(save, unloadable, content, message):
    with pytest.raises(RuntimeError, match=message):
        read_upstream(save(content()))


def test_a_zip_archive_that_torch_did_not_write_is_named_as_one(unloadable, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(RuntimeError, match=r"a zip archive, but not one that torch\.save wrote"):
        read_upstream(tmp_path / "x.pth")


def test_a_torchscript_archive_is_a_program(unloadable, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        archive.writestr("x/constants.pkl", b"\x80\x02).")
    with pytest.raises(RuntimeError, match="TorchScript archive, which is a program"):
        read_upstream(tmp_path / "x.pth")


@pytest.fixture
def zipped(tmp_path):
    torch.save({"w": torch.ones(12)}, tmp_path / "x.pth")
    return tmp_path / "x.pth"


def test_an_archive_rewritten_by_another_program_is_read(zipped):
    torch.testing.assert_close(read_upstream(rezipped(zipped)), {"w": torch.ones(12)})


def test_a_storage_declared_larger_than_its_data_is_refused(zipped, unloadable):
    path = edited_pickle(zipped, b"K\x0ct", b"J\x00\x00\x00\x40t")
    with pytest.raises(RuntimeError, match="4294967296 bytes of a tensor are 48"):
        read_upstream(path)


def test_a_missing_storage_is_refused(zipped, unloadable):
    with pytest.raises(RuntimeError, match="48 bytes of a tensor are missing"):
        read_upstream(edited_pickle(zipped, b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x007"))


@pytest.mark.parametrize("key", [b"../", b"1e1"])
def test_a_storage_key_must_be_a_number(zipped, unloadable, key):
    path = edited_pickle(zipped, b"X\x01\x00\x00\x000", b"X\x03\x00\x00\x00" + key)
    with pytest.raises(RuntimeError, match="a storage without a number"):
        read_upstream(path)


def test_a_zip_bomb_is_refused(zipped, unloadable):
    path = rezipped(zipped, lambda name, data: bytes(10**7), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**5
    with pytest.raises(RuntimeError, match="would unpack to more than it is"):
        read_upstream(path)


def test_an_oversized_list_of_records_is_not_read(zipped, unloadable):
    length = 5 * 2**20
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 9, 9, length, 4, 0)
    zipped.write_bytes(b"PK\x03\x04" + bytes(length) + end)
    with pytest.raises(RuntimeError, match="it lists 5242880 bytes of records"):
        read_upstream(zipped)


def test_records_that_share_their_bytes_are_refused(zipped, unloadable):
    with zipfile.ZipFile(zipped, "a") as archive:
        for number in range(9):
            shared = copy.copy(archive.getinfo("x/.data/serialization_id"))
            shared.filename = f"x/data/{number + 1}{'0' * 200}"
            shared.file_size = shared.compress_size = 1000
            archive.filelist.append(shared)
            archive._didModify = True
    with pytest.raises(RuntimeError, match="would unpack to more than it is"):
        read_upstream(zipped)


def test_compressed_records_are_refused(zipped, unloadable):
    with pytest.raises(RuntimeError, match="would unpack to more than it is"):
        read_upstream(rezipped(zipped, compression=zipfile.ZIP_DEFLATED))


def with_field(data, start, value):
    """Replace the 64-bit number at index `start` of an archive."""
    return data[:start] + struct.pack("<Q", value) + data[start + 8 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"more",
        lambda data: data[:30] + b"+" + data[30:],
        lambda data: data[:-2] + b"\1\0",
        lambda data: with_field(data, -34, len(data) - 99),
        lambda data: with_field(data, -50, 0),
    ],
    ids=["after", "before", "comment", "end", "directory"],
)
def test_an_archive_that_two_readers_could_see_differently_is_refused(zipped, unloadable, change):
    zipped.write_bytes(change(zipped.read_bytes()))
    with pytest.raises(RuntimeError, match=r"its (end|list of records) is"):
        read_upstream(zipped)


def test_names_that_are_not_text_count_as_damage(zipped, unloadable):
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("ä/data.pkl", b"")
    zipped.write_bytes(zipped.read_bytes().replace("ä".encode(), b"\xc3\xc3"))
    with pytest.raises(RuntimeError, match="damaged or cut short: 'utf-8'"):
        read_upstream(zipped)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["x/data.pkl", "X/DATA.PKL"])
def test_two_records_of_one_name_are_refused(zipped, unloadable, name):
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr(name, b"\x80\x02}.")
    with pytest.raises(RuntimeError, match="two records of one name"):
        read_upstream(zipped)


@pytest.fixture
def legacy(tmp_path):
    torch.save({"w": torch.ones(12)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    return tmp_path / "x.pth"


def test_a_legacy_file_of_another_size_than_it_declares_is_refused(legacy, unloadable):
    whole = legacy.read_bytes()
    legacy.write_bytes(whole + b"more")
    with pytest.raises(RuntimeError, match=f"{len(whole) + 4} bytes where {len(whole)} should be"):
        read_upstream(legacy)
    at = whole.index(b"K\x0c")
    legacy.write_bytes(whole[:at] + b"J\x00\x00\x00\x40" + whole[at + 2 :])
    with pytest.raises(RuntimeError, match=r"bytes where 429496\d+ should be"):
        read_upstream(legacy)


def test_a_legacy_file_whose_two_lists_of_storages_differ_is_refused(legacy, unloadable):
    whole = legacy.read_bytes()
    at = whole.rindex(b"X")
    legacy.write_bytes(whole[: at + 5] + b"7" + whole[at + 6 :])
    with pytest.raises(RuntimeError, match="its list of storages differs from"):
        read_upstream(legacy)


def mutated(data, chance):
    """Return `data` with a few bytes changed, a range removed, or a range copied elsewhere."""
    data = bytearray(data)
    start, length, target = (chance.randrange(len(data)) for _ in range(3))
    length = min(length, 40)
    match chance.randrange(5):
        case 0 | 1:
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        case 2:
            del data[start:]
        case 3:
            del data[start : start + length]
        case 4:
            data[target:target] = data[start : start + length]
    return bytes(data)


def bytes_of(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["zip", "pickle in zip", "legacy", "safetensors"])
def test_a_corrupted_file_is_read_or_refused_with_a_message(tmp_path, kind):
    chance = random.Random(0)
    path = tmp_path / "x.pth"
    content = {"state_dict": STATE, "lr": [5e-5], "step": 10**6}
    if kind == "safetensors":
        save_file(STATE, path)
        whole = path.read_bytes()
    else:
        whole = bytes_of(content, _use_new_zipfile_serialization=kind != "legacy")
    refused = 0
    for _ in range(400):
        if kind == "pickle in zip":
            path.write_bytes(whole)
            edit = lambda n, d: mutated(d, chance) if n.endswith("data.pkl") else d  # noqa: E731
            target = rezipped(path, edit)
        else:
            path.write_bytes(mutated(whole, chance))
            target = path
        try:
            tensors = read_upstream(target)
        except RuntimeError as error:
            refused += 1
            assert str(target) in str(error)
            assert "\n" not in str(error)
        else:
            numbers = sum(tensor.numel() for tensor in tensors.values())
            assert numbers <= 4 * len(whole)
    assert refused > 150
