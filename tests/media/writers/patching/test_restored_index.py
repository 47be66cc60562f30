"""A remux of MP4 or MOV keeps what FFmpeg's muxer drops: records, metadata, tracks of devices."""

import struct

import av
import numpy as np
import pytest

from avsync.media.probe import probe_media
from avsync.media.writers.patching.boxes import Box, index_extent, read_box
from avsync.media.writers.remux import shift_audio
from avsync.media.writers.retime import retime_audio
from avsync.media.writers.time_map import AudioSegment

TABLE = (b"mdia", b"minf", b"stbl", b"stsd")
LATE = {"flashes": (0.8, 1.2, 1.6), "clicks": (0.8, 1.2, 1.6)}


def moov(path):
    return read_box(path, index_extent(path)[0])


def rewrite(path, change):
    extent, _ = index_extent(path)
    content, index = path.read_bytes(), moov(path)
    change(index)
    path.write_bytes(content[: extent.start] + index.to_bytes() + content[extent.end :])


def with_data_track(path, tag):
    """Adds a track of data, as phones and cameras write them, with six packets."""
    full = path.with_name(f"full{path.suffix}")
    with av.open(path) as source, av.open(full, "w") as container:
        copies = [container.add_stream_from_template(s, opaque=True) for s in source.streams]
        data = container.add_mux_stream("mov_text")
        for number in range(6):
            packet = av.Packet(struct.pack(">H5s", 5, b"dat%02d" % number))
            packet.stream, packet.time_base = data, copies[0].time_base
            packet.pts = packet.dts = round(0.3 * number / packet.time_base)
            packet.duration = round(0.3 / packet.time_base)
            container.mux_one(packet)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)

    def describe(index):
        track = list(index.all(b"trak"))[-1]
        content = bytes(6) + b"\0\1" + Box(b"keys", b"set-up").to_bytes()
        track.get(*TABLE).body = struct.pack(">II", 0, 1) + Box(tag, content).to_bytes()
        handler = track.get(b"mdia", b"hdlr")
        handler.body = handler.body[:8] + b"meta" + handler.body[12:]
        # The data describes the video: ISO/IEC 14496-12, 8.3.3.
        reference = struct.pack(">I4sI", 12, b"cdsc", 1)
        track.children.insert(-1, Box(b"tref", reference))

    rewrite(full, describe)
    return full


def data_packets(path):
    with av.open(path) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(data=0) if p.size]


@pytest.mark.parametrize("tag", [b"mebx", b"rtmd", b"gpmd", b"camm"])
@pytest.mark.parametrize(("name", "target"), [("clip.mov", ".mp4"), ("clip.mp4", ".mov")])
def test_tracks_of_devices_keep_their_description_and_packets(
    make_clip, clip_sync, tmp_path, tag, name, target
):
    full, new = with_data_track(make_clip(name, **LATE), tag), tmp_path / f"new{target}"
    zero = clip_sync(full)
    assert shift_audio(full, new, 120.0) == ()
    track, old = list(moov(new).all(b"trak"))[-1], list(moov(full).all(b"trak"))[-1]
    assert track.get(*TABLE).body == old.get(*TABLE).body
    assert track.get(b"tref").body == old.get(b"tref").body
    assert track.get(b"mdia", b"hdlr").body == old.get(b"mdia", b"hdlr").body
    assert data_packets(new) == data_packets(full)
    np.testing.assert_allclose(clip_sync(new) - zero, 120, atol=1.05)


def test_a_repair_that_encodes_audio_keeps_records_and_metadata(make_clip, clip_sync, tmp_path):
    def dress(index):
        table = next(index.all(b"trak")).get(*TABLE)
        record = Box(b"dvvC", bytes([1, 0, 16, 45, 64]) + bytes(19)).to_bytes()
        content = table.body[8:] + record
        table.body = table.body[:8] + struct.pack(">I", len(content)) + content[4:]
        audio = list(index.all(b"trak"))[1]
        audio.get(b"mdia").children.insert(1, Box(b"elng", bytes(4) + b"pt-BR\0"))
        index.children.append(Box(b"udta", Box(b"\xa9xyz", b"\0\x09\x15\xc7+48.2+16/").to_bytes()))

    clip, new = make_clip("clip.mp4", rotation=90, **LATE), tmp_path / "new.mp4"
    rewrite(clip, dress)
    done = retime_audio(clip, new, [AudioSegment(0, 1, 100, 0), AudioSegment(1, 9, -100, 0)])
    assert done.left_out == ()
    index = moov(new)
    assert b"dvvC" in next(index.all(b"trak")).get(*TABLE).body
    assert list(index.all(b"trak"))[1].get(b"mdia", b"elng").body == bytes(4) + b"pt-BR\0"
    with av.open(new) as container:
        assert container.metadata["location"] == "+48.2+16/"
    assert probe_media(new).rotation == 90


