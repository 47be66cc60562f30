"""Audio of MP4 and MOV moves by its edit list; no other byte that matters changes."""

from fractions import Fraction

import av
import numpy as np
import pytest

from avsync.media.writers.patching.boxes import (
    Box,
    UnknownStructure,
    index_extent,
    read_box,
    top_level_boxes,
)
from avsync.media.writers.patching.edit_lists import Edit, _cut, _write_edits, shift_edit_lists

LATE = {"flashes": (0.8, 1.2, 1.6), "clicks": (0.8, 1.2, 1.6)}


def moov(path):
    return read_box(path, index_extent(path)[0])


def boxes_of(path):
    """The contents of the boxes at the top of a file, by type."""
    content = path.read_bytes()
    return {box.kind: content[box.body : box.end] for box in top_level_boxes(path)}


def rewrite(path, change, *, front=False, free=0):
    """Changes the index of a file, and puts it in front of the media data, free space behind it."""
    content, index = path.read_bytes(), moov(path)
    change(index)
    parts = {box.kind: content[box.start : box.end] for box in top_level_boxes(path)}
    others = b"".join(part for kind, part in parts.items() if kind not in (b"ftyp", b"moov"))
    if front:
        filler = Box(b"free", bytes(free - 8)).to_bytes() if free else b""
        by = len(index.to_bytes()) + len(filler)
        for box in index.all(b"trak", b"mdia", b"minf", b"stbl", b"stco"):
            box.body = (
                box.body[:8] + (np.frombuffer(box.body[8:], ">u4") + by).astype(">u4").tobytes()
            )
        path.write_bytes(parts[b"ftyp"] + index.to_bytes() + filler + others)
    else:
        path.write_bytes(parts[b"ftyp"] + others + index.to_bytes())
    return path


@pytest.mark.parametrize("shift_ms", [-333.0, 120.0])
def test_only_the_index_changes(make_clip, clip_sync, tmp_path, shift_ms):
    clip, new = make_clip("clip.mp4", tracks=2, **LATE), tmp_path / "new.mp4"
    shift_edit_lists(clip, new, {3: Fraction(shift_ms) / 1000})
    before, after = boxes_of(clip), boxes_of(new)
    assert list(before) == list(after)
    assert {kind for kind in before if before[kind] != after[kind]} == {b"moov"}
    np.testing.assert_allclose(clip_sync(new, 0), 0, atol=0.1)
    np.testing.assert_allclose(clip_sync(new, 1), shift_ms, atol=0.1)
    for one, other in zip(moov(clip).all(b"trak"), moov(new).all(b"trak"), strict=True):
        assert one.get(b"mdia").to_bytes() == other.get(b"mdia").to_bytes()


@pytest.mark.parametrize("free", [0, 8, 48, 200])
def test_an_index_in_front_stays_in_front_and_finds_the_media(make_clip, clip_sync, tmp_path, free):
    def drop_edits(index):
        audio = list(index.all(b"trak"))[1]
        audio.children = [box for box in audio.children if box.kind != b"edts"]

    clip = rewrite(make_clip("clip.mp4", **LATE), drop_edits, front=True, free=free)
    before = clip_sync(clip)
    shift_edit_lists(clip, tmp_path / "new.mp4", {2: Fraction(1, 10)})
    assert index_extent(tmp_path / "new.mp4")[1]
    np.testing.assert_allclose(clip_sync(tmp_path / "new.mp4") - before, 100, atol=0.1)
    # The edit list has 48 bytes: enough free space, and nothing else moves.
    grown = (tmp_path / "new.mp4").stat().st_size - clip.stat().st_size
    assert grown == (48 if free < 48 else 0)


def test_a_coarse_time_scale_does_not_round_the_shift(make_clip, clip_sync, tmp_path):
    def coarsen(index):
        header = index.get(b"mvhd")
        header.body = (
            header.body[:12]
            + (600).to_bytes(4, "big")
            + (1200).to_bytes(4, "big")
            + header.body[20:]
        )
        for track in index.all(b"trak"):
            head = track.get(b"tkhd")
            head.body = head.body[:20] + (1200).to_bytes(4, "big") + head.body[24:]
            _write_edits(track, [Edit(1200, 0)])

    clip = rewrite(make_clip("clip.mov", audio_codec="pcm_s16le", **LATE), coarsen)
    before = clip_sync(clip)
    shift_edit_lists(clip, tmp_path / "new.mov", {2: Fraction("0.0412")})
    np.testing.assert_allclose(clip_sync(tmp_path / "new.mov") - before, 41.2, atol=0.07)
    with av.open(clip) as one, av.open(tmp_path / "new.mov") as other:
        assert other.streams.video[0].duration == one.streams.video[0].duration


def test_edits_are_cut_one_after_the_other():
    # An empty edit of 100, 50 from the media's 30 at double speed, the rest from 200.
    edits = [Edit(100, -1), Edit(50, 30, 2 << 16), Edit(70, 200)]
    assert _cut(edits, 40, Fraction(2)) == [Edit(60, -1), *edits[1:]]
    assert _cut(edits, 110, Fraction(2)) == [Edit(40, 70, 2 << 16), Edit(70, 200)]
    assert _cut(edits, 155, Fraction(2)) == [Edit(65, 210)]
    with pytest.raises(UnknownStructure, match="nothing of the audio would remain"):
        _cut(edits, 220, Fraction(2))


def test_codecs_and_boxes_that_nobody_knows_are_kept(make_clip, clip_sync, tmp_path):
    def make_strange(index):
        entries = next(
            b for b in index.all(b"trak", b"mdia", b"minf", b"stbl", b"stsd") if b"mp4a" in b.body
        )
        entries.body = entries.body.replace(b"mp4a", b"apac").replace(b"esds", b"dapa")
        index.children.append(Box(b"mine", b"content"))

    clip = make_clip("clip.mov", tracks=2, **LATE)
    rewrite(clip, make_strange)
    shift_edit_lists(clip, tmp_path / "new.mov", {2: Fraction(1, 10), 3: Fraction(1, 10)})
    assert moov(tmp_path / "new.mov").get(b"mine").body == b"content"
    with av.open(clip) as one, av.open(tmp_path / "new.mov") as other:
        assert one.streams.audio[0].codec_context is None
        found = [[bytes(p) for p in c.demux(audio=0) if p.size] for c in (one, other)]
    assert found[0] == found[1]
    np.testing.assert_allclose(clip_sync(tmp_path / "new.mov", 1), 100, atol=0.1)


def test_fragments_and_damage_are_left_to_the_remuxer(make_clip, tmp_path):
    clip, pieces = make_clip("clip.mp4"), tmp_path / "pieces.mp4"
    with (
        av.open(clip) as source,
        av.open(pieces, "w", container_options={"movflags": "frag_keyframe"}) as target,
    ):
        copies = [target.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                target.mux(packet)
    with pytest.raises(UnknownStructure, match="fragmented"):
        shift_edit_lists(pieces, tmp_path / "new.mp4", {2: Fraction(1, 10)})
    with pytest.raises(UnknownStructure, match="fragmented, or"):
        shift_edit_lists(clip, tmp_path / "new.mp4", {7: Fraction(1, 10)})
    clip.write_bytes(clip.read_bytes()[:-100])
    with pytest.raises(UnknownStructure, match="has a size of"):
        shift_edit_lists(clip, tmp_path / "new.mp4", {2: Fraction(1, 10)})
