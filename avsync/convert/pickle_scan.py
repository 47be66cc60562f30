"""Scan a pickle of tensors without executing it.

A pickle is a program. This scanner accepts a subset of what torch's `weights_only` reader accepts:
a call that torch would make becomes a record of that call, no tensor is created, and every size is
checked against the sizes that the pickle itself declares. A pickle that passes can neither run code
nor, loaded by torch, take more memory than its storages.
"""

from collections.abc import Callable, Iterator
from math import prod
from pickletools import genops
from typing import Any, BinaryIO, NamedTuple

MAX_PICKLE_BYTES = 4 * 2**20  # the pickle of VocaLiST with its optimizer takes 0.2 MB
MAX_DIMS = 8
MAX_NAME_LENGTH = 80  # characters of a name that a message shows
ORDERED_DICT = "collections OrderedDict"
TENSORS = ("torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2")
PARAMETER = "torch._utils _rebuild_parameter"
ITEM_BYTES = {
    **dict.fromkeys(("torch ByteStorage", "torch CharStorage", "torch BoolStorage"), 1),
    **dict.fromkeys(("torch HalfStorage", "torch BFloat16Storage", "torch ShortStorage"), 2),
    **dict.fromkeys(("torch FloatStorage", "torch IntStorage"), 4),
    **dict.fromkeys(("torch DoubleStorage", "torch LongStorage"), 8),
}
SAFE_GLOBALS = {ORDERED_DICT, *TENSORS, PARAMETER, *ITEM_BYTES}
LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING")


class StorageRecord(NamedTuple):
    """A storage that the pickle declares; its `numel` elements lie outside the pickle, as `key`."""

    key: str
    numel: int
    item_bytes: int

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return self.numel * self.item_bytes


class PickleContents(NamedTuple):
    """The content of a pickle with records instead of tensors, and its storages by key."""

    content: Any
    storages: dict[str, StorageRecord]


def scan_pickle(stream: BinaryIO) -> PickleContents:
    """Scan one pickle up to its end.

    Raises:
        ValueError: the pickle is damaged or holds anything other than tensors and plain values.
    """
    machine = _PickleMachine()
    try:
        for code, argument in _operations(stream):
            machine.execute(code, argument)
        return PickleContents(machine.stack[-1], machine.storages)
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"its pickle is malformed: {error}") from error


def unsafe_globals(stream: BinaryIO) -> list[str]:
    """List the functions and classes a pickle references that tensors do not need, dotted."""
    names = dict.fromkeys(name for code, name in _operations(stream) if code == "GLOBAL")
    return [printable_name(name.replace(" ", ".")) for name in names if name not in SAFE_GLOBALS]


def printable_name(name: str) -> str:
    """Return a name from an untrusted file in a form that is safe to print on a terminal."""
    printable = "".join(c if c.isprintable() else "?" for c in name[:MAX_NAME_LENGTH])
    return printable + "..." * (len(name) > MAX_NAME_LENGTH)


