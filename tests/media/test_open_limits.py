"""Crafted files are refused in words within limits; valid files of the same kinds are read."""

import mmap
import os
import resource
import subprocess
import sys
import threading
import time

import pytest
from pipelines.red_detector import RedDetector

from avsync.media import open_limits
from avsync.media.container import UnreadableMedia, open_media, packets
from avsync.media.open_limits import (
    MAX_ALLOC_BYTES,
    MAX_GROWTH_BYTES,
    MAX_STREAMS,
    OpenLimitExceeded,
    limit_allocations,
    opening_limits,
    private_bytes,
)
from avsync.media.probe import probe_media
from avsync.media.tag_count import MAX_TAGS, count_tags
from avsync.media.video_reader import read_frames
from avsync.pipelines.check.check_file import check
from benchmarks.media.crafted_containers import (
    MP3_FRAMES,
    TEXTS,
    flac_comments,
    id3_tags,
    ts_shared_pid,
)
from benchmarks.media.crafted_images import deflated_zeros, png_bomb
from benchmarks.media.crafted_mkv import (
    TAGS,
    compressed_mkv,
    element,
    lzo_run,
    many_elements,
    mkv_tag,
)
from benchmarks.media.crafted_mp4 import (
    boxes,
    compressed_moov,
    compressed_moov_claim,
    cover_art,
    fragment_bomb,
    many_edits,
    many_tags,
    many_tracks,
    nested,
    sample_count_bomb,
    table_claim,
)
from benchmarks.media.mutations import mutate

REFUSED_TABLE = "its header asks for more than the limits: 256 streams, 320 MiB for a table"
linux = pytest.mark.skipif(private_bytes() is None, reason="the system tells no memory")
reachable = pytest.mark.skipif(not limit_allocations(), reason="FFmpeg's library is not reachable")


@pytest.fixture
def craft(make_clip):
    """Return a function that edits an intact MP4 of two seconds and returns the path."""

    def apply(edit, *options, suffix=".mp4"):
        clip = make_clip("clip.mp4")
        crafted = clip.with_name(f"crafted{suffix}")
        crafted.write_bytes(edit(clip.read_bytes(), *options))
        return crafted

    return apply


def frame_count(path):
    return sum(1 for _ in read_frames(path))


def test_the_boxes_of_a_file_are_parsed_and_written_unchanged(make_clip):
    data = make_clip("clip.mp4").read_bytes()
    assert b"".join(map(bytes, boxes(data))) == data


def test_a_compressed_index_is_read(craft):
    assert frame_count(craft(compressed_moov, 0)) == 50
    assert frame_count(craft(compressed_moov, 30 << 20)) == 50


@reachable
@pytest.mark.parametrize(
    ("edit", "options"),
    [
        (compressed_moov_claim, ()),
        (compressed_moov, (MAX_ALLOC_BYTES + (1 << 20),)),
        (fragment_bomb, (1 << 26, 1)),
        (fragment_bomb, (1 << 20, 100)),
        (many_tracks, (MAX_STREAMS, 1)),
    ],
    ids=["compressed claim", "compressed bomb", "run", "runs", "tracks"],
)
def test_headers_that_claim_more_than_the_limits_are_refused_in_words(craft, edit, options):
    path = craft(edit, *options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableMedia, match=REFUSED_TABLE) as refused:
        open_media(path)
    assert refused.value.reason == "damaged"
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < MAX_GROWTH_BYTES >> 10


@reachable
@pytest.mark.parametrize("name", ["stts", "stsz", "stsc", "stco"])
def test_tables_that_claim_four_billion_entries_are_answered_or_refused(craft, name):
    result = check(craft(table_claim, name), detector=RedDetector())
    assert (result.status, bool(result.detail)) == ("unreadable", True) or name == "stco"


def test_many_samples_of_a_byte_are_no_video(craft):
    with pytest.raises(UnreadableMedia, match="no frame of the video could be decoded"):
        probe_media(craft(sample_count_bomb, 5000))


def test_valid_files_with_many_tracks_edits_and_tags_are_read(craft):
    assert len(probe_media(craft(many_tracks, 32, 1)).audio) == 33
    assert frame_count(craft(many_edits, 50, 40, 0, 512)) == 50
    assert frame_count(craft(many_edits, 300, 40, 0, 85)) > 290
    assert frame_count(craft(many_tags, 500)) == 50
    assert frame_count(craft(cover_art, png_bomb(3000, 3000), 4)) == 50
    assert frame_count(craft(nested, 10_000)) == 50


@pytest.mark.parametrize(("duration", "step"), [(2000, 0), (1, 1)], ids=["whole", "ticks"])
def test_an_edit_list_that_repeats_the_video_for_hours_is_refused(craft, duration, step):
    with pytest.raises(UnreadableMedia, match="repeats or expands its data more than 16 times"):
        frame_count(craft(many_edits, 20_000, duration, 0, step))


def test_a_video_that_its_edit_list_plays_ten_times_is_read(craft):
    assert 450 < frame_count(craft(many_edits, 10, 2000)) <= 500


