"""Files are taken apart into elements, mutated, written again, and their answers judged."""

import json
import shutil
from pathlib import Path
from random import Random

import av
import pytest

from avsync.synthetic import render_clip
from benchmarks.media.structure.element import Element, Field, crc32
from benchmarks.media.structure.element_mutations import FORMATS, KINDS, mutate
from benchmarks.media.structure.mpegts import MPEGTS
from benchmarks.media.structure.packet_times import (
    PacketTimes,
    audio_delay,
    read_packet_times,
)
from benchmarks.media.structure_fuzzing import Source, figures, judge, run, tables

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv")
needs_ffprobe = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is missing")
STEADY = {f"p{k}": 0.04 * k for k in range(50)}
SOURCE = Source("mp4", Path("a.mp4"), 120.0, PacketTimes(STEADY, STEADY))
ANSWER = {"number": 0, "source": "mp4", "kinds": ["field"], "outcome": "ok", "offset_ms": 112.0}
COSTS = {"spent_s": 1.0, "cpu_s": 1.0, "wall_s": 2.0, "peak_mib": 500.0}


@pytest.fixture
def clip(make_clip):
    def make(suffix: str) -> Path:
        rate = 44100 if suffix == ".flv" else 48000
        return make_clip(f"clip{suffix}", duration_s=1.0, sample_rate=rate)

    return make


def remux(source: Path, target: Path, **options: str) -> Path:
    with av.open(source) as reading, av.open(target, "w", container_options=options) as writing:
        copies = [writing.add_stream_from_template(s) for s in reading.streams]
        for packet in reading.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                writing.mux(packet)
    return target


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_mutations_is_written_again_byte_for_byte(clip, suffix):
    data = clip(suffix).read_bytes()
    tree = FORMATS[suffix].parse(data)
    assert FORMATS[suffix].write(tree) == data
    assert len(list(tree.walk())) > 10
    assert not any(element.name == "rest" and element.body for element in tree.walk())


def test_fragments_ogg_pages_and_unknown_sizes_are_written_again_byte_for_byte(clip, tmp_path):
    fragmented = remux(clip(".mp4"), tmp_path / "f.mp4", movflags="frag_keyframe+empty_moov")
    live = remux(clip(".mkv"), tmp_path / "l.mkv", live="1")
    ogg = remux(clip(".webm"), tmp_path / "o.ogv", fflags="+bitexact")
    for path, name in ((fragmented, "moof"), (live, "1F43B675"), (ogg, "page of 1")):
        data, form = path.read_bytes(), FORMATS[path.suffix]
        tree = form.parse(data)
        assert form.write(tree) == data
        assert name in {element.name for element in tree.walk()}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_mutation_depends_on_its_seed_and_number_alone(clip, suffix):
    data = clip(suffix).read_bytes()
    mutated = [mutate(data, suffix, 1, number) for number in range(25)]
    assert mutated == [mutate(data, suffix, 1, number) for number in range(25)]
    assert len({mutation.data for mutation in mutated} | {data}) > 20


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_mutation_changes_the_file(clip, suffix):
    data, form = clip(suffix).read_bytes(), FORMATS[suffix]
    for kind, change in (KINDS | form.specials).items():
        changed = False
        for seed in range(40):
            tree, rng = form.parse(data), Random(seed)
            change(tree, rng) if kind in form.specials else change(form, tree, rng)
            changed = changed or form.write(tree) != data
        assert changed or (kind == "rename" and not form.renames), kind


def test_the_sizes_of_the_parents_follow_a_deletion(clip, tmp_path):
    tree = FORMATS[".mp4"].parse(clip(".mp4").read_bytes())
    (movie,) = [box for box in tree.children if box.name == "moov"]
    movie.children = [box for box in movie.children if box.name != "udta"]
    path = tmp_path / "deleted.mp4"
    path.write_bytes(FORMATS[".mp4"].write(tree))
    with av.open(path) as container:
        assert len([p for p in container.demux(video=0) if p.size]) == 25


def test_stamps_and_checksums_are_those_of_the_standard():
    stamp = Field("PTS", 0, 5, coding="stamp")
    assert stamp.put(bytes.fromhex("2100010001"), (1 << 33) - 1).hex() == "2fffffffff"
    for value in (0, 1, 90_000, (1 << 33) - 2):
        assert stamp.get(stamp.put(bytes(5), value)) == value
    clock = Field("PCR", 0, 6, coding="clock")
    assert clock.get(clock.put(bytes.fromhex("000000007e01"), 1 << 32)) == 1 << 32
    assert clock.put(bytes.fromhex("000000007e01"), 1).hex() == "00000000fe01"
    # The check values of CRC-32/MPEG-2, and of the same polynomial from 0.
    assert crc32(b"123456789", 0xFFFFFFFF) == 0x0376E6E7
    assert crc32(b"123456789", 0) == 0x89A1897F


def test_a_sealed_section_has_the_checksum_of_the_muxer(clip):
    sections = [e for e in MPEGTS.parse(clip(".ts").read_bytes()).walk() if e.name[0] == "P"]
    sections = [section for section in sections if section.name in ("PAT", "PMT")]
    for section in sections[:2]:
        sealed = Element(section.name, section.body, header=b"")
        MPEGTS.seal(sealed)
        assert sealed.body == section.body
        sealed.body = sealed.body[:8] + b"\xaa" + sealed.body[9:]
        MPEGTS.seal(sealed)
        assert sealed.body != section.body


