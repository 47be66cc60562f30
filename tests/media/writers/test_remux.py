"""A shifted file is the same file with its audio elsewhere, measured by flashes and clicks."""

import os
import resource
from fractions import Fraction

import av
import numpy as np
import pytest

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import probe_media
from avsync.media.video_reader import read_frames
from avsync.media.writers.copied_packets import _keep_order
from avsync.media.writers.remux import shift_audio

LATE = {"flashes": (0.8, 1.2, 1.6), "clicks": (0.8, 1.2, 1.6)}
SHIFTS = [-480.0, -200.0, 120.0]


@pytest.mark.parametrize("shift_ms", SHIFTS)
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "aac"),
        ("clip.mp4", "libopus"),
        ("clip.mov", "pcm_s16le"),
        ("clip.mkv", "aac"),
        ("clip.mkv", "flac"),
        ("clip.webm", "libopus"),
        ("clip.mpg", "mp2"),
        ("clip.avi", "pcm_s16le"),
    ],
)
def test_the_audio_moves_by_the_shift(make_clip, clip_sync, tmp_path, name, codec, shift_ms):
    shifted = tmp_path / f"shifted{os.path.splitext(name)[1]}"
    shift_audio(make_clip(name, audio_codec=codec, **LATE), shifted, shift_ms)
    np.testing.assert_allclose(clip_sync(shifted), shift_ms, atol=1.05)


@pytest.mark.parametrize("shift_ms", SHIFTS)
@pytest.mark.parametrize("codec", ["libmp3lame", "ac3", "aac"])
def test_compressed_audio_of_an_avi_moves_by_whole_packets(
    make_clip, clip_sync, tmp_path, codec, shift_ms
):
    clip, shifted = make_clip("clip.avi", audio_codec=codec, **LATE), tmp_path / "shifted.avi"
    shift_audio(clip, shifted, shift_ms)
    np.testing.assert_allclose(clip_sync(shifted) - clip_sync(clip), shift_ms, atol=16.5)


@pytest.mark.parametrize(
    ("name", "target", "codec", "tolerance_ms"),
    [
        ("clip.mp4", "new.mkv", "aac", 1.05),
        ("clip.mkv", "new.mp4", "aac", 1.05),
        ("clip.avi", "new.mkv", "pcm_s16le", 1.05),
        ("clip.mpg", "new.mkv", "mp2", 1.05),
        ("clip.mkv", "new.mov", "pcm_s16le", 1.05),
    ],
)
def test_the_container_may_change(
    make_clip, clip_sync, tmp_path, name, target, codec, tolerance_ms
):
    clip = make_clip(name, audio_codec=codec, audio_start_s=0.1, **LATE)
    before = clip_sync(clip)
    shift_audio(clip, tmp_path / target, -150.0)
    np.testing.assert_allclose(clip_sync(tmp_path / target) - before, -150, atol=tolerance_ms)


def test_an_avi_can_be_made_from_timed_packets(make_clip, clip_sync, tmp_path):
    clip = make_clip("clip.mp4", video_codec="mpeg4", audio_codec="libmp3lame", **LATE)
    for shift_ms in (-150, 150):
        shift_audio(clip, tmp_path / "new.avi", shift_ms, overwrite=True)
        np.testing.assert_allclose(clip_sync(tmp_path / "new.avi"), shift_ms, atol=13)