@pytest.mark.parametrize("front", [False, True])
def test_the_index_comes_where_it_was(make_clip, clip_sync, tmp_path, front):
    clip, fast, new = make_clip("clip.mp4", **LATE), tmp_path / "fast.mp4", tmp_path / "new.mp4"
    options = {"movflags": "faststart"} if front else {}
    with av.open(clip) as source, av.open(fast, "w", container_options=options) as container:
        copies = [container.add_stream_from_template(s, opaque=True) for s in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    zero = clip_sync(fast)
    retime_audio(fast, new, [AudioSegment(0, 9, 100, 0)])
    assert index_extent(fast)[1] is index_extent(new)[1] is front
    np.testing.assert_allclose(clip_sync(new) - zero, 100, atol=0.5)


@pytest.mark.parametrize("target", ["new.mp4", "new.mov", "new.mkv"])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov"])
def test_a_timecode_is_kept_and_not_reported_as_left_out(make_clip, tmp_path, name, target):
    clip, new = make_clip(name, metadata={"timecode": "10:00:00:00"}), tmp_path / target
    assert shift_audio(clip, new, 40.0) == ()
    with av.open(clip) as before, av.open(new) as after:
        assert [s.type for s in before.streams] == ["video", "audio", "data"]
        if target == "new.mkv":
            assert after.metadata["TIMECODE"] == "10:00:00:00"
            return
        assert after.streams.video[0].metadata["timecode"] == "10:00:00:00"
        assert [s.type for s in after.streams] == ["video", "audio", "data"]
        counts = [[bytes(p) for p in c.demux(data=0) if p.size] for c in (before, after)]
        assert counts[0] == counts[1] != []


def test_arbitrary_keys_are_written_beside_the_usual_ones(make_clip, tmp_path):
    clip = make_clip("clip.mkv", metadata={"title": "Hallo", "SCENE": "12a"})
    assert shift_audio(clip, tmp_path / "new.mp4", 40.0) == ()
    with av.open(tmp_path / "new.mp4") as container:
        assert (container.metadata["title"], container.metadata["SCENE"]) == ("Hallo", "12a")
    # The title is also where players of iTunes metadata look for it.
    assert b"\xa9nam" in moov(tmp_path / "new.mp4").get(b"udta").to_bytes()


def test_a_fragmented_file_becomes_one_with_an_index(make_clip, clip_sync, tmp_path):
    clip, pieces, new = make_clip("clip.mp4", **LATE), tmp_path / "p.mp4", tmp_path / "new.mp4"
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(clip) as source, av.open(pieces, "w", container_options=options) as container:
        copies = [container.add_stream_from_template(s, opaque=True) for s in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    zero = clip_sync(pieces)
    assert shift_audio(pieces, new, -150.0) == ()
    assert moov(new).find(b"mvex") is None
    np.testing.assert_allclose(clip_sync(new) - zero, -150, atol=1.05)


def test_audio_of_an_unknown_codec_does_not_block_a_repair_of_other_audio(
    make_clip, clip_sync, tmp_path
):
    def make_strange(index):
        table = list(index.all(b"trak"))[2].get(*TABLE)
        table.body = table.body.replace(b"mp4a", b"apac").replace(b"esds", b"dapa")

    clip, new = make_clip("clip.mov", tracks=2, **LATE), tmp_path / "new.mov"
    rewrite(clip, make_strange)
    zero = clip_sync(clip)
    segments = [AudioSegment(0, 9, 100, 0)]
    retime_audio(clip, new, {0: segments}, shifts_ms={1: 100.0})
    np.testing.assert_allclose(clip_sync(new) - zero, 100, atol=0.5)
    tables = [list(moov(path).all(b"trak"))[2].get(*TABLE).body for path in (clip, new)]
    assert tables[0] == tables[1]
    packets = [[bytes(p) for p in av.open(f).demux(audio=1) if p.size] for f in (clip, new)]
    assert packets[0] == packets[1]
    with pytest.raises(RuntimeError, match=r"audio \(stream 2\) \(it cannot be decoded"):
        retime_audio(clip, tmp_path / "b.mov", segments)
    done = retime_audio(clip, tmp_path / "b.mov", segments, allow_loss=True)
    assert done.left_out == ("audio (stream 2)",)
