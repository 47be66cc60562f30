"""Crafted files of other containers than MP4, as in `crafted_mp4.py`.

Each builder takes a function that returns the bytes of an intact clip in a container (by suffix).
Layouts: AVI: Microsoft, "AVI RIFF File Reference"; MPEG-TS:
ISO/IEC 13818-1; Ogg: RFC 3533; MXF: SMPTE ST 377-1; ID3: id3.org, version 2.4.0.
"""

import io
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np

from benchmarks.media.crafted_images import png_bomb
from benchmarks.media.crafted_mkv import MKV_FILES

Intact = Callable[[str], bytes]
# A second of silence at 128 kbit/s and 44.1 kHz.
MP3_FRAMES = (b"\xff\xfb\x90\x64" + bytes(413)) * 38


def riff_chunk_bomb(intact: bytes, name: bytes, size: int) -> bytes:
    """Return an AVI file whose first chunk of a name claims `size` bytes; it is made if absent."""
    at = intact.find(name)
    if at < 0:
        at = intact.index(b"LIST", 12)
        intact = intact[:at] + name + bytes(8) + intact[at:]
    return intact[: at + 4] + struct.pack("<I", size) + intact[at + 8 :]


def avi_super_index(intact: bytes, count: int) -> bytes:
    """Return an AVI file with an OpenDML index of many elements that point at each other."""
    at = intact.index(b"strf")
    (size,) = struct.unpack_from("<I", intact, at + 4)
    end = at + 8 + size + size % 2
    index = b"".join(struct.pack("<QII", end, 24, 1) for _ in range(count))
    content = struct.pack("<HBBI4sIII", 4, 0, 0, count, b"00dc", 0, 0, 0) + index
    return intact[:end] + b"indx" + struct.pack("<I", len(content)) + content + intact[end:]


def avi_index_claim(intact: bytes) -> bytes:
    at = intact.rindex(b"idx1")
    return intact[: at + 4] + b"\xf0\xff\xff\xff" + intact[at + 8 :] + intact[at + 8 :] * 500


def wav(channels: int, samples: int = 16) -> bytes:
    """Return a WAV file of silence with many channels (16 bits)."""
    align = 2 * channels % 65536
    fmt = struct.pack("<HHIIHH", 1, channels, 48000, 48000 * align, align, 16)
    data = bytes(2 * channels * samples)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def transport_packet(pid: int, payload: bytes, start: bool = True, counter: int = 0) -> bytes:
    flags = struct.pack(">BHB", 0x47, pid | (0x4000 if start else 0), 0x10 | counter % 16)
    return (flags + payload).ljust(188, b"\xff")[:188]


def section(table: int, number_: int, version: int, content: bytes) -> bytes:
    """Return a PSI section with its checksum, as the payload of a packet that starts with it."""
    length = 5 + len(content) + 4
    head = struct.pack(">BHHBBB", table, 0xB000 | length, number_, 0xC1 | version % 32 << 1, 0, 0)
    data = head + content
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return b"\0" + data + struct.pack(">I", crc)


def ts_pids(intact: bytes) -> bytes:
    """Return a transport stream with a packet of an audio stream on each of the 8192 PIDs."""
    pes = b"\0\0\1\xc0\0\0\x80\x80\x05\x21\0\1\0\1" + b"\xff\xfb\x90\x64" + bytes(160)
    return b"".join(transport_packet(pid, pes) for pid in range(32, 8191)) * 3 + intact


