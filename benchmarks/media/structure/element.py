"""Elements of a container (boxes, chunks, packets, pages, tags) as a tree, and their fields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

Order = Literal["big", "little"]


@dataclass
class Element:
    """An element of a container; its contents are the body, then the children.

    Args:
        name: type of the element, as the container has it.
        body: bytes of a leaf, or what a parent holds before its children.
        children: elements inside; None for a leaf.
        info: what the format needs to write the header again.
        header: replaces the header that the format would write.
    """

    name: str
    body: bytes = b""
    children: list["Element"] | None = None
    info: bytes = b""
    header: bytes | None = None

    def walk(self) -> Iterator["Element"]:
        """Yield the elements below this one, in the order of the file."""
        for child in self.children or ():
            yield child
            yield from child.walk()

    def copy(self) -> "Element":
        children = None if self.children is None else [child.copy() for child in self.children]
        return Element(self.name, self.body, children, self.info, self.header)


class Field(NamedTuple):
    """An integer in the body of an element.

    Args:
        name: what the field means; fields of a name have one meaning.
        at: position of its first byte.
        width: bytes that hold it.
        order: byte order.
        shift: bits of these bytes below the field.
        bits: bits of the field; 0 for all.
        coding: `stamp` for the 33 bits of MPEG's PTS and DTS in 5 bytes, `clock` for its PCR in 6.
    """

    name: str
    at: int
    width: int
    order: Order = "big"
    shift: int = 0
    bits: int = 0
    coding: Literal["integer", "stamp", "clock"] = "integer"

    @property
    def size_bits(self) -> int:
        return 33 if self.coding != "integer" else self.bits or 8 * self.width

    def get(self, body: bytes) -> int:
        """Read the field."""
        whole = int.from_bytes(body[self.at : self.at + self.width], self.order)
        if self.coding == "stamp":  # ISO/IEC 13818-1, 2.4.3.7: 3, 15 and 15 bits, each with a 1.
            return (whole >> 33 & 7) << 30 | (whole >> 17 & 0x7FFF) << 15 | whole >> 1 & 0x7FFF
        if self.coding == "clock":  # 2.4.3.5: 33 bits of 90 kHz, 6 reserved, 9 of 27 MHz.
            return whole >> 15
        return whole >> self.shift & (1 << self.size_bits) - 1

    def put(self, body: bytes, value: int) -> bytes:
        """Return the body with another value, modulo the size of the field."""
        value %= 1 << self.size_bits
        whole = int.from_bytes(body[self.at : self.at + self.width], self.order)
        if self.coding == "stamp":
            whole = whole >> 36 << 36 | 1 << 32 | 1 << 16 | 1
            whole |= value >> 30 << 33 | (value >> 15 & 0x7FFF) << 17 | (value & 0x7FFF) << 1
        elif self.coding == "clock":
            whole = whole & 0x7FFF | value << 15
        else:
            mask = (1 << self.size_bits) - 1 << self.shift
            whole = whole & ~mask | value << self.shift
        return (
            body[: self.at] + whole.to_bytes(self.width, self.order) + body[self.at + self.width :]
        )


# A mutation that only one container has: changes the tree in place; False if it does not apply.
Special = Callable[[Element, Random], bool]


class Format(NamedTuple):
    """How the elements of a container are read, written and understood.

    Args:
        parse: reads a file into the children of an element without a name.
        header: header of an element with the given contents.
        trailer: what follows the contents.
        fields: the fields of an element.
        resized: a header that declares another size; in packets, bytes that lose the beat of them.
        seal: makes checksums and lengths inside a changed element consistent again.
        renames: whether the name of an element is written in its header.
        specials: mutations of this container, by name.
    """

    parse: Callable[[bytes], Element]
    header: Callable[[Element, bytes], bytes]
    trailer: Callable[[Element, bytes], bytes]
    fields: Callable[[Element], list[Field]]
    resized: Callable[[Element, bytes, Random], bytes]
    specials: dict[str, Special]
    seal: Callable[[Element], None] | None = None
    renames: bool = True

    def write(self, element: Element) -> bytes:
        """Return the bytes of an element and of all below it."""
        contents = element.body + b"".join(self.write(child) for child in element.children or ())
        header = element.header
        if header is None:
            header = self.header(element, contents)
        return header + contents + self.trailer(element, contents)


def root(children: list[Element]) -> Element:
    """Return the element that stands for a file."""
    return Element("", b"", children, header=b"")


def no_trailer(element: Element, contents: bytes) -> bytes:
    """Return nothing: most elements end with their contents."""
    return b""


def table(
    body: bytes, name: str, first: int, columns: tuple[tuple[str, int], ...], order: Order = "big"
) -> Iterator[Field]:
    """Yield the fields of the rows of a table that fills the rest of a body."""
    width = sum(size for _, size in columns)
    for at in range(first, len(body) - width + 1, width):
        for column, size in columns:
            yield Field(f"{name}.{column}", at, size, order)
            at += size


def crc32(data: bytes, start: int) -> int:
    """Return the checksum of MPEG sections (start: all ones) and Ogg pages (start: 0)."""
    crc = start
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    return crc


def _crc_of(byte: int) -> int:
    crc = byte << 24
    for _ in range(8):
        crc = crc << 1 ^ (0x104C11DB7 if crc & 1 << 31 else 0)
    return crc


_CRC = [_crc_of(byte) for byte in range(256)]
