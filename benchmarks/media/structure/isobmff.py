"""Boxes of ISO/IEC 14496-12 and atoms of QuickTime: mp4, fragmented mp4, mov."""

import struct
from random import Random

from benchmarks.media.structure.element import Element, Field, Format, no_trailer, root, table

# Boxes with children, and the bytes before these.
PARENTS = {
    **dict.fromkeys(("moov", "trak", "mdia", "minf", "stbl", "edts", "dinf", "udta"), 0),
    **dict.fromkeys(("mvex", "moof", "traf", "mfra", "wave", "gmhd"), 0),
    **dict.fromkeys(("stsd", "dref"), 8),
    **dict.fromkeys(("avc1", "mp4v", "hev1", "hvc1"), 78),
    **dict.fromkeys(("mp4a", "Opus", "fLaC", "sowt", "alac", ".mp3"), 28),
}
AUDIO = ("mp4a", "Opus", "fLaC", "sowt", "alac", ".mp3")
# Name, position and width of the fields of version 0.
FIELDS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "mvhd": (("timescale", 12, 4), ("duration", 16, 4), ("rate", 20, 4), ("next track", 96, 4)),
    "tkhd": (
        *(("flags", 3, 1), ("track", 12, 4), ("duration", 20, 4), ("layer", 32, 2)),
        *(("group", 34, 2), ("volume", 36, 2), ("width", 76, 4), ("height", 80, 4)),
    ),
    "mdhd": (("timescale", 12, 4), ("duration", 16, 4), ("language", 20, 2)),
    "hdlr": (("handler", 8, 4),),
    "stsz": (("sample size", 4, 4), ("count", 8, 4)),
    "trex": (("track", 4, 4), ("description", 8, 4), ("duration", 12, 4), ("size", 16, 4)),
    "tfhd": (("flags", 1, 3), ("track", 4, 4), ("value", 8, 4), ("value", 12, 4)),
    "tfdt": (("base time", 4, 8),),
    "mfhd": (("sequence", 4, 4),),
    "trun": (("flags", 1, 3), ("count", 4, 4), ("data offset", 8, 4)),
    "mehd": (("duration", 4, 4),),
    "sidx": (("track", 4, 4), ("timescale", 8, 4), ("earliest", 12, 4), ("first", 16, 4)),
    "stsd": (("count", 4, 4),),
}
TABLES: dict[str, tuple[tuple[str, int], ...]] = {
    "elst": (("duration", 4), ("media time", 4), ("rate", 4)),
    "stts": (("count", 4), ("delta", 4)),
    "ctts": (("count", 4), ("offset", 4)),
    "stsc": (("first chunk", 4), ("samples", 4), ("description", 4)),
    "stco": (("offset", 4),),
    "stss": (("sample", 4),),
    "sgpd": (("value", 4),),
    "sbgp": (("value", 4),),
}


def parse(data: bytes) -> Element:
    """Read the boxes of a file."""
    return root(_boxes(data))


def _boxes(data: bytes) -> list[Element]:
    found, at = [], 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        header = 8
        if size == 1 and at + 16 <= len(data):
            size, header = struct.unpack(">Q", data[at + 8 : at + 16])[0], 16
        elif size == 0:
            size = len(data) - at
        if not header <= size <= len(data) - at:
            break
        contents = data[at + header : at + size]
        found.append(_box(name.decode("latin-1"), contents, b"64" if header == 16 else b""))
        at += size
    if at < len(data):
        found.append(Element("rest", data[at:], header=b""))
    return found


def _box(name: str, contents: bytes, info: bytes) -> Element:
    before = PARENTS.get(name)
    if name in AUDIO and len(contents) >= 28:
        # QuickTime's sample description of version 1 is 16 bytes longer, that of version 2, 36.
        before = 28 + {1: 16, 2: 36}.get(int.from_bytes(contents[8:10]), 0)
    if before is None or len(contents) < before:
        return Element(name, contents, None, info)
    return Element(name, contents[:before], _boxes(contents[before:]), info)


def header(box: Element, contents: bytes) -> bytes:
    """Write size and type; 64 bits where the box had them or needs them."""
    name, size = box.name.encode("latin-1"), 8 + len(contents)
    if box.info == b"64" or size >= 1 << 32:
        return struct.pack(">I4sQ", 1, name, size + 8)
    return struct.pack(">I4s", size, name)


