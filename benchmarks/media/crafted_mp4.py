"""Crafted MP4 files: small, and claiming or expanding to far more than they hold.

Each builder takes the bytes of an intact MP4 with its index at the end (H.264 and AAC) and returns
the bytes of a crafted one. Layouts: ISO/IEC 14496-12; `cmov`: QuickTime File Format, "Compressed
Movie Resources"; `ilst`: QuickTime File Format, "Metadata".
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.media.crafted_images import png_bomb, png_text_bomb

# Boxes that hold boxes, and the bytes of their own fields before those.
PARENTS = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"udta": 0, b"edts": 0}
FULL = bytes(4)
BLOCK = bytes(1 << 20)

Edit = Callable[[bytes], bytes]


class Box(NamedTuple):
    """A box: its name and its content without the header."""

    name: bytes
    content: bytes

    def __bytes__(self) -> bytes:
        return box(self.name, self.content)


def box(name: bytes, *parts: bytes) -> bytes:
    """Return a box with a size of 32 bits."""
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + name + content


def boxes(data: bytes) -> Iterator[Box]:
    """Yield the boxes of a file or of a parent's content."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            yield Box(name, data[at + 16 : at + size])
        else:
            size = size or len(data) - at
            yield Box(name, data[at + 8 : at + size])
        at += max(8, size)


def edited(data: bytes, path: str, edit: Edit) -> bytes:
    """Return the boxes of `data` with the content at a path such as `moov/trak/tkhd` edited."""
    name, _, rest = path.partition("/")
    out = []
    for found in boxes(data):
        content = found.content
        if found.name == name.encode():
            content = edited(content, rest, edit) if rest else edit(content)
        out.append(box(found.name, content))
    return b"".join(out)


def first_track(data: bytes, path: str, edit: Edit) -> bytes:
    """As `edited` inside of the first track (video) only."""
    count = 0

    def of_track(content: bytes) -> bytes:
        nonlocal count
        count += 1
        return edited(content, path, edit) if count == 1 else content

    return edited(data, "moov/trak", of_track)


def find(data: bytes, path: str) -> bytes:
    """Return the content of the first box at a path."""
    for name in path.split("/"):
        data = next(found.content for found in boxes(data) if found.name == name.encode())
    return data


def with_moov(data: bytes, moov: bytes) -> bytes:
    """Return the file with another `moov` box in full."""
    return b"".join(moov if found.name == b"moov" else bytes(found) for found in boxes(data))


def append(data: bytes, path: str, more: bytes) -> bytes:
    """Return the file with boxes added at the end of a parent."""
    return edited(data, path, lambda content: content + more)


def compressed_moov(data: bytes, size: int) -> bytes:
    """Return the file with its `moov` compressed, followed in it by zeros up to a size in bytes."""
    moov = box(b"moov", find(data, "moov"))
    pack = zlib.compressobj(9)
    rest = max(0, size - len(moov) - 8)
    parts = [pack.compress(moov)]
    if rest:
        parts.append(pack.compress(struct.pack(">I4s", rest + 8, b"free")))
        parts += [pack.compress(BLOCK) for _ in range(rest // len(BLOCK))]
        parts.append(pack.compress(bytes(rest % len(BLOCK))))
    parts.append(pack.flush())
    whole = struct.pack(">I", len(moov) + (8 + rest if rest else 0))
    cmov = box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", whole, *parts))
    return with_moov(data, box(b"moov", cmov))


def compressed_moov_claim(data: bytes) -> bytes:
    """Return the file with a compressed `moov` of some bytes that claims to have 4 GiB."""
    cmvd = box(b"cmvd", b"\xff\xff\xff\xf0", zlib.compress(box(b"moov", find(data, "moov"))))
    return with_moov(data, box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), cmvd)))


def many_tracks(data: bytes, count: int, which: int = 0) -> bytes:
    """Return the file with `count` copies of a track besides its own."""
    tracks = [found for found in boxes(find(data, "moov")) if found.name == b"trak"]

    def copy(number: int) -> bytes:
        def edit(tkhd: bytes) -> bytes:
            return tkhd[:12] + struct.pack(">I", 100 + number) + tkhd[16:]

        return box(b"trak", edited(tracks[which].content, "tkhd", edit))

    return append(data, "moov", b"".join(map(copy, range(count))))


def many_edits(data: bytes, count: int, duration: int, start: int = 0, step: int = 0) -> bytes:
    """Return the file with an edit list of `count` edits for the first track.

    Args:
        data: the file.
        count: number of edits.
        duration: of each, in movie ticks.
        start: of the first in the media, in media ticks; -1 for empty edits.
        step: from the start of one to that of the next.
    """
    edits = b"".join(struct.pack(">IiI", duration, start + k * step, 1 << 16) for k in range(count))
    edts = box(b"edts", box(b"elst", FULL, struct.pack(">I", count), edits))
    done = 0

    def of_track(content: bytes) -> bytes:
        nonlocal done
        done += 1
        if done > 1:
            return content
        kept = [bytes(found) for found in boxes(content) if found.name != b"edts"]
        return kept[0] + edts + b"".join(kept[1:])

    return edited(data, "moov/trak", of_track)