@pytest.mark.parametrize("target", ["new.mkv", "new.mp4"])
@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_frames_out_of_order_all_stay(tmp_path, name, target):
    # Matroska gives no decoding times to the first of them.
    clip, new = tmp_path / name, tmp_path / target
    with av.open(clip, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        grain = np.random.default_rng(0)
        for index in range(50):
            image = grain.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            image[:, : index + 1] = 5 * index
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shift_audio(clip, new, 100.0)
    before, after = list(read_frames(clip)), list(read_frames(new))
    assert len(before) == 50
    assert [round(f.time_s, 2) for f in after] == [round(f.time_s, 2) for f in before]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(
    ("name", "codec", "latest_ms"),
    [
        ("clip.mp4", "aac", 0),
        ("clip.mov", "pcm_s16le", 0),
        ("clip.mkv", "pcm_s24le", 0),
        ("clip.mkv", "aac", 22),
        ("clip.webm", "libopus", 34),
        ("clip.mkv", "flac", 97),
        ("clip.mkv", "libmp3lame", 48),
        ("clip.mkv", "ac3", 64),
        ("clip.mpg", "mp2", 58),
        ("clip.mpg", "ac3", 65),
    ],
)
def test_audio_that_comes_earlier_does_not_hold_up_the_frames(
    make_clip, clip_sync, tmp_path, name, codec, latest_ms
):
    clip, new = make_clip(name, audio_codec=codec, **LATE), tmp_path / f"new.{name[5:]}"
    shift_audio(clip, new, -333.0)
    info = probe_media(new)
    assert 1000 * (info.video_start_s - info.start_s) <= latest_ms
    np.testing.assert_allclose(clip_sync(new), -333, atol=1.05)
    # All that is heard from the first frame on is there: the end of the audio by its length.
    heard_s = len(sound(new)) / 16000
    assert heard_s == pytest.approx(len(sound(clip)) / 16000 - 0.333, abs=0.002)


@pytest.mark.parametrize(
    ("codec", "target", "kept"),
    [
        ("aac", "new.mp4", 4),
        ("aac", "new.mkv", 1),
        ("flac", "new.mkv", 0),
        ("pcm_s16le", "new.mkv", 0),
    ],
)
def test_only_the_packets_that_a_decoder_needs_come_before_the_first_audible_one(
    make_clip, tmp_path, codec, target, kept
):
    clip, new = make_clip("clip.mkv", audio_codec=codec, **LATE), tmp_path / target
    shift_audio(clip, new, -333.0)
    with av.open(clip) as before, av.open(new) as after:
        old, made = ([p for p in c.demux(audio=0) if p.size] for c in (before, after))
    ends_s = [float((p.pts + p.duration) * p.time_base) - 0.333 for p in old]
    inaudible = sum(end_s <= 0.001 for end_s in ends_s)
    assert inaudible >= 3
    assert len(made) == len(old) - inaudible + kept


def test_a_shift_there_and_back_leaves_every_packet_as_it_was(make_clip, tmp_path):
    clip = make_clip("clip.mp4", fps=Fraction(30000, 1001))
    shift_audio(clip, tmp_path / "there.mp4", 120.0)
    shift_audio(tmp_path / "there.mp4", tmp_path / "back.mp4", -120.0)
    before, after = packets(clip), packets(tmp_path / "back.mp4")
    assert [(stream, content) for stream, _, content in after] == [
        (stream, content) for stream, _, content in before
    ]
    assert max(abs(a - b) for (_, a, _), (_, b, _) in zip(after, before, strict=True)) <= 2


def test_every_audio_track_moves(make_clip, clip_sync, tmp_path):
    shift_audio(make_clip("clip.mkv", tracks=2, **LATE), tmp_path / "new.mkv", 200.0)
    for stream in range(2):
        np.testing.assert_allclose(clip_sync(tmp_path / "new.mkv", stream), 200, atol=1.05)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "clip.avi"])
def test_a_mapping_moves_only_the_streams_that_it_names(make_clip, clip_sync, tmp_path, name):
    new = tmp_path / f"new{os.path.splitext(name)[1]}"
    shift_audio(make_clip(name, tracks=3, **LATE), new, {1: 200.0, 2: -120.0})
    for stream, moved_ms in enumerate((0, 200, -120)):
        np.testing.assert_allclose(clip_sync(new, stream), moved_ms, atol=1.05)


def test_a_mapping_that_names_no_stream_of_the_file_is_refused(make_clip, tmp_path):
    clip = make_clip("clip.mkv", tracks=2)
    cause = r"shift_ms must name one of the file's 2 audio streams, counted from 0, got 2"
    with pytest.raises(ValueError, match=cause):
        shift_audio(clip, tmp_path / "new.mkv", {0: 40.0, 2: 40.0})
    with pytest.raises(ValueError, match="shift_ms must lie within an hour, got 4000000"):
        shift_audio(clip, tmp_path / "new.mkv", {0: 4e6})


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov"])
def test_rotation_and_title_are_kept(make_clip, tmp_path, name):
    shifted = tmp_path / f"new{os.path.splitext(name)[1]}"
    shift_audio(make_clip(name, rotation=90, metadata={"title": "Hallo"}), shifted, 40.0)
    assert probe_media(shifted).rotation == 90
    with av.open(shifted) as container:
        assert container.metadata["title"] == "Hallo"


