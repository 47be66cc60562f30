"""EBML elements (RFC 8794) of Matroska and WebM (RFC 9559)."""

from random import Random

from benchmarks.media.structure.element import Element, Field, Format, no_trailer, root

PARENTS = {
    *("1A45DFA3", "18538067", "114D9B74", "4DBB", "1549A966", "1654AE6B", "AE", "E0", "E1"),
    *("1F43B675", "A0", "75A1", "A6", "1C53BB6B", "BB", "B7", "1254C367", "7373", "63C0", "67C8"),
    *("6D80", "6240", "5034", "1043A770", "45B9", "B6"),
}
# Elements with one number, and binary ones whose bytes have a meaning.
NUMBERS = {
    **{"2AD7B1": "timestamp scale", "4489": "duration", "E7": "cluster time", "D7": "track"},
    **{"73C5": "track UID", "83": "track type", "9C": "lacing flag", "23E383": "frame duration"},
    **{"56AA": "codec delay", "56BB": "seek preroll", "23314F": "track timestamp scale"},
    **{"B5": "sample rate", "9F": "channels", "6264": "bits", "B0": "width", "BA": "height"},
    **{"54B0": "display width", "54BA": "display height", "54B2": "display unit"},
    **{"9B": "block duration", "FB": "reference", "75A2": "discard padding", "B3": "cue time"},
    **{"F1": "cue position", "53AC": "seek position", "88": "default flag", "B9": "enabled flag"},
    **{"4286": "version", "42F7": "read version", "42F2": "largest ID", "42F3": "largest size"},
    **{"4287": "doc version", "4285": "doc read version", "AB": "previous size", "A7": "position"},
}
BINARY = {"63A2": "codec private", "86": "codec", "4282": "doc type", "22B59C": "language"}
BLOCKS = ("A3", "A1")
UNKNOWN = {width: (1 << 7 * width) - 1 for width in range(1, 9)}
VOID = "EC"


def parse(data: bytes) -> Element:
    """Read the elements of a file."""
    return root(_elements(data))


def _elements(data: bytes) -> list[Element]:
    found, at = [], 0
    while at < len(data):
        id_width = _width(data[at])
        size_at = at + id_width
        if not 1 <= id_width <= 4 or size_at >= len(data):
            break
        width = _width(data[size_at])
        start = size_at + width
        if width > 8 or start > len(data):
            break
        size = int.from_bytes(data[size_at:start]) & UNKNOWN[width]
        end = len(data) if size == UNKNOWN[width] else start + size
        if end > len(data):
            break
        name = data[at:size_at].hex().upper()
        info, contents = bytes([width, size == UNKNOWN[width]]), data[start:end]
        if name in PARENTS:
            found.append(Element(name, b"", _elements(contents), info))
        else:
            found.append(Element(name, contents, None, info))
        at = end
    if at < len(data):
        found.append(Element("rest", data[at:], header=b""))
    return found


def _width(first: int) -> int:
    return 9 - first.bit_length()


def _size(value: int, width: int) -> bytes:
    return (value | 1 << 7 * width).to_bytes(width)


def header(element: Element, contents: bytes) -> bytes:
    """Write ID and size; the size unknown or as wide as it was, or as it must be."""
    width, unknown = element.info or b"\1\0"
    if unknown:
        return bytes.fromhex(element.name) + _size(UNKNOWN[width], width)
    while len(contents) >= UNKNOWN[width]:
        width += 1
    return bytes.fromhex(element.name) + _size(len(contents), width)


def resized(element: Element, contents: bytes, rng: Random) -> bytes:
    """Declare another size, an unknown one, or the same in more bytes."""
    name, size = bytes.fromhex(element.name), len(contents)
    sizes = (0, 1, 8, size - 1, size + 1, 2 * size, 1 << 31, (1 << 32) - 1, (1 << 56) - 2, size)
    declared = max(0, rng.choice(sizes))
    if rng.random() < 0.25:
        width = rng.randrange(1, 9)
        return name + _size(UNKNOWN[width], width)
    return name + _size(declared, 8)


def fields(element: Element) -> list[Field]:
    """Return the fields of an element that have a meaning."""
    name, body = element.name, element.body
    found = []
    if name in NUMBERS and 1 <= len(body) <= 8:
        found.append(Field(NUMBERS[name], 0, len(body)))
    elif name in BINARY:
        found += [Field(BINARY[name], at, 1) for at in range(len(body))]
    elif name in BLOCKS and len(body) > 4:
        found += [Field("block.track", 0, 1), Field("block.time", 1, 2), Field("block.flags", 3, 1)]
        found.append(Field("block.lacing", 3, 1, shift=1, bits=2))
        found.append(Field("block.lace count", 4, 1))
    return found


def _insert(tree: Element, rng: Random) -> bool:
    """Add an element with a meaning that the file did not have."""
    tracks = [element for element in tree.walk() if element.name == "AE"]
    if not tracks:
        return False
    name = rng.choice(("56AA", "56BB", "23314F", "23E383", "537F", "88", "B9", "55EE", "E0"))
    value = rng.choice((0, 1, 6_500_000, 80_000_000, 500_000_000, 1 << 40, (1 << 63) - 1))
    body = value.to_bytes(8)
    if name == "23314F":  # A float: 1 is normal.
        body = bytes.fromhex(rng.choice(("3F800000", "40000000", "00000000", "7F800000")))
    track = rng.choice(tracks)
    assert track.children is not None
    track.children.insert(rng.randrange(len(track.children) + 1), Element(name, body))
    return True


def _lace(tree: Element, rng: Random) -> bool:
    """Claim that the blocks of a track are laced."""
    blocks = [e for e in tree.walk() if e.name in BLOCKS and len(e.body) > 4]
    if not blocks:
        return False
    track = rng.choice(blocks).body[0]
    lacing, share = rng.randrange(1, 4), rng.choice((0.05, 1.0))
    for block in blocks:
        if block.body[0] == track and rng.random() < share:
            block.body = Field("lacing", 3, 1, shift=1, bits=2).put(block.body, lacing)
    return True


def _cluster_leap(tree: Element, rng: Random) -> bool:
    """Move the time of all clusters from one on."""
    times = [e for e in tree.walk() if e.name == "E7" and e.body]
    if not times:
        return False
    leap = rng.choice((-5000, -300, -40, 40, 300, 5000, 1 << 31, 1 << 40))
    for element in times[rng.randrange(len(times)) :]:
        value = int.from_bytes(element.body) + leap
        element.body = (value % (1 << 64)).to_bytes(8)
    return True


def _live(tree: Element, rng: Random) -> bool:
    """Give segment and clusters unknown sizes, as a live recording has."""
    for element in tree.walk():
        if element.name in ("18538067", "1F43B675"):
            element.header = bytes.fromhex(element.name) + _size(UNKNOWN[8], 8)
    return True


def _swap_tracks(tree: Element, rng: Random) -> bool:
    """Exchange the numbers of the first two tracks."""
    numbers = [e for e in tree.walk() if e.name == "D7"]
    if len(numbers) < 2:
        return False
    numbers[0].body, numbers[1].body = numbers[1].body, numbers[0].body
    return True


EBML = Format(
    parse,
    header,
    no_trailer,
    fields,
    resized,
    {
        "insert": _insert,
        "lacing": _lace,
        "cluster leap": _cluster_leap,
        "unknown sizes": _live,
        "track numbers": _swap_tracks,
    },
)
