"""Ogg pages (RFC 3533), FLV tags, and MXF's key-length-value triplets (SMPTE ST 377-1)."""

from random import Random

from benchmarks.media.structure.element import (
    Element,
    Field,
    Format,
    Special,
    crc32,
    no_trailer,
    root,
    table,
)

SERIAL, GRANULE = Field("serial", 14, 4, "little"), Field("granule", 6, 8, "little")
TAG, TAG_SIZE = 11, Field("size", 1, 3)
TAG_NAMES = {8: "audio", 9: "video", 18: "script"}
LOCAL_SET = b"\x06\x0e\x2b\x34\x02\x53"


def _ogg(data: bytes) -> Element:
    pages, at = [], 0
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data):
        lacing = data[at + 27 : at + 27 + data[at + 26]]
        end = at + 27 + len(lacing) + sum(lacing)
        serial = SERIAL.get(data[at : at + 27])
        kind = "header" if GRANULE.get(data[at : at + 27]) == 0 else "page"
        pages.append(Element(f"{kind} of {serial}", data[at:end], header=b""))
        at = end
    return root([*pages, Element("rest", data[at:], header=b"")])


def _ogg_fields(page: Element) -> list[Field]:
    found = [GRANULE, SERIAL, Field("version", 4, 1), Field("flags", 5, 1)]
    found += [Field("sequence", 18, 4, "little"), Field("checksum", 22, 4, "little")]
    found.append(Field("segments", 26, 1))
    found += [Field("lacing", at, 1) for at in range(27, 27 + (page.body[26:27] or b"\0")[0])]
    if page.name.startswith("header"):
        found += [Field("codec header", at, 1) for at in range(28, min(100, len(page.body)))]
    return [field for field in found if field.at + field.width <= len(page.body)]


def _ogg_seal(page: Element) -> None:
    if len(page.body) >= 27:
        blank = page.body[:22] + bytes(4) + page.body[26:]
        page.body = blank[:22] + crc32(blank, 0).to_bytes(4, "little") + blank[26:]


def _granule_leap(tree: Element, rng: Random) -> bool:
    """Move the times of one stream, from one page on."""
    pages = [page for page in tree.children or [] if page.name.startswith("page")]
    if not pages:
        return False
    name = rng.choice(pages).name
    first = rng.choice((0, rng.randrange(len(pages))))
    leap = rng.choice((-48000, -1920, 1920, 48000, 480_000, 1 << 40, 1 << 62))
    for page in pages[first:]:
        if page.name == name:
            page.body = GRANULE.put(page.body, GRANULE.get(page.body) + leap)
            _ogg_seal(page)
    return True


def _flv(data: bytes) -> Element:
    tags, at = [Element("file header", data[:13], header=b"")], 13
    while at + TAG <= len(data):
        end = at + TAG + TAG_SIZE.get(data[at : at + TAG])
        tags.append(Element(TAG_NAMES.get(data[at], "other"), data[at:end], header=b""))
        at = end + 4
    return root(tags)


def _flv_trailer(tag: Element, contents: bytes) -> bytes:
    # After each tag stands its size.
    return b"" if tag.name in ("", "file header") else len(contents).to_bytes(4)


def _flv_fields(tag: Element) -> list[Field]:
    if tag.name == "file header":
        return [Field("version", 3, 1), Field("stream flags", 4, 1), Field("header size", 5, 4)]
    found = [Field("type", 0, 1), TAG_SIZE, Field("time", 4, 3), Field("time high", 7, 1)]
    found += [Field("stream", 8, 3), Field(f"{tag.name} codec", 11, 1)]
    found.append(Field(f"{tag.name} packet type", 12, 1))
    if tag.name == "video":
        found.append(Field("composition time", 13, 3))
    if tag.name == "script" or len(tag.body) < 80:
        found += [Field(f"{tag.name} byte", at, 1) for at in range(TAG, len(tag.body))]
    return [field for field in found if field.at + field.width <= len(tag.body)]