def test_subtitles_chapters_languages_and_dispositions_are_kept(make_clip, tmp_path):
    clip, full, new = make_clip("clip.mkv"), tmp_path / "full.mkv", tmp_path / "new.mkv"
    dress(clip, full)
    shift_audio(full, new, 200.0)
    with av.open(full) as before, av.open(new) as after:
        assert [s.type for s in after.streams] == ["video", "audio", "subtitle"]
        assert after.streams[1].language == "deu"
        assert after.streams[1].disposition == before.streams[1].disposition
        assert [c["metadata"] for c in after.chapters()] == [{"title": "One"}]
        said = [(p.pts, bytes(p)) for p in after.demux(subtitles=0) if p.size]
        assert said == [(500, b"Hello")]


def test_a_cover_is_kept(make_clip, clip_sync, tmp_path):
    clip, covered, new = make_clip("clip.mp4", **LATE), tmp_path / "cover.mp4", tmp_path / "new.mp4"
    with av.open(clip) as source, av.open(covered, "w") as container:
        copies = [container.add_stream_from_template(stream) for stream in source.streams]
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        container.mux(cover.encode(frame) + cover.encode(None))
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    shift_audio(covered, new, 200.0)
    with av.open(new) as container:
        assert container.streams[2].disposition == av.stream.Disposition.attached_pic
        assert next(container.demux(video=1)).size > 100
    np.testing.assert_allclose(clip_sync(new), 200, atol=1)


def test_times_that_fall_back_are_lifted_a_little_or_refused():
    packet = av.Packet(b"sound")
    packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), 940, 940
    _keep_order(packet, 1000)
    assert (packet.pts, packet.dts) == (1001, 1001)
    with pytest.raises(ValueError, match=r"its timestamps are damaged, they jump back by 5\.0 s"):
        _keep_order(packet, 6001)


