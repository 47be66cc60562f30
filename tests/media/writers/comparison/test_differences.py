"""A comparison finds what a copy lacks; what matters is refused, the rest is named."""

from fractions import Fraction

import av
import pytest
from av.stream import Disposition

from avsync.media.writers.comparison.differences import compare_streams
from avsync.media.writers.comparison.file_facts import FileFacts, StreamFacts, read_facts
from avsync.media.writers.remux import shift_audio
from avsync.media.writers.retime import forecast_copy

VIDEO = StreamFacts(
    number=0,
    kind="video",
    codec="hevc",
    tag="hvc1",
    tags={"language": "ger"},
    disposition=Disposition.default,
    look={"frame size": (96, 64), "colour transfer": 16, "field order": 1},
    side_data={"rotation": b"90", "HDR mastering display": b"bright"},
    data=b"",
    packets=100,
    size=5000,
)
AUDIO = VIDEO._replace(
    number=1, kind="audio", codec="aac", tag="mp4a", look={"sample rate": 48000}, side_data={}
)
FONT = VIDEO._replace(
    number=2,
    kind="attachment",
    codec="unknown",
    tags={"filename": "a.ttf", "mimetype": "font/ttf"},
    look={},
    side_data={},
    data=b"font",
)
CLOCK = FONT._replace(number=3, kind="data", tags={"timecode": "10:00:00:00"}, data=b"")
REST = (FONT, CLOCK)
FILE = FileFacts(
    family="mov,mp4",
    streams=(VIDEO, AUDIO, FONT, CLOCK),
    tags={"title": "A", "creation_time": "2024-05-18T18:36:54Z"},
    chapters=((0.0, 1.0, "One"),),
    front_loaded=True,
    dolby_vision=True,
    programs=2,
)


def changed(number, **fields):
    streams = [s._replace(**fields) if s.number == number else s for s in FILE.streams]
    return FILE._replace(streams=tuple(streams))


def without(number):
    streams = [s for s in FILE.streams if s.number != number]
    return FILE._replace(streams=tuple(s._replace(number=at) for at, s in enumerate(streams)))


def test_a_file_lacks_nothing_of_itself():
    assert compare_streams(FILE, FILE) == ()


@pytest.mark.parametrize(
    ("copy", "what", "matters"),
    [
        (without(0), "video (stream 0)", True),
        (without(1), "audio (stream 1)", True),
        (without(2), "attachment (stream 2): a.ttf", False),
        (without(3), "timecode 10:00:00:00 (stream 3)", True),
        (changed(0, codec="h264"), "video (stream 0)", True),
        (changed(0, tag="hev1"), "codec tag hvc1 (stream 0): it is hev1", False),
        (changed(0, side_data={"rotation": b"90"}), "HDR mastering display (stream 0)", True),
        (changed(0, side_data=VIDEO.side_data | {"rotation": b"0"}), "rotation (stream 0)", True),
        (changed(0, look={**VIDEO.look, "field order": 2}), "field order (stream 0)", False),
        (changed(0, packets=50), "50 of 100 packets (stream 0)", True),
        (changed(0, packets=99), "1 of 100 packets (stream 0)", False),
        (changed(1, tags={"language": "fra"}), "language ger (stream 1)", False),
        (changed(1, disposition=Disposition.dub), None, False),
        (changed(1, tags={"language": "deu"}), None, False),
        (changed(2, data=b"other"), "content or name of the attachment (stream 2)", False),
        (FILE._replace(dolby_vision=False), "Dolby Vision configuration", True),
        (FILE._replace(chapters=()), "chapters", True),
        (FILE._replace(programs=1), "the division into 2 programs", False),
        (FILE._replace(chapters=((0.0, 1.0, ""),)), "titles of chapters", False),
        (FILE._replace(front_loaded=False), "the index before the media data", False),
        (FILE._replace(tags={}), "metadata: title, creation_time", False),
        (
            FILE._replace(
                streams=(AUDIO._replace(number=0), VIDEO._replace(number=1), FONT, CLOCK)
            ),
            "the order of the streams",
            False,
        ),
    ],
)
def test_every_loss_is_found(copy, what, matters):
    found = [(difference.what, difference.matters) for difference in compare_streams(FILE, copy)]
    assert found == ([] if what is None else [(what, matters)])