def _flv_seal(tag: Element) -> None:
    if len(tag.body) >= TAG and tag.name != "file header":
        tag.body = TAG_SIZE.put(tag.body, len(tag.body) - TAG)


def _tag_leap(tree: Element, rng: Random) -> bool:
    """Move the times of audio, of video or of both, from one tag on."""
    tags = tree.children or []
    names = rng.choice((("audio",), ("video",), ("audio", "video")))
    first, leap = rng.choice((0, rng.randrange(len(tags)))), rng.choice((-300, 40, 300, 1 << 23))
    for tag in tags[first:]:
        if tag.name in names and len(tag.body) >= TAG:
            time = Field("time", 4, 3)
            tag.body = time.put(tag.body, time.get(tag.body) + leap)
    return True


def _mxf(data: bytes) -> Element:
    found, at = [], 0
    while at + 17 <= len(data) and data[at : at + 4] == LOCAL_SET[:4]:
        width = data[at + 16] & 0x7F if data[at + 16] & 0x80 else 0
        start = at + 17 + width
        size = int.from_bytes(data[at + 17 : start]) if width else data[at + 16]
        if start + size > len(data):
            break
        key, value = data[at : at + 16], data[start : start + size]
        name = key.hex()
        if key.startswith(LOCAL_SET):
            found.append(Element(name, b"", _local_tags(value), bytes([width])))
        else:
            found.append(Element(name, value, None, bytes([width])))
        at = start + size
    return root([*found, Element("rest", data[at:], header=b"")])


def _local_tags(value: bytes) -> list[Element]:
    found, at = [], 0
    while at + 4 <= len(value):
        end = at + 4 + int.from_bytes(value[at + 2 : at + 4])
        found.append(Element(value[at : at + 2].hex(), value[at + 4 : end]))
        at = end
    return found


def _mxf_header(element: Element, contents: bytes) -> bytes:
    name, size = bytes.fromhex(element.name), len(contents)
    if len(name) == 2:
        return name + (size % (1 << 16)).to_bytes(2)
    if element.info == b"\0" and size < 0x80:
        return name + bytes([size])
    width = max(element.info[0] if element.info else 0, (size.bit_length() + 7) // 8)
    return name + bytes([0x80 | width]) + size.to_bytes(width)


def _mxf_fields(element: Element) -> list[Field]:
    size, name = len(element.body), element.name
    if len(name) == 4:
        whole = [Field(f"tag {name}", 0, size)] if size in (1, 2, 4, 8) else []
        return [*whole, *table(element.body, f"tag {name}", 0, (("value", 4),))]
    if size > 2000:
        return []
    return list(table(element.body, f"value {name[:24]}", 0, (("value", 4),)))


def _mxf_resized(element: Element, contents: bytes, rng: Random) -> bytes:
    name, size = bytes.fromhex(element.name), len(contents)
    if len(name) == 2:
        return name + rng.choice((0, 1, size + 1, 0xFFFF)).to_bytes(2)
    declared = max(0, rng.choice((0, 1, size - 1, size + 1, 1 << 31, 1 << 63, (1 << 64) - 1)))
    return name + b"\x88" + declared.to_bytes(8)


def _junk(element: Element, contents: bytes, rng: Random) -> bytes:
    return rng.randbytes(rng.choice((1, 4, 11, 200)))


def _no_header(element: Element, contents: bytes) -> bytes:
    return b""


_OGG_SPECIALS: dict[str, Special] = {"granule leap": _granule_leap}
OGG = Format(
    _ogg, _no_header, no_trailer, _ogg_fields, _junk, _OGG_SPECIALS, _ogg_seal, renames=False
)
FLV = Format(
    _flv, _no_header, _flv_trailer, _flv_fields, _junk, {"tag leap": _tag_leap}, _flv_seal, False
)
MXF = Format(_mxf, _mxf_header, no_trailer, _mxf_fields, _mxf_resized, {})