def test_a_shift_of_the_audio_is_measured_whatever_packets_are_lost():
    video = {key: t + 10.0 for key, t in STEADY.items() if key != "p3"}
    audio = {key: t + 10.3 for key, t in STEADY.items() if key not in ("p0", "p9")}
    delay = audio_delay(SOURCE.times, PacketTimes(video, audio))
    assert delay == pytest.approx((0.3, 0.3)) and delay.is_constant


def test_there_is_a_range_where_the_shift_changes_and_none_where_few_packets_are_left():
    late = {key: t + (0.3 if t > 1 else 0.0) for key, t in STEADY.items()}
    few = dict(list(STEADY.items())[:5])
    delay = audio_delay(SOURCE.times, PacketTimes(STEADY, late))
    assert delay == pytest.approx((0.0, 0.3)) and not delay.is_constant
    assert audio_delay(SOURCE.times, PacketTimes(STEADY, few)) is None
    assert audio_delay(SOURCE.times, PacketTimes(few, STEADY)) is None
    absurd = {key: 1e8 * t for key, t in STEADY.items()}
    assert audio_delay(SOURCE.times, PacketTimes(STEADY, absurd)) is None
    # A leap of both streams moves neither against the other.
    assert audio_delay(SOURCE.times, PacketTimes(late, late)) == pytest.approx((0.0, 0.0))


def test_an_answer_is_wrong_unless_the_file_moved_as_far():
    delayed = PacketTimes(STEADY, {key: t + 0.3 for key, t in STEADY.items()})
    assert judge(ANSWER, SOURCE, SOURCE.times)["truth"] == "kept"
    assert "outcome" not in judge(ANSWER, SOURCE, SOURCE.times)
    assert judge(ANSWER, SOURCE, delayed)["outcome"] == "wrong answer"
    moved = ANSWER | {"offset_ms": -180.0}
    assert judge(moved, SOURCE, delayed) == {
        "truth": "moved",
        "true_ms": [-180.0, -180.0],
        "error_ms": 0.0,
    }
    assert judge(ANSWER | {"offset_ms": 166.0}, SOURCE, SOURCE.times)["outcome"] == "wrong answer"
    assert "outcome" not in judge(ANSWER | {"offset_ms": 164.0}, SOURCE, SOURCE.times)
    late = PacketTimes(STEADY, {key: t + (0.3 if t > 1 else 0.0) for key, t in STEADY.items()})
    for offset_ms, outcome in ((-100.0, "ok"), (160.0, "ok"), (-230.0, "wrong answer")):
        judged = judge(ANSWER | {"offset_ms": offset_ms}, SOURCE, late)
        assert judged["truth"] == "changes" and judged.get("outcome", "ok") == outcome
    assert judge(ANSWER, SOURCE, None) == {"truth": "not judged"}
    assert judge(ANSWER | {"outcome": "cannot_tell"}, SOURCE, delayed) == {}


@needs_ffprobe
@pytest.mark.slow
def test_a_wrap_moves_nothing_and_an_empty_edit_moves_the_audio(tmp_path):
    # Audio without silence: packets are known by their data.
    movie = tmp_path / "clip.mp4"
    render_clip(movie, duration_s=1.0, size=(128, 96))
    stream = remux(movie, tmp_path / "clip.ts")
    tree = MPEGTS.parse(stream.read_bytes())
    assert MPEGTS.specials["wrap"](tree, Random(0))
    wrapped = tmp_path / "wrapped.ts"
    wrapped.write_bytes(MPEGTS.write(tree))
    before, after = read_packet_times(stream), read_packet_times(wrapped)
    assert audio_delay(before, after) == pytest.approx((0.0, 0.0), abs=1e-4)
    # FFprobe continues the times below 0.
    assert min(after.video.values()) < min(before.video.values()) - 1

    form = FORMATS[".mp4"]
    tree = form.parse(movie.read_bytes())
    track = [box for box in tree.walk() if box.name == "trak"][1]
    scale = Field("timescale", 12, 4)
    (header,) = [box for box in tree.walk() if box.name == "mvhd"]
    empty = scale.get(header.body) // 2
    (edits,) = [box for box in track.walk() if box.name == "elst"]
    row = empty.to_bytes(4) + b"\xff" * 4 + bytes.fromhex("00010000")
    edits.body = edits.body[:4] + (2).to_bytes(4) + row + edits.body[8:]
    shifted = tmp_path / "shifted.mp4"
    shifted.write_bytes(form.write(tree))
    delay = audio_delay(read_packet_times(movie), read_packet_times(shifted))
    assert delay == pytest.approx((0.5, 0.5), abs=0.002)


def test_a_run_continues_its_log_and_counts_each_file_once(tmp_path):
    rows = [ANSWER | COSTS | {"number": n, "truth": "kept", "error_ms": -8.0} for n in range(3)]
    rows[1] |= {"outcome": "wrong answer", "error_ms": 300.0, "kinds": ["field", "move"]}
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run([SOURCE], 1, range(3), log, tmp_path / "failing") == rows
    found = figures(rows)
    assert found["failures"]["wrong answer"] == 1
    assert found["answers"]["ok"] == 2
    assert found["largest_error_ms"] == 300.0
    assert found["mutations"] == {
        "field": {"ok": 2, "wrong answer": 1},
        "move": {"wrong answer": 1},
    }
    assert "| move | 1 | 0 |" in tables(found)
