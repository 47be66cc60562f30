"""Chunks of RIFF: AVI and WAV."""

import struct
from random import Random

from benchmarks.media.structure.element import Element, Field, Format, root, table

LISTS = ("RIFF", "LIST")
AVIH = ("frame time", "bytes/s", "padding", "flags", "frames", "initial", "streams", "buffer")
STRH = ("scale", "rate", "start", "length", "buffer", "quality", "sample size")


def parse(data: bytes) -> Element:
    """Read the chunks of a file."""
    return root(_chunks(data))


def _chunks(data: bytes) -> list[Element]:
    found, at = [], 0
    while at + 8 <= len(data):
        name, size = struct.unpack("<4sI", data[at : at + 8])
        if at + 8 + size > len(data):
            break
        contents = data[at + 8 : at + 8 + size]
        text = name.decode("latin-1")
        if text in LISTS and size >= 4:
            found.append(Element(text, contents[:4], _chunks(contents[4:])))
        else:
            found.append(Element(text, contents))
        at += 8 + size + size % 2
    if at < len(data):
        found.append(Element("rest", data[at:], header=b""))
    return found


def header(chunk: Element, contents: bytes) -> bytes:
    """Write the name and the size, modulo 32 bits."""
    return struct.pack("<4sI", chunk.name.encode("latin-1"), len(contents) % (1 << 32))


def trailer(chunk: Element, contents: bytes) -> bytes:
    """Pad to an even size."""
    return b"" if chunk.header == b"" else bytes(len(contents) % 2)


def resized(chunk: Element, contents: bytes, rng: Random) -> bytes:
    """Declare another size."""
    n = len(contents)
    size = rng.choice((0, 1, 8, n - 1, n + 1, n + 2, 2 * n, 1 << 31, (1 << 32) - 1, (1 << 31) - 1))
    return struct.pack("<4sI", chunk.name.encode("latin-1"), max(0, size))


def fields(chunk: Element) -> list[Field]:
    """Return the fields of a chunk that have a meaning."""
    name, body = chunk.name, chunk.body
    found = []
    if name == "avih":
        found += [Field(f"avih.{field}", 4 * k, 4, "little") for k, field in enumerate(AVIH)]
        found += [Field("avih.width", 32, 4, "little"), Field("avih.height", 36, 4, "little")]
    elif name == "strh":
        found += [Field("strh.type", 0, 4), Field("strh.handler", 4, 4)]
        found += [Field("strh.flags", 8, 4, "little"), Field("strh.initial", 16, 4, "little")]
        found += [Field(f"strh.{field}", 20 + 4 * k, 4, "little") for k, field in enumerate(STRH)]
    elif name == "strf" and len(body) >= 40:
        at = {"size": 0, "width": 4, "height": 8, "fourcc": 16, "image size": 20}
        found += [Field(f"video.{field}", k, 4, "little") for field, k in at.items()]
        found.append(Field("video.bits", 14, 2, "little"))
    elif name in ("strf", "fmt "):
        for field, at, width in (
            *(("tag", 0, 2), ("channels", 2, 2), ("rate", 4, 4), ("bytes/s", 8, 4)),
            *(("block", 12, 2), ("bits", 14, 2), ("extra size", 16, 2), ("extra", 18, 4)),
        ):
            found.append(Field(f"audio.{field}", at, width, "little"))
    elif name == "idx1":
        columns = (("name", 4), ("flags", 4), ("offset", 4), ("size", 4))
        found += table(body, "idx1", 0, columns, "little")
    elif name in ("dmlh", "fact"):
        found.append(Field(f"{name}.count", 0, 4, "little"))
    elif name.startswith(("indx", "ix")):
        found += table(body, "index", 0, (("value", 4),), "little")
    return [field for field in found if field.at + field.width <= len(body)]


def _stream_start(tree: Element, rng: Random) -> bool:
    """Delay one stream by its start field."""
    headers = [chunk for chunk in tree.walk() if chunk.name == "strh" and len(chunk.body) >= 32]
    if not headers:
        return False
    chunk = rng.choice(headers)
    start = rng.choice((1, 3, 25, 4800, 1 << 31, (1 << 32) - 1))
    chunk.body = Field("start", 28, 4, "little").put(chunk.body, start)
    return True


def _no_index(tree: Element, rng: Random) -> bool:
    """Remove the index, as in a file whose recorder was stopped."""
    children = tree.children or []
    if not children or children[0].children is None:
        return False
    children[0].children[:] = [c for c in children[0].children if c.name != "idx1"]
    return True


RIFF = Format(
    parse, header, trailer, fields, resized, {"stream start": _stream_start, "no index": _no_index}
)
