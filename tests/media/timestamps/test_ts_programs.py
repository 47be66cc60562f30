"""Programs of MPEG-TS are read from its tables, in every packet size; each has its own clock."""

import av
import numpy as np
import pytest

from avsync.media.probe import probe_media
from avsync.media.read_log import ReadLog
from avsync.media.timestamps.ts_programs import stream_programs
from avsync.media.video_reader import read_frames


def section(table, number, body):
    """A section with its header; nobody tests the checksum."""
    rest = number.to_bytes(2) + b"\xc1\0\0" + body + bytes(4)
    return bytes([table]) + (0xB000 | len(rest)).to_bytes(2) + rest


def packets(pid, data, pointer=b"\0"):
    """Transport packets of a section, the first with a pointer field."""
    data = pointer + data
    for at in range(0, len(data), 184):
        head = (0x4000 * (at == 0) | pid).to_bytes(2)
        yield b"\x47" + head + b"\x10" + data[at : at + 184].ljust(184, b"\xff")


def program_map(number, pids, info=b"", kind=b"\x02"):
    listed = b"".join(kind + (0xE000 | pid).to_bytes(2) + b"\xf0\3\x0a\1\0" for pid in pids)
    return section(2, number, b"\xe1\0" + (0xF000 | len(info)).to_bytes(2) + info + listed)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (4, 0), (0, 16)])
def test_each_stream_has_the_program_of_its_map(tmp_path, before, after):
    table = section(0, 1, b"\0\0\xe0\x10" + b"\0\7\xf0\0" + b"\0\x09\xf0\1")
    long_map = program_map(9, range(0x200, 0x230), info=b"\5\4HDMV")  # Two packets.
    stream = [
        *packets(0, table),
        *packets(0x1000, program_map(7, [0x100, 0x101]), pointer=b"\2\xff\xff"),
        *packets(0x1001, long_map),
        *packets(0x100, b"\0\0\1\xe0"),
    ]
    path = tmp_path / "clip.ts"
    path.write_bytes(b"".join(bytes(before) + packet + bytes(after) for packet in stream))
    assert stream_programs(path) == {0x100: 7, 0x101: 7} | dict.fromkeys(range(0x200, 0x230), 9)


def test_other_files_have_no_programs(make_clip, tmp_path):
    noise = tmp_path / "noise.ts"
    noise.write_bytes(np.random.default_rng(0).bytes(100_000))
    assert stream_programs(noise) == stream_programs(make_clip("clip.mp4")) == {}


def two_programs(path, leap_s=0.0):
    """Two programs, made of one by giving a second map; the second one's clock leaps."""
    with av.open(path, "w", format="mpegts") as container:
        streams = [container.add_stream("mpeg2video", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.codec_context.gop_size = 1
        for index in range(300):
            for number, stream in enumerate(streams):
                image = np.full((64, 96, 3), 40 + 100 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts = index
                for packet in stream.encode(frame):
                    shift = round(leap_s / packet.time_base) if number and index >= 150 else 0
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    container.mux(packet)
    data = bytearray(path.read_bytes())
    # The tables of FFmpeg's muxer are on PIDs 0 and 0x1000; the streams on 0x100 and 0x101.
    tables = {
        0: section(0, 1, b"\0\1\xf0\0" + b"\0\2\xf0\2"),
        0x1000: program_map(1, [0x100]),
        0x1002: program_map(2, [0x101]),
    }
    out = bytearray()
    for at in range(0, len(data), 188):
        pid = int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF
        if pid == 0:
            out += b"".join(p for n, table in tables.items() for p in packets(n, with_crc(table)))
        elif pid != 0x1000:
            out += data[at : at + 188]
    path.write_bytes(out)
    return path


def with_crc(table):
    """The section with its checksum (CRC-32 of MPEG-2), which FFmpeg tests."""
    crc = 0xFFFFFFFF
    for byte in table[:-4]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return table[:-4] + crc.to_bytes(4)


def test_the_clock_of_one_program_leaps_without_the_others(tmp_path):
    path = two_programs(tmp_path / "clip.ts", leap_s=100.0)
    assert stream_programs(path) == {0x100: 1, 0x101: 2}
    for number, leaps in ((0, 0), (1, 1)):
        log = ReadLog()
        times = [frame.time_s for frame in read_frames(path, stream=number, log=log)]
        assert len(log.jumps) == leaps
        np.testing.assert_allclose(np.diff(times), 0.04, atol=0.002)
        assert len(times) >= 299


def test_audio_streams_name_their_program(make_clip):
    assert [audio.programme for audio in probe_media(make_clip("clip.ts", tracks=2)).audio] == [
        1,
        1,
    ]
    assert probe_media(make_clip("clip.mp4")).audio[0].programme is None