def test_dropped_audio_is_no_loss_and_lost_audio_is():
    shifts_s = {1: Fraction(-1, 10)}
    early = changed(1, packets=70)
    assert compare_streams(FILE, early, shifts_s=shifts_s) == ()
    assert compare_streams(FILE, early)[0].what == "30 of 100 packets (stream 1)"
    assert compare_streams(FILE, early, encoded={1}) == ()


def test_a_timecode_in_the_metadata_replaces_its_track():
    copy = without(3)._replace(tags={**FILE.tags, "timecode": "10:00:00:00"})
    assert compare_streams(FILE, copy) == ()


def test_what_a_file_says_is_read(make_clip):
    facts = read_facts(make_clip("clip.mp4", rotation=90, metadata={"title": "Hallo"}))
    video, audio = facts.streams
    assert (video.codec, video.tag, audio.codec, audio.look["sample rate"]) == (
        *("h264", "avc1", "aac"),
        48000,
    )
    # Rows of the display matrix, without its translation: ISO/IEC 14496-12, 8.3.2.
    assert video.side_data["rotation"] == b"0 65536 -65536 0"
    assert (video.packets, facts.tags["title"], facts.front_loaded) == (50, "Hallo", False)


def test_programs_of_a_transport_stream_are_counted(make_clip):
    clip = make_clip("clip.ts")
    assert read_facts(clip).programs == 1
    content = bytearray(clip.read_bytes())
    for at in range(0, len(content), 188):
        if content[at + 1 : at + 3] == b"\x40\0":
            # A second program behind the first; its length grows by the four bytes of one.
            content[at + 7] += 4
            content[at + 17 : at + 21] = b"\0\2\xf0\0"
    clip.write_bytes(content)
    assert read_facts(clip).programs == 2


def test_a_loss_that_matters_is_refused_before_anything_is_written(make_clip, tmp_path):
    clip, new = make_clip("clip.mp4", rotation=90, video_codec="mpeg4"), tmp_path / "new.avi"
    cause = r"cannot be copied into \.avi without losing rotation \(stream 0\)\. Choose another"
    for attempt in (
        lambda: forecast_copy(clip, new, encode=False),
        lambda: shift_audio(clip, new, 40.0),
    ):
        with pytest.raises(RuntimeError, match=cause + r".*such as \.mp4.*--allow-loss"):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    foreseen = forecast_copy(clip, new, encode=False, allow_loss=True)
    assert "rotation (stream 0)" in foreseen.left_out
    assert shift_audio(clip, new, 40.0, allow_loss=True) == foreseen.left_out


def test_chapters_that_a_container_cannot_hold_are_refused(make_clip, tmp_path):
    clip, full = make_clip("clip.mkv"), tmp_path / "full.mkv"
    with av.open(clip) as source, av.open(full, "w") as container:
        copies = [container.add_stream_from_template(stream) for stream in source.streams]
        chapter = {"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000)}
        container.set_chapters([{**chapter, "metadata": {"title": "One"}}])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    with pytest.raises(RuntimeError, match=r"into \.ts without losing chapters\."):
        shift_audio(full, tmp_path / "new.ts", 40.0)
    assert shift_audio(full, tmp_path / "new.ts", 40.0, allow_loss=True) == ("chapters",)
    assert shift_audio(full, tmp_path / "new.mp4", 40.0) == ()


@pytest.mark.parametrize("name", ["new.m3u8", "new.mpd", "new.png", "new.mxf", "new.xyz", "new"])
def test_what_is_no_single_file_with_times_is_refused(make_clip, tmp_path, name):
    clip = make_clip("clip.mp4")
    with pytest.raises(RuntimeError, match=r"clip\.mp4 cannot be copied into"):
        shift_audio(clip, tmp_path / name, 40.0)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
