"""Crafted Matroska files, as in `crafted_mp4.py` (Matroska: RFC 9559, EBML: RFC 8794)."""

import bz2
import struct
from collections.abc import Callable

from benchmarks.media.crafted_images import deflated_zeros, png_bomb, png_text_bomb

Intact = Callable[[str], bytes]
UNKNOWN = b"\x01" + b"\xff" * 7
HUGE = b"\x01" + b"\xff" * 6 + b"\xfe"

# Matroska's element IDs.
SEGMENT, INFO, TRACKS, TRACK, CLUSTER = "18538067", "1549A966", "1654AE6B", "AE", "1F43B675"
TAGS, TAG, SIMPLE_TAG, CHAPTERS, ATTACHMENTS = "1254C367", "7373", "67C8", "1043A770", "1941A469"


def element(name: str, *parts: bytes, size: bytes | None = None) -> bytes:
    """Return an EBML element with a size of eight bytes, or a given one."""
    content = b"".join(parts)
    return bytes.fromhex(name) + (size or struct.pack(">Q", len(content) | 1 << 56)) + content


def number(name: str, value: int) -> bytes:
    return element(name, value.to_bytes(8, "big"))


def compressed_mkv(algorithm: int, packed: bytes, frames: int, scope: int = 1) -> bytes:
    """Return a Matroska file of a compressed video track (raw video of 16x16, 25 fps).

    Args:
        algorithm: 0 zlib, 1 bzip2, 2 LZO1X.
        packed: a compressed frame.
        frames: number of times that it is stored.
        scope: 1 for frames, 2 for the codec's private data, 3 for both.
    """
    compression = element("5034", number("4254", algorithm))
    encoding = element("6D80", element("6240", number("5032", scope), compression))
    video = element("E0", number("B0", 16), number("BA", 16))
    fields = number("D7", 1), number("73C5", 1), number("83", 1), number("23E383", 40_000_000)
    private = element("63A2", packed) if scope & 2 else b""
    track = element(TRACK, *fields, element("86", b"V_MJPEG"), private, encoding, video)
    blocks = [
        element("A3", b"\x81", struct.pack(">h", 40 * (k % 800)), b"\x80", packed)
        for k in range(frames)
    ]
    clusters = [
        element(CLUSTER, number("E7", 40 * at), *blocks[at : at + 800])
        for at in range(0, frames, 800)
    ]
    return _mkv(element(TRACKS, track), *clusters)


def lzo_run(size: int) -> bytes:
    """Return an LZO1X stream of `size` equal bytes: one literal, then one long match."""
    # A literal run of 4 bytes, then a match of distance 1 whose length counts 255 per zero byte.
    zeros, last = divmod(max(0, size - 4 - 33), 255)
    return (
        bytes([17 + 4]) + bytes(4) + b"\x20" + bytes(zeros) + bytes([last or 1, 0, 0]) + b"\x11\0\0"
    )


def many_elements(intact: bytes, top: str, make: Callable[[int], bytes], count: int) -> bytes:
    """Return a Matroska file with a top-level element of `count` parts before its clusters."""
    # The first mention of the tracks is in the table of positions.
    at = intact.rindex(bytes.fromhex(TRACKS), 0, intact.index(bytes.fromhex(CLUSTER)))
    more = element(top, *map(make, range(count)))
    return _unknown_segment(intact[:at] + more + intact[at:])


def mkv_tag(number_: int) -> bytes:
    name, value = element("45A3", b"T%07d" % number_), element("4487", b"x")
    return element(TAG, element("63C0"), element(SIMPLE_TAG, name, value))


def mkv_chapter(number_: int) -> bytes:
    text = element("80", element("85", b"c%07d" % number_))
    times = number("73C4", number_ + 1), number("91", number_ * 10**6)
    return element("B6", *times, text)


def mkv_attachment(image: bytes) -> Callable[[int], bytes]:
    def make(number_: int) -> bytes:
        names = element("466E", b"cover%d.png" % number_), element("4660", b"image/png")
        return element("61A7", *names, element("465C", image), number("46AE", number_ + 1))

    return make