def table_claim(data: bytes, name: str) -> bytes:
    """Return the file with a sample table that claims 2^32 - 1 entries and has its own."""
    at = 8 if name == "stsz" else 4
    return first_track(
        data,
        f"mdia/minf/stbl/{name}",
        lambda content: content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :],
    )


def sample_count_bomb(data: bytes, count: int, size: int = 1) -> bytes:
    """Return the file whose first track claims `count` samples of one size in one chunk."""
    tables = {
        b"stts": FULL + struct.pack(">III", 1, count, 1),
        b"stsz": FULL + struct.pack(">II", size, count),
        b"stsc": FULL + struct.pack(">IIII", 1, 1, count, 1),
        b"stco": FULL + struct.pack(">II", 1, 64),
    }

    def edit(stbl: bytes) -> bytes:
        kept = [bytes(b) for b in boxes(stbl) if b.name == b"stsd"]
        return b"".join(kept) + b"".join(box(name, table) for name, table in tables.items())

    return first_track(data, "mdia/minf/stbl", edit)


def composition_bomb(data: bytes, count: int) -> bytes:
    """Return the file whose composition offsets are one run of `count` samples."""
    content = FULL + struct.pack(">III", 1, count, 0)

    def edit(stbl: bytes) -> bytes:
        return b"".join(bytes(b) for b in boxes(stbl) if b.name != b"ctts") + box(b"ctts", content)

    return first_track(data, "mdia/minf/stbl", edit)


def time_run_bomb(data: bytes, count: int) -> bytes:
    """Return the file whose decoding times are one run of `count` samples."""
    content = FULL + struct.pack(">III", 1, count, 512)
    return first_track(data, "mdia/minf/stbl/stts", lambda _: content)


def fragment_bomb(data: bytes, samples: int, fragments: int) -> bytes:
    """Return the file with fragments whose runs have `samples` samples without fields each."""
    trex = box(b"trex", FULL, struct.pack(">IIIII", 1, 1, 512, 1, 0))
    moof = box(
        b"moof",
        box(b"mfhd", FULL, struct.pack(">I", 1)),
        box(
            b"traf",
            box(b"tfhd", bytes([0, 2, 0, 0]), struct.pack(">I", 1)),
            box(b"tfdt", FULL, bytes(4)),
            box(b"trun", FULL, struct.pack(">I", samples)),
        ),
    )
    return append(data, "moov", box(b"mvex", trex)) + moof * fragments


def nested(data: bytes, depth: int, name: bytes = b"trak") -> bytes:
    """Return the file with boxes nested `depth` deep in its `moov`."""
    content = b""
    for _ in range(depth):
        content = struct.pack(">I", 8 + len(content)) + name + content
    return append(data, "moov", content)


def cover_art(data: bytes, image: bytes, count: int = 1) -> bytes:
    """Return the file with images (PNG) as cover art."""
    covr = box(b"covr", *[box(b"data", struct.pack(">II", 14, 0), image)] * count)
    return append(data, "moov", _udta(box(b"ilst", covr)))


def many_tags(data: bytes, count: int) -> bytes:
    """Return the file with `count` tags of names of their own."""
    mean = box(b"mean", FULL, b"com.example")
    value = box(b"data", struct.pack(">II", 1, 0), b"x")
    tags = [box(b"----", mean, box(b"name", FULL, b"t%07d" % k), value) for k in range(count)]
    return append(data, "moov", _udta(box(b"ilst", *tags)))


def many_keys(data: bytes, count: int) -> bytes:
    """Return the file with `count` entries of QuickTime's `keys` and `ilst`."""
    keys = b"".join(box(b"mdta", b"com.example.%07d" % k) for k in range(count))
    value = box(b"data", struct.pack(">II", 1, 0), b"x")
    items = b"".join(box(struct.pack(">I", k + 1), value) for k in range(count))
    hdlr = box(b"hdlr", FULL, bytes(4), b"mdta", bytes(13))
    table = box(b"keys", FULL, struct.pack(">I", count), keys)
    return append(data, "moov", box(b"meta", hdlr, table, box(b"ilst", items)))


def large_metadata(data: bytes, size: int) -> bytes:
    """Return the file with a `uuid` box and a user data string of `size` bytes each."""
    text = struct.pack(">HH", 0xFFFF, 0x55C4) + bytes(size)
    udta = box(b"udta", box(b"\xa9cmt", text))
    return append(data, "moov", udta) + box(b"uuid", bytes(range(16)), bytes(size))


