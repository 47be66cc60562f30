"""What a pickle of tensors declares, found without running any of it.

A pickle is a program. This reads it as torch's `weights_only` reader would, with fewer words: what
torch would call becomes a record of the call, no tensor is made, and every size is checked against
what the pickle itself declares. What passes here can neither run code nor, loaded by torch, take
more memory than its storages.
"""

from collections.abc import Callable, Iterator
from math import prod
from pickletools import genops
from typing import Any, BinaryIO, NamedTuple

LIMIT = 4 * 2**20  # bytes; the pickle of VocaLiST with its optimizer takes 0.2 MB
MAX_DIMS = 8
LONGEST_NAME = 80  # characters that a message shows
ORDERED_DICT = "collections OrderedDict"
TENSORS = ("torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2")
PARAMETER = "torch._utils _rebuild_parameter"
ITEM_BYTES = {
    **dict.fromkeys(("torch ByteStorage", "torch CharStorage", "torch BoolStorage"), 1),
    **dict.fromkeys(("torch HalfStorage", "torch BFloat16Storage", "torch ShortStorage"), 2),
    **dict.fromkeys(("torch FloatStorage", "torch IntStorage"), 4),
    **dict.fromkeys(("torch DoubleStorage", "torch LongStorage"), 8),
}
KNOWN = {ORDERED_DICT, *TENSORS, PARAMETER, *ITEM_BYTES}
LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING")


class Storage(NamedTuple):
    """Numbers that the pickle refers to; they lie outside it under `key`."""

    key: str
    numel: int
    item_bytes: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.numel * self.item_bytes


class Scanned(NamedTuple):
    """The content of a pickle with records in place of tensors, and the storages by key."""

    content: Any
    storages: dict[str, Storage]


class _Global(NamedTuple):
    name: str


class _View(NamedTuple):
    storage: Storage


def foreign_names(stream: BinaryIO) -> list[str]:
    """Dotted names of the functions and classes that a pickle asks for and tensors do not need."""
    names = dict.fromkeys(name for code, name in _operations(stream) if code == "GLOBAL")
    return [shown(name.replace(" ", ".")) for name in names if name not in KNOWN]


def shown(name: str) -> str:
    """A name out of a file that is not trusted, as it may stand in a message on a terminal."""
    printable = "".join(c if c.isprintable() else "?" for c in name[:LONGEST_NAME])
    return printable + "..." * (len(name) > LONGEST_NAME)


def scan(stream: BinaryIO) -> Scanned:
    """Reads one pickle up to its end; ValueError where it is damaged or no pickle of tensors."""
    machine = _Machine()
    try:
        for code, argument in _operations(stream):
            machine.step(code, argument)
        return Scanned(machine.stack[-1], machine.storages)
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"its pickle makes no sense: {error}") from error


def _operations(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    try:
        for code, argument, _ in genops(stream):
            yield code.name, argument
    except ValueError as error:
        raise ValueError(f"its pickle is damaged or cut short: {error}") from error


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def step(self, code: str, argument: Any) -> None:
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
            self.outer.append(stack)
            self.stack = []
        elif code == "GLOBAL":
            if argument not in KNOWN:
                raise ValueError(f"its pickle asks for {shown(argument)}")
            stack.append(_Global(argument))
        elif code in ACTIONS:
            ACTIONS[code](self)
        elif code == "PROTO":
            if argument != 2:
                raise ValueError(
                    f"its pickle, of protocol {argument}, could run code; torch.save's is 2"
                )
        elif code != "STOP":
            raise ValueError(f"its pickle says {code}, which torch.save does not write")

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def tuple_since_mark(self) -> None:
        items = tuple(self.since_mark())
        self.stack.append(items)

    def tuple_of(self, count: int) -> None:
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def extend(self, items: list[Any]) -> None:
        _of(list, self.stack[-1]).extend(items)

    def update(self, items: list[Any]) -> None:
        target = _of(dict, self.stack[-1])
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_of((str, int, float), key)] = value

    def store(self) -> None:
        mark, kind, key, place, numel, *view = _of(tuple, self.stack.pop())
        if mark != "storage" or view not in ([], [None]) or not isinstance(place, str):
            raise ValueError("its pickle refers to something other than a storage")
        if not (isinstance(key, str) and key.isascii() and key.isdigit()) or not _counts([numel]):
            raise ValueError("its pickle refers to a storage without a number or a size")
        storage = Storage(key, numel, ITEM_BYTES[_of(_Global, kind).name])
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"its pickle gives storage {key} two sizes")
        self.stack.append(storage)

    def call(self) -> None:
        arguments = _of(tuple, self.stack.pop())
        name = _of(_Global, self.stack.pop()).name
        if name == ORDERED_DICT:
            self.stack.append({})
            # Python 2 gives the items to the constructor.
            for pair in arguments[0] if arguments else ():
                self.update(list(pair))
        elif name in TENSORS:
            self.stack.append(_view(*arguments))
        elif name == PARAMETER:
            value, requires_grad, hooks = arguments
            _check_extras(requires_grad, hooks)
            self.stack.append(_of(_View, value))
        else:
            raise ValueError(f"its pickle calls {name}")

    def build(self) -> None:
        # The state of a state dict is `_metadata`; any other could hide a method of the dict.
        state = _of(dict, self.stack.pop())
        if not isinstance(self.stack[-1], dict) or set(state) - {"_metadata"}:
            raise ValueError("its pickle sets attributes")


ACTIONS: dict[str, Callable[[_Machine], None]] = {
    "EMPTY_DICT": lambda machine: machine.stack.append({}),
    "EMPTY_LIST": lambda machine: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine: machine.stack.append(()),
    "TUPLE": _Machine.tuple_since_mark,
    "TUPLE1": lambda machine: machine.tuple_of(1),
    "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE3": lambda machine: machine.tuple_of(3),
    "APPEND": lambda machine: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine: machine.update([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine: machine.update(machine.since_mark()),
    "BINPERSID": _Machine.store,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}


def _view(
    storage: Any,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool = False,
    hooks: Any = None,
) -> _View:
    _check_extras(requires_grad, hooks)
    storage = _of(Storage, storage)
    sizes = [offset, *_of(tuple, shape), *_of(tuple, strides)]
    if len(shape) != len(strides) or len(shape) > MAX_DIMS or not _counts(sizes):
        raise ValueError("its pickle gives a tensor a shape that makes no sense")
    # By a stride of 0, one number could be seen a billion times, and fill the memory when copied.
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if prod(shape) > storage.numel or (prod(shape) and last >= storage.numel):
        raise ValueError(f"its pickle sees a tensor {shape} in {storage.numel} numbers")
    return _View(storage)


def _check_extras(requires_grad: Any, hooks: Any) -> None:
    if not isinstance(requires_grad, bool) or hooks not in ({}, None):
        raise ValueError("its pickle holds a tensor with hooks")


def _counts(numbers: list[Any]) -> bool:
    return all(isinstance(n, int) and 0 <= n < 2**40 for n in numbers)


def _of(kind: Any, value: Any) -> Any:
    # NamedTuples of ours are tuples too, but no pickle means them by one.
    if not isinstance(value, kind) or (kind is tuple and type(value) is not tuple):
        raise ValueError(f"its pickle holds {type(value).__name__} where something else must be")
    return value