def _operations(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    try:
        for code, argument, _ in genops(stream):
            yield code.name, argument
    except ValueError as error:
        raise ValueError(f"its pickle is damaged or cut short: {error}") from error


class _GlobalRecord(NamedTuple):
    name: str


class _TensorRecord(NamedTuple):
    storage: StorageRecord


class _PickleMachine:
    """The pickle virtual machine, reduced to the opcodes that `torch.save` writes."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.outer_stacks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, StorageRecord] = {}

    def execute(self, code: str, argument: Any) -> None:
        stack = self.stack
        if code in VALUES:
            # torch reads these bytes as UTF-8, genops as Latin-1: ASCII is the same in both.
            if code == "SHORT_BINSTRING" and not argument.isascii():
                raise ValueError("its pickle holds a name that is not ASCII")
            stack.append(argument)
        elif code in LITERALS:
            stack.append(LITERALS[code])
        elif code in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif code == "MARK":
            self.outer_stacks.append(stack)
            self.stack = []
        elif code == "GLOBAL":
            if argument not in SAFE_GLOBALS:
                raise ValueError(f"its pickle references {printable_name(argument)}")
            stack.append(_GlobalRecord(argument))
        elif code in ACTIONS:
            ACTIONS[code](self)
        elif code == "PROTO":
            if argument != 2:
                raise ValueError(
                    f"its pickle, of protocol {argument}, could run code; torch.save's is 2"
                )
        elif code != "STOP":
            raise ValueError(f"its pickle has opcode {code}, which torch.save does not write")

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer_stacks.pop()
        return items

    def tuple_since_mark(self) -> None:
        items = tuple(self.since_mark())
        self.stack.append(items)

    def tuple_of(self, count: int) -> None:
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def extend(self, items: list[Any]) -> None:
        _checked(list, self.stack[-1]).extend(items)

    def update(self, items: list[Any]) -> None:
        target = _checked(dict, self.stack[-1])
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_checked((str, int, float), key)] = value

    def load_storage(self) -> None:
        mark, kind, key, device, numel, *view = _checked(tuple, self.stack.pop())
        if mark != "storage" or view not in ([], [None]) or not isinstance(device, str):
            raise ValueError("its pickle refers to something other than a storage")
        if not (isinstance(key, str) and key.isascii() and key.isdigit()) or not _are_sizes(
            [numel]
        ):
            raise ValueError("its pickle refers to a storage without a number or a size")
        storage = StorageRecord(key, numel, ITEM_BYTES[_checked(_GlobalRecord, kind).name])
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"its pickle gives storage {key} two sizes")
        self.stack.append(storage)

    def call(self) -> None:
        arguments = _checked(tuple, self.stack.pop())
        name = _checked(_GlobalRecord, self.stack.pop()).name
        if name == ORDERED_DICT:
            self.stack.append({})
            # Python 2 passes the items to the constructor.
            for pair in arguments[0] if arguments else ():
                self.update(list(pair))
        elif name in TENSORS:
            self.stack.append(_rebuild_tensor(*arguments))
        elif name == PARAMETER:
            value, requires_grad, hooks = arguments
            _check_extras(requires_grad, hooks)
            self.stack.append(_checked(_TensorRecord, value))
        else:
            raise ValueError(f"its pickle calls {name}")

    def set_state(self) -> None:
        # The state of a state dict is `_metadata`; any other could hide a method of the dict.
        state = _checked(dict, self.stack.pop())
        if not isinstance(self.stack[-1], dict) or set(state) - {"_metadata"}:
            raise ValueError("its pickle sets attributes")


ACTIONS: dict[str, Callable[[_PickleMachine], None]] = {
    "EMPTY_DICT": lambda machine: machine.stack.append({}),
    "EMPTY_LIST": lambda machine: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine: machine.stack.append(()),
    "TUPLE": _PickleMachine.tuple_since_mark,
    "TUPLE1": lambda machine: machine.tuple_of(1),
    "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE3": lambda machine: machine.tuple_of(3),
    "APPEND": lambda machine: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine: machine.update([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine: machine.update(machine.since_mark()),
    "BINPERSID": _PickleMachine.load_storage,
    "REDUCE": _PickleMachine.call,
    "BUILD": _PickleMachine.set_state,
}


def _rebuild_tensor(
    storage: Any,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool = False,
    hooks: Any = None,
) -> _TensorRecord:
    _check_extras(requires_grad, hooks)
    storage = _checked(StorageRecord, storage)
    sizes = [offset, *_checked(tuple, shape), *_checked(tuple, strides)]
    if len(shape) != len(strides) or len(shape) > MAX_DIMS or not _are_sizes(sizes):
        raise ValueError("its pickle gives a tensor a malformed shape")
    # With a stride of 0, one element could be repeated a billion times, and fill the memory when
    # the tensor is copied.
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if prod(shape) > storage.numel or (prod(shape) and last >= storage.numel):
        raise ValueError(
            f"its pickle declares a tensor {shape} in a storage of {storage.numel} elements"
        )
    return _TensorRecord(storage)


def _check_extras(requires_grad: Any, hooks: Any) -> None:
    if not isinstance(requires_grad, bool) or hooks not in ({}, None):
        raise ValueError("its pickle holds a tensor with hooks")


def _are_sizes(numbers: list[Any]) -> bool:
    return all(isinstance(n, int) and 0 <= n < 2**40 for n in numbers)


def _checked(kind: Any, value: Any) -> Any:
    # Our records are NamedTuples, which are tuples too, but no pickle means them by one.
    if not isinstance(value, kind) or (kind is tuple and type(value) is not tuple):
        raise ValueError(f"its pickle holds {type(value).__name__} where another type is expected")
    return value