def chapter_bomb(data: bytes, count: int) -> bytes:
    """Return the file with a chapter track of `count` samples that are one byte range."""
    video = next(b.content for b in boxes(find(data, "moov")) if b.name == b"trak")
    tables = box(
        b"stbl",
        box(b"stsd", FULL, struct.pack(">I", 1), box(b"text", bytes(6), b"\0\1", bytes(43))),
        box(b"stts", FULL, struct.pack(">III", 1, count, 1)),
        box(b"stsz", FULL, struct.pack(">II", 8, count)),
        box(b"stsc", FULL, struct.pack(">IIII", 1, 1, 1, 1)),
        box(b"stco", FULL, struct.pack(">I", count), struct.pack(">I", 64) * count),
    )
    hdlr = box(b"hdlr", FULL, bytes(4), b"text", bytes(13))
    minf = box(b"minf", box(b"gmhd"), tables)
    mdia = box(b"mdia", box(b"mdhd", find(video, "mdia/mdhd")), hdlr, minf)
    head = find(video, "tkhd")
    tkhd = box(b"tkhd", head[:12] + struct.pack(">I", 9) + head[16:])
    tref = box(b"tref", box(b"chap", struct.pack(">I", 9)))
    done = 0

    def of_track(content: bytes) -> bytes:
        nonlocal done
        done += 1
        return content + tref if done == 1 else content

    return append(edited(data, "moov/trak", of_track), "moov", box(b"trak", tkhd, mdia))


def frame_size_claim(data: bytes, width: int, height: int) -> bytes:
    """Return the file whose first track's header claims a frame size; the codec's is kept."""
    size = struct.pack(">HH", width, height)

    def edit(stsd: bytes) -> bytes:
        return stsd[:40] + size + stsd[44:]

    return first_track(data, "mdia/minf/stbl/stsd", edit)


def _udta(ilst: bytes) -> bytes:
    hdlr = box(b"hdlr", FULL, bytes(4), b"mdirappl", bytes(9))
    return box(b"udta", box(b"meta", FULL, hdlr, ilst))


MP4_FILES: dict[str, Callable[[bytes], bytes]] = {
    "mp4 compressed moov, valid": lambda data: compressed_moov(data, 0),
    "mp4 compressed moov of 2 GB": lambda data: compressed_moov(data, 2**31 - 64),
    "mp4 compressed moov of 400 MB": lambda data: compressed_moov(data, 400 << 20),
    "mp4 compressed moov claims 4 GiB": compressed_moov_claim,
    "mp4 990 video tracks": lambda data: many_tracks(data, 990),
    "mp4 990 audio tracks": lambda data: many_tracks(data, 990, 1),
    "mp4 5000 audio tracks": lambda data: many_tracks(data, 5000, 1),
    "mp4 60000 edits": lambda data: many_edits(data, 60_000, 1, 0, 1),
    "mp4 60000 empty edits": lambda data: many_edits(data, 60_000, 1, -1),
    "mp4 60000 edits of the whole": lambda data: many_edits(data, 60_000, 3000),
    "mp4 stts claims 2^32": lambda data: table_claim(data, "stts"),
    "mp4 stsz claims 2^32": lambda data: table_claim(data, "stsz"),
    "mp4 stsc claims 2^32": lambda data: table_claim(data, "stsc"),
    "mp4 stco claims 2^32": lambda data: table_claim(data, "stco"),
    "mp4 80 million samples": lambda data: sample_count_bomb(data, 80_000_000),
    "mp4 10 million samples": lambda data: sample_count_bomb(data, 10_000_000),
    "mp4 10 million samples, 20 tracks": lambda data: many_tracks(
        sample_count_bomb(data, 10_000_000), 20
    ),
    "mp4 ctts of 2^31 samples": lambda data: composition_bomb(data, 2**31 - 1),
    "mp4 stts of 2^31 samples": lambda data: time_run_bomb(data, 2**31 - 1),
    "mp4 trun of 2^26 samples": lambda data: fragment_bomb(data, 1 << 26, 1),
    "mp4 1000 truns of 2^20 samples": lambda data: fragment_bomb(data, 1 << 20, 1000),
    "mp4 boxes nested 10000 deep": lambda data: nested(data, 10_000),
    "mp4 metadata nested 10000 deep": lambda data: nested(data, 10_000, b"udta"),
    "mp4 PNG cover of 30000x30000": lambda data: cover_art(data, png_bomb(30_000, 30_000)),
    "mp4 PNG cover with zTXt of 1 GB": lambda data: cover_art(data, png_text_bomb(1 << 30)),
    "mp4 200 PNG covers of 34 MP": lambda data: cover_art(data, png_bomb(8000, 4250), 200),
    "mp4 100000 tags": lambda data: many_tags(data, 100_000),
    "mp4 200000 keys": lambda data: many_keys(data, 200_000),
    "mp4 metadata of 100 MB": lambda data: large_metadata(data, 100 << 20),
    "mp4 1 million chapters": lambda data: chapter_bomb(data, 1_000_000),
    "mp4 header claims 16384x16384": lambda data: frame_size_claim(data, 16384, 16384),
    "zip and mp4 polyglot": lambda data: b"PK\x03\x04" + data,
    "mp4 and zip polyglot": lambda data: data + b"PK\x05\x06" + bytes(18),
    "noise": lambda _: np.random.default_rng(0).bytes(200_000),
}