def test_a_copy_that_breaks_off_leaves_nothing_behind(make_clip, tmp_path):
    clip = make_clip("clip.mpg")
    (tmp_path / "new.mpg").write_bytes(b"precious")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (clip.stat().st_size // 2, before[1]))
    try:
        with pytest.raises(OSError, match="there is no space left for it"):
            shift_audio(clip, tmp_path / "new.mpg", 40.0, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mpg", "new.mpg"]
    assert (tmp_path / "new.mpg").read_bytes() == b"precious"


def test_a_recording_that_was_joined_to_another_is_copied_whole(make_clip, tmp_path):
    clip, new = make_clip("clip.mpg"), tmp_path / "new.mpg"
    count = len(list(read_frames(clip)))
    clip.write_bytes(clip.read_bytes() * 2)  # Its times begin again in the middle.
    shift_audio(clip, new, 40.0)
    times_s = [frame.time_s for frame in read_frames(new)]
    assert len(times_s) == pytest.approx(2 * count, abs=2)
    assert np.diff(times_s).min() > 0 and np.diff(times_s).max() < 0.2


def test_the_source_is_never_written_to(make_clip, tmp_path):
    clip = make_clip("clip.mp4")
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    before = clip.read_bytes()
    for destination in (clip, link):
        with pytest.raises(ValueError, match="destination must not be the source itself"):
            shift_audio(clip, destination, 40.0, overwrite=True)
    assert clip.read_bytes() == before


def test_an_existing_file_is_replaced_only_when_reported(make_clip, tmp_path):
    clip, taken = make_clip("clip.mp4"), tmp_path / "taken.mp4"
    taken.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"taken\.mp4 exists already and is not overwritten"):
        shift_audio(clip, taken, 40.0)
    assert taken.read_bytes() == b"precious"
    shift_audio(clip, taken, 40.0, overwrite=True)
    assert probe_media(taken).width == 96


def test_what_cannot_be_held_says_so_and_leaves_nothing_behind(make_clip, tmp_path):
    clip = make_clip("clip.mp4")
    for name in ("new.webm", "new.txt"):
        with pytest.raises(RuntimeError, match=rf"clip\.mp4 cannot be copied into \.{name[4:]}"):
            shift_audio(clip, tmp_path / name, 40.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


def test_streams_that_players_would_not_find_again_are_not_written(make_clip, tmp_path):
    clip, full = make_clip("clip.mkv"), tmp_path / "full.mkv"
    with pytest.raises(RuntimeError, match="it cannot store the times of h264 frames"):
        shift_audio(clip, tmp_path / "new.avi", 40.0)
    dress(clip, full)
    with pytest.raises(RuntimeError, match="does not support subtitles in subrip"):
        shift_audio(full, tmp_path / "new.ts", 40.0)


def test_fonts_are_kept_or_named_where_there_is_no_position(make_clip, tmp_path):
    clip, full = make_clip("clip.mkv"), tmp_path / "full.mkv"
    with av.open(clip) as source, av.open(full, "w") as container:
        copies = [container.add_stream_from_template(stream) for stream in source.streams]
        container.add_attachment("a.ttf", "font/ttf", b"font")
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    assert shift_audio(full, tmp_path / "new.mkv", 40.0) == ()
    with av.open(tmp_path / "new.mkv") as container:
        assert container.streams[2].metadata["filename"] == "a.ttf"
        assert bytes(container.streams[2].data) == b"font"
    for suffix in ("ts", "mp4"):
        left_out = shift_audio(full, tmp_path / f"new.{suffix}", 40.0)
        assert left_out == ("attachment (stream 2): a.ttf",)


def test_a_folder_that_is_not_there_and_a_broken_source_are_named(make_clip, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        shift_audio(make_clip("clip.mp4"), tmp_path / "nowhere" / "new.mp4", 40.0)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UnreadableMedia, match="not a media file"):
        shift_audio(tmp_path / "text.mp4", tmp_path / "new.mp4", 40.0)
    with pytest.raises(ValueError, match="shift_ms must lie within an hour, got nan"):
        shift_audio(tmp_path / "clip.mp4", tmp_path / "new.mp4", float("nan"))


def test_a_truncated_file_is_copied_as_far_as_it_goes(make_clip, tmp_path):
    clip = make_clip("clip.mkv", duration_s=4.0)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    shift_audio(clip, tmp_path / "new.mkv", 100.0)
    assert len(list(read_frames(tmp_path / "new.mkv"))) == len(list(read_frames(clip)))


@pytest.mark.real_data
def test_an_original_mpeg_clip_moves_by_the_shift(shared, tmp_path):
    clip = sorted((shared / "data" / "grid_other_speakers").glob("*.mpg"))[0]
    for shift_ms in (-480, 120):
        shift_audio(clip, tmp_path / "new.mpg", shift_ms, overwrite=True)
        before, after = sound(clip), sound(tmp_path / "new.mpg")
        lag = np.fft.irfft(np.fft.rfft(after, 1 << 17) * np.conj(np.fft.rfft(before, 1 << 17)))
        moved = (int(lag.argmax()) + (1 << 16)) % (1 << 17) - (1 << 16)
        assert moved / 16 == pytest.approx(shift_ms, abs=1)


def sound(path):
    return np.concatenate(list(read_audio(path, probe_media(path).video_start_s)))


def packets(path):
    with av.open(path) as container:
        found = [(p.stream_index, p.pts, bytes(p)) for p in container.demux() if p.size]
    return sorted(found, key=lambda packet: packet[:2])


def dress(clip, target):
    """Copies a clip with a subtitle, a chapter, and a language and a disposition of its audio."""
    with av.open(clip) as source, av.open(target, "w") as container:
        copies = {s.index: container.add_stream_from_template(s) for s in source.streams}
        copies[1].metadata["language"] = "deu"
        copies[1].disposition = av.stream.Disposition.default | av.stream.Disposition.dub
        text = container.add_mux_stream("subrip")
        chapter = {"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000)}
        container.set_chapters([{**chapter, "metadata": {"title": "One"}}])
        said = av.Packet(b"Hello")
        said.stream, said.time_base = text, Fraction(1, 1000)
        said.pts = said.dts = 500
        said.duration = 1000
        container.mux(said)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
