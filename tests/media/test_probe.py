"""What a file says of itself, and what every kind of wrong file is answered."""

from fractions import Fraction

import av
import numpy as np
import pytest

from avsync.media.container import UnreadableMedia
from avsync.media.probe import probe_media
from avsync.media.video_reader import read_frames


def test_a_clip_is_described(make_clip):
    info = probe_media(
        make_clip("clip.mp4", fps=Fraction(24000, 1001), sample_rate=44100, tracks=2)
    )
    assert (info.width, info.height, info.rotation, info.video_codec) == (96, 64, 0, "h264")
    assert info.fps == pytest.approx(23.976, abs=0.001)
    assert info.duration_s == pytest.approx(2.0, abs=0.05)
    assert [(a.index, a.sample_rate, a.channels) for a in info.audio] == [
        (0, 44100, 2),
        (1, 44100, 2),
    ]


@pytest.mark.parametrize(("rotation", "size"), [(90, (64, 96)), (180, (96, 64)), (270, (64, 96))])
def test_the_size_is_that_of_the_upright_picture(make_clip, rotation, size):
    info = probe_media(make_clip("clip.mov", rotation=rotation))
    assert (info.rotation, info.width, info.height) == (rotation, *size)


def test_a_variable_rate_is_averaged_over_time(make_clip):
    info = probe_media(make_clip("clip.mp4", times=[0.0, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0], flashes=()))
    assert info.fps == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mpg", "clip.avi"])
def test_the_video_starts_where_its_first_frame_does(make_clip, name):
    clip = make_clip(name, video_start_s=0.2)
    assert probe_media(clip).video_start_s == next(read_frames(clip)).time_s


def test_a_cover_is_no_video_stream(make_clip, tmp_path):
    sound, song = make_clip("sound.mp4", video=False), tmp_path / "song.mp4"
    with av.open(sound) as source, av.open(song, "w") as target:
        audio = target.add_stream_from_template(source.streams.audio[0])
        cover = target.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        target.mux(cover.encode(frame) + cover.encode(None))
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = audio
                target.mux(packet)
    with av.open(song) as check:
        assert len(check.streams.video) == 1
    with pytest.raises(UnreadableMedia, match="no video stream") as caught:
        probe_media(song)
    assert caught.value.reason == "no_video_stream"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"Dear diary, this is no video.\n" * 200, "not a media file"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "header is damaged or missing"),
        (b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n", "not a media file"),
    ],
)
def test_what_is_no_media_is_unreadable_with_its_cause(tmp_path, content, cause):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia, match=cause) as caught:
        probe_media(path)
    assert caught.value.reason == "damaged"


def test_a_file_cut_before_its_index_is_unreadable(make_clip):
    clip = make_clip("clip.mp4")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with pytest.raises(UnreadableMedia, match="header is damaged or missing"):
        probe_media(clip)


def test_pictures_beyond_all_measure_are_refused_before_they_are_made(make_clip):
    clip = make_clip("clip.mov", video_codec="mjpeg", duration_s=0.2)
    data = clip.read_bytes()
    # The frame's size in the sample description and in every JPEG's own header.
    data = data.replace(b"\x00\x60\x00\x40\x00\x48", b"\x4e\x20\x17\x70\x00\x48")
    data = data.replace(b"\x00\x40\x00\x60\x03", b"\x17\x70\x4e\x20\x03")
    clip.write_bytes(data)
    with pytest.raises(UnreadableMedia, match="beyond 36 megapixels"):
        probe_media(clip)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UnreadableMedia, match=r"nothing\.mp4 does not exist"):
        probe_media(tmp_path / "nothing.mp4")
    with pytest.raises(UnreadableMedia, match="is a folder, not a file"):
        probe_media(tmp_path)


def test_names_that_look_like_addresses_are_files(make_clip, tmp_path, monkeypatch):
    make_clip("http:clip.mp4")
    monkeypatch.chdir(tmp_path)
    assert probe_media("http:clip.mp4").width == 96


@pytest.mark.real_data
def test_original_mpeg_clips_are_described(shared):
    clips = sorted((shared / "data" / "grid_other_speakers").glob("*.mpg"))
    assert clips
    for clip in clips:
        info = probe_media(clip)
        assert (info.width, info.height, info.audio[0].sample_rate) == (360, 288, 44100)
        assert info.fps == pytest.approx(25, abs=0.01)
