"""BCP 47 languages of Matroska and MP4 survive a copy, and no position in the file is wrong."""

import zlib

import av
import numpy as np
import pytest

from avsync.media.writers.patching.boxes import index_extent, read_box
from avsync.media.writers.patching.matroska_languages import (
    CRC,
    SEEK_HEAD,
    SEEK_ID,
    SEEK_POSITION,
    SEGMENT,
    TRACKS,
    _elements,
    _inside,
    _top,
    read_languages,
    write_languages,
)
from avsync.media.writers.remux import shift_audio

LATE = {"flashes": (0.8, 1.2, 1.6), "clicks": (0.8, 1.2, 1.6)}


def positions(head):
    """The elements that the list of positions names, by where it says that they are."""
    segment = next(e for e in _elements(head, 0, len(head)) if e.kind == SEGMENT)
    listed = next(e for e in _top(head) if e.kind == SEEK_HEAD)
    for seek in _inside(head, listed):
        fields = {e.kind: head[e.body : e.end] for e in _inside(head, seek)}
        if SEEK_ID in fields:
            at = segment.body + int.from_bytes(fields[SEEK_POSITION], "big")
            yield fields[SEEK_ID], head[at : at + len(fields[SEEK_ID])]


@pytest.mark.parametrize("languages", [["", "pt-BR"], ["zh-Hant-TW", "es-419"]])
def test_languages_are_added_and_every_position_is_right(make_clip, clip_sync, tmp_path, languages):
    clip = make_clip("clip.mkv", **LATE)
    before = clip.read_bytes()
    assert write_languages(clip, languages)
    assert read_languages(clip) == languages
    after = clip.read_bytes()
    assert len(after) == len(before)
    named = list(positions(after))
    assert len(named) >= 4
    assert all(name == found for name, found in named)
    for element in _top(after):
        first = next(iter(_inside(after, element)), None)
        if element.kind in (SEEK_HEAD, TRACKS) and first and first.kind == CRC:
            stored = int.from_bytes(after[first.body : first.end], "little")
            assert stored == zlib.crc32(after[first.end : element.end])
    np.testing.assert_allclose(clip_sync(clip), 0, atol=1.05)


def test_languages_without_room_leave_the_file_as_it_was(make_clip):
    clip = make_clip("clip.mkv")
    before = clip.read_bytes()
    assert not write_languages(clip, ["a" * 200, "b" * 200])
    assert clip.read_bytes() == before


def test_languages_pass_through_every_copy(make_clip, tmp_path):
    clip, again, mp4 = make_clip("clip.mkv"), tmp_path / "again.mkv", tmp_path / "new.mp4"
    write_languages(clip, ["", "pt-BR"])
    assert shift_audio(clip, again, 40.0) == ()
    assert read_languages(again) == ["", "pt-BR"]
    assert shift_audio(again, mp4, 40.0) == ()
    tracks = list(read_box(mp4, index_extent(mp4)[0]).all(b"trak"))
    assert tracks[1].get(b"mdia", b"elng").body == bytes(4) + b"pt-BR\0"
    assert tracks[0].find(b"mdia", b"elng") is None
    assert shift_audio(mp4, tmp_path / "back.mkv", 40.0) == ()
    assert read_languages(tmp_path / "back.mkv") == ["", "pt-BR"]
    with av.open(mp4) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    # A container that has none of these languages is named.
    left_out = shift_audio(again, tmp_path / "new.ts", 40.0)
    assert left_out == ("language pt-BR (stream 1)",)