def test_tags_are_counted_in_files_that_ffmpeg_reads_in_memory(make_clip, tmp_path):
    clip = make_clip("clip.mkv", metadata={"title": "x"})
    few = count_tags(clip)
    assert 1 <= few < 30
    assert count_tags(make_clip("clip.mp4")) == 0
    many = tmp_path / "many.mkv"
    many.write_bytes(many_elements(clip.read_bytes(), TAGS, mkv_tag, 500))
    assert 500 <= count_tags(many) <= 500 + few
    assert len(probe_media(many).audio) == 1
    flac = tmp_path / "many.flac"
    flac.write_bytes(flac_comments(500))
    assert count_tags(flac) == 500
    texts = tmp_path / "many.mp3"
    texts.write_bytes(id3_tags(MP3_FRAMES, 500))
    assert count_tags(texts) == 500


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_tags_behind_the_clusters_are_found_through_the_seek_head(tmp_path, width):
    def sized(name, content):
        size = (len(content) | 1 << 7 * width).to_bytes(width, "big")
        return element(name, content, size=size)

    def file(position):
        seek = sized("53AB", bytes.fromhex(TAGS)) + sized("53AC", position.to_bytes(8, "big"))
        before = element("114D9B74", element("4DBB", seek)) + element("1F43B675", bytes(500))
        tags = element(TAGS, *map(mkv_tag, range(40)))
        head = element("1A45DFA3", element("4282", b"matroska"))
        return head + element("18538067", before, tags), len(before)

    path = tmp_path / "late.mkv"
    path.write_bytes(file(file(0)[1])[0])
    assert count_tags(path) == 40


@pytest.mark.parametrize("suffix", [".mkv", ".flac"])
def test_more_tags_than_the_limit_are_refused_before_they_are_read(make_clip, tmp_path, suffix):
    path = tmp_path / f"many{suffix}"
    if suffix == ".mkv":
        clip = make_clip("clip.mkv")
        path.write_bytes(many_elements(clip.read_bytes(), TAGS, mkv_tag, MAX_TAGS + 1))
    else:
        path.write_bytes(flac_comments(MAX_TAGS + 1))
    with pytest.raises(UnreadableMedia, match=r"it has 1000[0-9] tags, and the limit is 10000"):
        open_media(path)


def test_counting_tags_ends_on_any_bytes(make_clip, tmp_path):
    data = make_clip("clip.mkv").read_bytes()
    path = tmp_path / "damaged.mkv"
    for number in range(200):
        path.write_bytes(mutate(data, [data], 7, number).data)
        assert count_tags(path) >= 0
    path.write_bytes(flac_comments(50)[:100])
    assert count_tags(path) <= 16


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can check its heap")
def test_a_pid_of_two_program_maps_does_not_damage_the_heap(make_clip, tmp_path):
    path = tmp_path / "shared.ts"
    path.write_bytes(ts_shared_pid(make_clip("clip.ts").read_bytes()))
    code = (
        "import sys; from avsync.media.container import open_media, packets\n"
        "with open_media(sys.argv[1]) as file: list(packets(file, file.streams.video[0]))"
    )
    checked = {**os.environ, "LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3"}
    done = subprocess.run([sys.executable, "-c", code, path], env=checked, capture_output=True)
    assert (done.returncode, done.stderr[-200:]) == (0, b"")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_playlists_and_texts_named_mp4_are_no_media_files(tmp_path, text):
    path = tmp_path / "list.mp4"
    path.write_bytes(text[:100_000])
    with pytest.raises(UnreadableMedia, match="not a media file"):
        open_media(path)


@pytest.mark.parametrize(
    ("algorithm", "packed"), [(0, deflated_zeros(9 << 20)), (2, lzo_run(9 << 20))]
)
def test_compressed_packets_do_not_expand_without_limit(tmp_path, algorithm, packed):
    path = tmp_path / "bomb.mkv"
    path.write_bytes(compressed_mkv(algorithm, packed, 20))
    sizes = []
    with (
        open_media(path) as container,
        pytest.raises(UnreadableMedia, match="repeats or expands its data more than 16 times"),
    ):
        sizes.extend(packet.size for packet in packets(container, container.streams[0]) if packet)
    assert sum(sizes) < 16 * path.stat().st_size + (2 << 20)


def test_tags_that_cost_seconds_are_refused(craft, monkeypatch):
    path = craft(many_tags, 2000)
    open_media(path).close()
    monkeypatch.setattr(open_limits, "MAX_OPEN_CPU_S", 0.001)
    with pytest.raises(UnreadableMedia, match="of CPU time to read, and the limit is"):
        open_media(path)


def test_an_opening_that_takes_too_long_is_refused_even_if_it_succeeds(monkeypatch):
    monkeypatch.setattr(open_limits, "MAX_OPEN_S", 0.05)
    with pytest.raises(OpenLimitExceeded, match="could not be read within"), opening_limits():
        time.sleep(0.1)


def new_memory(size):
    """Map memory that the process did not have: `bytearray` may reuse what earlier tests freed."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


@linux
def test_growth_is_limited_while_a_file_is_opened_and_not_after(monkeypatch):
    monkeypatch.setattr(open_limits, "MAX_GROWTH_BYTES", 64 << 20)
    open_limits.own_process()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with opening_limits():
        assert resource.getrlimit(resource.RLIMIT_DATA) != before
        with pytest.raises(OSError, match="Cannot allocate memory"):
            new_memory(128 << 20)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert len(new_memory(128 << 20)) == 128 << 20


@linux
def test_memory_that_an_open_file_keeps_is_limited(monkeypatch):
    monkeypatch.setattr(open_limits, "MAX_HELD_BYTES", 16 << 20)
    open_limits.own_process()
    held = []
    with (
        pytest.raises(OpenLimitExceeded, match=r"its index and metadata take .* MiB"),
        opening_limits(),
    ):
        held.append(new_memory(64 << 20))


@linux
def test_other_threads_of_a_user_are_not_limited(monkeypatch):
    monkeypatch.setattr(open_limits, "_own_process", threading.Event())
    before = resource.getrlimit(resource.RLIMIT_DATA)
    released = threading.Event()
    other = threading.Thread(target=released.wait)
    other.start()
    try:
        with opening_limits():
            assert resource.getrlimit(resource.RLIMIT_DATA) == before
    finally:
        released.set()
        other.join()