def mkv_track(number_: int) -> bytes:
    fields = number("D7", number_ + 10), number("73C5", number_ + 10), number("83", 2)
    audio = element("E1", element("B5", struct.pack(">d", 48000.0)), number("9F", 2))
    return element(TRACK, *fields, element("86", b"A_PCM/INT/LIT"), audio)


def _mkv(*parts: bytes) -> bytes:
    head = element("1A45DFA3", element("4282", b"matroska"), number("4287", 4), number("4285", 2))
    info = element(INFO, number("2AD7B1", 1_000_000), element("4D80", b"x"), element("5741", b"x"))
    return head + element(SEGMENT, info, *parts, size=UNKNOWN)


def _unknown_segment(data: bytes) -> bytes:
    """Give the segment an unknown size, and hide the tables of positions, which are now wrong."""
    at = data.index(bytes.fromhex(SEGMENT)) + 4
    width = 9 - data[at].bit_length()
    unknown = (((1 << 7 * width) - 1) | 1 << 7 * width).to_bytes(width, "big")
    data = data[:at] + unknown + data[at + width :]
    return data.replace(bytes.fromhex("114D9B74"), bytes.fromhex("114D9B75"), 1)


MKV_FILES: dict[str, tuple[str, Callable[[Intact], bytes]]] = {
    "mkv zlib frames x1000": (".mkv", lambda _: compressed_mkv(0, deflated_zeros(9 << 20), 100)),
    "mkv bzip2 frames x10000": (
        ".mkv",
        lambda _: compressed_mkv(1, bz2.compress(bytes(9 << 20)), 10_000),
    ),
    "mkv lzo frames x250": (".mkv", lambda _: compressed_mkv(2, lzo_run(9 << 20), 30)),
    "mkv zlib private data of 1 GB": (
        ".mkv",
        lambda _: compressed_mkv(0, deflated_zeros(1 << 30), 1, scope=3),
    ),
    "mkv segment of 2^56 bytes": (
        ".mkv",
        lambda intact: _unknown_segment(intact(".mkv")) + element(CLUSTER, size=HUGE),
    ),
    "mkv attachment claims 2^56 bytes": (
        ".mkv",
        lambda _: _mkv(element(ATTACHMENTS, element("61A7", element("465C", size=HUGE)))),
    ),
    "mkv nested 10000 deep": (
        ".mkv",
        lambda _: _mkv(b"".join(element(TAGS, element(TAG), size=UNKNOWN) for _ in range(10_000))),
    ),
    "mkv tags nested 10000 deep": (".mkv", lambda _: _mkv(_nested_tags(10_000))),
    "mkv 100000 tags": (
        ".mkv",
        lambda intact: many_elements(intact(".mkv"), TAGS, mkv_tag, 100_000),
    ),
    "mkv 1 million chapters": (
        ".mkv",
        lambda intact: many_elements(
            intact(".mkv"),
            CHAPTERS,
            lambda k: element("45B9", *map(mkv_chapter, range(1000 * k, 1000 * k + 1000))),
            1000,
        ),
    ),
    "mkv PNG attachment of 30000x30000": (
        ".mkv",
        lambda intact: many_elements(
            intact(".mkv"), ATTACHMENTS, mkv_attachment(png_bomb(30_000, 30_000)), 1
        ),
    ),
    "mkv 100 PNG attachments, zTXt of 500 MB": (
        ".mkv",
        lambda intact: many_elements(
            intact(".mkv"), ATTACHMENTS, mkv_attachment(png_text_bomb(500 << 20)), 100
        ),
    ),
    "mkv 100000 tracks": (
        ".mkv",
        lambda intact: many_elements(intact(".mkv"), TRACKS, mkv_track, 100_000),
    ),
    "mkv 900 audio tracks": (
        ".mkv",
        lambda intact: many_elements(intact(".mkv"), TRACKS, mkv_track, 900),
    ),
}


def _nested_tags(depth: int) -> bytes:
    content = element("45A3", b"x")
    for _ in range(depth):
        content = element(SIMPLE_TAG, content)
    return element(TAGS, element(TAG, content))