def ts_map_changes(intact: bytes, count: int) -> bytes:
    """Return a transport stream whose program map changes `count` times, each with new streams."""
    packets = [transport_packet(0, section(0, 1, 0, struct.pack(">HH", 1, 0xE000 | 100)))]
    for k in range(min(count, 2000)):
        pids = [200 + (30 * k + i) % 7900 for i in range(30)]
        streams = b"".join(struct.pack(">BHH", 3, 0xE000 | pid, 0xF000) for pid in pids)
        body = struct.pack(">HH", 0xE000 | pids[0], 0xF000) + streams
        packets.append(transport_packet(100, section(2, 1, k, body), counter=k))
    return b"".join(packets) * max(1, count // 2000) + intact


def ts_shared_pid(intact: bytes) -> bytes:
    """Return a transport stream whose first program map changes to a PID of the second one.

    With the option `merge_pmt_versions`, FFmpeg 8.1 frees a stream of it twice.
    """
    parts = [transport_packet(0, section(0, 1, 0, struct.pack(">HH", 1, 0xE000 | 100)))]
    for version, pid in enumerate((200, 257)):  # 257 is the audio of FFmpeg's muxer.
        body = struct.pack(">HHBHH", 0xE000 | pid, 0xF000, 3, 0xE000 | pid, 0xF000)
        parts.append(transport_packet(100, section(2, 1, version, body), counter=version))
    return b"".join(parts) + intact


def ogg_streams(intact: bytes, count: int) -> bytes:
    """Return an Ogg file that begins with `count` logical streams (Vorbis, first header only)."""
    head = b"\x01vorbis" + struct.pack("<IBIIIIBB", 0, 2, 48000, 0, 128_000, 0, 0xB8, 1)
    pages = []
    for k in range(count):
        page = struct.pack("<4sBBqIIIBB", b"OggS", 0, 2, 0, 10**6 + k, 0, 0, 1, len(head)) + head
        pages.append(page[:22] + struct.pack("<I", _ogg_checksum(page)) + page[26:])
    return b"".join(pages) + intact


def _ogg_checksum(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def flac(blocks: bytes) -> bytes:
    """Return a FLAC file of metadata blocks and no audio."""
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + struct.pack(">Q", 48000 << 44 | 1 << 41)
    return b"fLaC" + b"\0\0\0\x22" + (info + bytes(16))[:34] + blocks + b"\xff\xf8" + bytes(64)


def flac_images(image: bytes, count: int) -> bytes:
    name = b"image/png"
    content = struct.pack(">II", 3, len(name)) + name + struct.pack(">I", 0) + bytes(16)
    content += struct.pack(">I", len(image)) + image
    block = b"\x06" + struct.pack(">I", len(content))[1:] + content
    return flac(block * count + b"\x81\0\0\0")


def vorbis_comments(count: int) -> bytes:
    """Return a list of comments, each of a name of its own."""
    texts = (b"T%07d=x" % k for k in range(count))
    parts = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return struct.pack("<I", 1) + b"x" + struct.pack("<I", count) + parts


def flac_comments(count: int) -> bytes:
    content = vorbis_comments(count)
    return flac(b"\x84" + struct.pack(">I", len(content))[1:] + content)


def id3(frames: bytes) -> bytes:
    size = len(frames)
    packed = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + packed + frames


def id3_frame(name: bytes, content: bytes, unpacked: int | None = None) -> bytes:
    """Return an ID3v2.4 frame, compressed with the size that it unpacks to if one is given."""

    def safe(value: int) -> bytes:
        return bytes(value >> shift & 127 for shift in (21, 14, 7, 0))

    flags = b"\0\0" if unpacked is None else b"\0\x09"
    body = content if unpacked is None else safe(unpacked) + content
    return name + safe(len(body)) + flags + body


def id3_bombs(intact: bytes, count: int, size: int) -> bytes:
    """Return a file after an ID3 tag of `count` compressed frames of `size` bytes each."""
    content = b"\0image/png\0\3\0" + png_bomb(64, 64)
    data = zlib.compressobj(9)
    packed = data.compress(content + bytes(size - len(content))) + data.flush()
    return id3(id3_frame(b"APIC", packed, size) * count) + intact


def id3_tags(intact: bytes, count: int) -> bytes:
    frames = (id3_frame(b"TXXX", b"\0t%07d\0x" % k) for k in range(count))
    return id3(b"".join(frames)) + intact


def ape_tag(intact: bytes, items: int) -> bytes:
    body = b"".join(struct.pack("<II", 1, 0) + b"t%07d\0x" % k for k in range(items))
    foot = struct.pack("<8sIIII", b"APETAGEX", 2000, len(body) + 32, items, 0) + bytes(8)
    return intact + body + foot


def mxf_index_claim(intact: bytes, length: int) -> bytes:
    """Return an MXF file whose index segments claim a duration (local tag 0x3F0C)."""
    tag = bytes.fromhex("3f0c0008")
    parts = intact.split(tag)
    claim = struct.pack(">Q", length)
    return parts[0] + b"".join(tag + claim + part[8:] for part in parts[1:])


def nut_claim(intact: bytes) -> bytes:
    data = bytearray(intact)
    rng = np.random.default_rng(0)
    at = data.index(b"NI") if b"NI" in data else 64
    for k in range(64):
        data[at + 8 + k] = int(rng.integers(0x80, 0x100))
    return bytes(data)


def caf(packets: int, channels: int = 2) -> bytes:
    """Return a CAF file whose packet table claims `packets` packets."""
    desc = struct.pack(">d4sIIIII", 48000.0, b"aac ", 0, 0, 1024, channels, 0)
    table = struct.pack(">qqii", packets, packets * 1024, 0, 0) + b"\x01" * 64
    parts = ((b"desc", desc), (b"pakt", table), (b"data", bytes(4 + 64)))
    return b"caff\0\1\0\0" + b"".join(n + struct.pack(">q", len(c)) + c for n, c in parts)


def flv_arrays(count: int) -> bytes:
    """Return an FLV file whose metadata hold arrays of many key frame positions."""
    values = (b"\0" + struct.pack(">d", 1.0)) * count

    def array(name: bytes) -> bytes:
        return struct.pack(">H", len(name)) + name + b"\x0a" + struct.pack(">I", count) + values

    end = b"\0\0\x09"
    frames = array(b"times") + array(b"filepositions")
    body = b"\x02\0\x0aonMetaData\x08\0\0\0\1" + b"\0\x09keyframes\x03" + frames + end + end
    head = b"\x12" + struct.pack(">I", len(body))[1:] + bytes(7)
    return b"FLV\1\5\0\0\0\x09\0\0\0\0" + head + body + struct.pack(">I", len(head) + len(body))


def flv_tags(count: int) -> bytes:
    """Return an FLV file with `count` strings as metadata."""
    body = b"\x02\0\x0aonMetaData\x08" + struct.pack(">I", count)
    body += b"".join(b"\0\x08t%07d\x02\0\1x" % k for k in range(count)) + b"\0\0\x09"
    head = b"\x12" + struct.pack(">I", len(body))[1:] + bytes(7)
    return b"FLV\1\5\0\0\0\x09\0\0\0\0" + head + body + struct.pack(">I", len(head) + len(body))


def large_frames(codec: str, width: int, height: int, frames: int, suffix: str) -> bytes:
    """Return a video of large black frames, which are stored in some hundred bytes each."""
    written = io.BytesIO()
    with av.open(written, "w", format=suffix) as container:
        options = {"preset": "ultrafast"} if codec == "libx264" else {}
        video = container.add_stream(codec, rate=Fraction(25), options=options)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = width, height
        video.pix_fmt = "gray" if codec == "png" else "yuv420p"
        frame = av.VideoFrame(width, height, video.pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for k in range(frames):
            frame.pts = k
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return written.getvalue()


def changing_size(sizes: tuple[tuple[int, int], ...], repeats: int) -> bytes:
    """Return an H.264 elementary stream whose frame size changes at every frame."""
    parts = []
    for width, height in sizes:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
        context.options = {"preset": "ultrafast", "x264-params": "keyint=1:annexb=1"}
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts = 0
        parts.append(b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)]))
    return b"".join(parts) * repeats