def resized(box: Element, contents: bytes, rng: Random) -> bytes:
    """Declare another size, or the same in 64 bits."""
    name, size = box.name.encode("latin-1"), 8 + len(contents)
    large = rng.choice(
        (None, None, size + 8, size + 9, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1, 0)
    )
    if large is not None:
        return struct.pack(">I4sQ", 1, name, large)
    small = rng.choice((0, 1, 2, 7, 8, 9, size - 1, size + 1, size * 2, 1 << 31, (1 << 32) - 1))
    return struct.pack(">I4s", small, name)


def fields(box: Element) -> list[Field]:
    """Return the fields of a box that have a meaning."""
    name, body = box.name, box.body
    found = [Field(f"{name}.{field}", at, width) for field, at, width in FIELDS.get(name, ())]
    if name in ("mvhd", "tkhd"):
        first = 36 if name == "mvhd" else 40
        found += [Field(f"{name}.matrix", first + 4 * k, 4) for k in range(9)]
    if name in TABLES:
        found.append(Field(f"{name}.count", 4, 4))
        found += table(body, name, 8, TABLES[name])
    if name == "stsz":
        found += table(body, name, 12, (("size", 4),))
    if name == "trun":
        found += table(body, name, 12, (("value", 4),))
    if name in AUDIO:
        found += [Field("audio.channels", 16, 2), Field("audio.bits", 18, 2)]
        found += [Field("audio.rate", 24, 4), Field("audio.version", 8, 2)]
    elif PARENTS.get(name) == 78:
        found += [Field("video.width", 24, 2), Field("video.height", 26, 2)]
    if name in ("avcC", "esds", "dOps", "dfLa", "hvcC", "colr", "pasp", "btrt", "chan", "vmhd"):
        found += [Field(f"{name}.byte", at, 1) for at in range(len(body))]
    return [field for field in found if field.at + field.width <= len(body)]


def _edit_list(tree: Element, rng: Random) -> bool:
    """Give a track another edit list: empty, negative, overlapping, repeated or of no length."""
    tracks = [box for box in tree.walk() if box.name == "trak" and box.children]
    if not tracks:
        return False
    track = rng.choice(tracks)
    assert track.children is not None
    edit = struct.Struct(">IiI")
    one = 1 << 16
    choices = (
        [],
        [(rng.randrange(1, 2000), -1, one), (4000, 0, one)],
        [(4000, -rng.randrange(2, 5000), one)],
        [(2000, 0, one), (2000, rng.randrange(0, 20000), one)],
        [(0, rng.randrange(0, 48000), one)],
        [(4000, rng.randrange(0, 48000), one)],
        [(4000, 0, rng.choice((0, 2 * one, 1 << 31)))],
        [(1, 0, one)] * rng.choice((3, 4000)),
        [((1 << 32) - 1, (1 << 31) - 1, one)],
    )
    edits = rng.choice(choices)
    body = bytes(4) + struct.pack(">I", len(edits)) + b"".join(edit.pack(*e) for e in edits)
    lists = Element("edts", b"", [Element("elst", body)])
    track.children[:] = [box for box in track.children if box.name != "edts"]
    track.children.insert(min(1, len(track.children)), lists)
    return True


def _swap_tracks(tree: Element, rng: Random) -> bool:
    """Exchange the numbers of two tracks, or give both the same."""
    headers = [box for box in tree.walk() if box.name == "tkhd" and len(box.body) >= 16]
    if len(headers) < 2:
        return False
    number = Field("track", 12, 4)
    a, b = rng.sample(headers, 2)
    first, second = number.get(a.body), number.get(b.body)
    a.body = number.put(a.body, second)
    if rng.random() < 0.7:
        b.body = number.put(b.body, first)
    return True


def _matrix(tree: Element, rng: Random) -> bool:
    """Rotate, mirror, scale or degrade the display matrix of a track."""
    headers = [box for box in tree.walk() if box.name == "tkhd" and len(box.body) >= 76]
    if not headers:
        return False
    box, one = rng.choice(headers), 1 << 16
    turned = ((0, one, -one, 0), (-one, 0, 0, -one), (0, -one, one, 0), (-one, 0, 0, one))
    skewed = ((46341, 46341, -46341, 46341), (2 * one, 0, 0, one))
    degenerate = ((0, 0, 0, 0), (-(1 << 31), 1, 1, (1 << 31) - 1))
    a, b, c, d = rng.choice((*turned, *skewed, *degenerate))
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, rng.choice((1 << 30, 1 << 30, 0, -1)))
    box.body = box.body[:40] + matrix + box.body[76:]
    return True


ISOBMFF = Format(
    parse,
    header,
    no_trailer,
    fields,
    resized,
    {"edit list": _edit_list, "track numbers": _swap_tracks, "display matrix": _matrix},
)