TEXTS = {
    "HLS playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
    "concat list": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "ffmetadata": b";FFMETADATA1\n" + b"t=x\n" * 100_000,
    "DASH manifest": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n",
    "subtitles": b"1\n00:00:00,000 --> 99:59:59,999\nx\n\n" * 100_000,
    "SVG image": b"<svg xmlns='http://www.w3.org/2000/svg' width='99999' height='99999'/>",
}
OTHER_FILES: dict[str, tuple[str, Callable[[Intact], bytes]]] = {
    **MKV_FILES,
    "avi JUNK of 4 GiB": (
        ".avi",
        lambda intact: riff_chunk_bomb(intact(".avi"), b"JUNK", 2**32 - 16),
    ),
    "avi strf of 2 GiB": (
        ".avi",
        lambda intact: riff_chunk_bomb(intact(".avi"), b"strf", 2**31 - 16),
    ),
    "avi super index of 2 million": (".avi", lambda intact: avi_super_index(intact(".avi"), 10**6)),
    "avi idx1 of 4 GiB": (".avi", lambda intact: avi_index_claim(intact(".avi"))),
    "wav 65535 channels": (".wav", lambda _: wav(65535)),
    "ts 8192 PIDs": (".ts", lambda intact: ts_pids(intact(".ts"))),
    "ts 100000 changes of the PMT": (".ts", lambda intact: ts_map_changes(intact(".ts"), 100_000)),
    "ts PID of two program maps": (".ts", lambda intact: ts_shared_pid(intact(".ts"))),
    "ogg 100000 streams": (".ogv", lambda intact: ogg_streams(intact(".ogv"), 100_000)),
    "flac PNG images": (".flac", lambda _: flac_images(png_bomb(8000, 4250), 100)),
    "flac 100000 comments": (".flac", lambda _: flac_comments(100_000)),
    "flac padding of 16 MB": (".flac", lambda _: flac(b"\x81\xff\xff\xff" + bytes(1000))),
    "mp3 APE tag of 60000": (".mp3", lambda _: ape_tag(MP3_FRAMES, 60_000)),
    "mp3 30 ID3 images of 100 MB": (".mp3", lambda _: id3_bombs(MP3_FRAMES, 30, 100 << 20)),
    "mp3 100000 ID3 texts": (".mp3", lambda _: id3_tags(MP3_FRAMES, 100_000)),
    "mxf index of 2^28": (".mxf", lambda intact: mxf_index_claim(intact(".mxf"), 2**28 - 1)),
    "nut index": (".nut", lambda intact: nut_claim(intact(".nut"))),
    "caf 80 million packets": (".caf", lambda _: caf(80_000_000)),
    "caf 255 channels": (".caf", lambda _: caf(10, 255)),
    "flv arrays of 500000": (".flv", lambda _: flv_arrays(500_000)),
    "flv 100000 strings": (".flv", lambda _: flv_tags(100_000)),
    "mp4 H.264 of 8K, 100 frames": (
        ".mp4",
        lambda _: large_frames("libx264", 8192, 4320, 100, "mp4"),
    ),
    "mov PNG frames of 36 MP": (".mov", lambda _: large_frames("png", 8300, 4300, 50, "mov")),
    "H.264 of changing size": (
        ".h264",
        lambda _: changing_size(((64, 64), (5900, 5900), (5800, 5800)), 100),
    ),
    **{name: (".mp4", lambda _, text=text: text) for name, text in TEXTS.items()},
}
