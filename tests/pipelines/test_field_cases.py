"""`check` and `fix` on files as they were met in the field, built by ffmpeg from real clips."""

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from avsync.pipelines.check.check_file import check
from avsync.pipelines.fix.fix_file import fix
from avsync.scoring.result import CheckResult

pytestmark = [pytest.mark.real_data, pytest.mark.slow]
# A plain check of the clip that the cases are made of gives this offset, in ms.
PLAIN_MS, WITHIN_MS = 16.0, 12.0


@pytest.fixture(scope="module")
def case(shared, tmp_path_factory) -> Callable[[str], Path]:
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        pytest.skip("ffmpeg makes these files and judges the copies, and is not installed")
    folder = tmp_path_factory.mktemp("cases")
    script = shared / "cases" / "build.sh"
    if not script.exists():
        pytest.skip(f"{script} builds these files, and does not exist")
    subprocess.run(["bash", script, shared / "data", folder], check=True, capture_output=True)
    return lambda name: folder / "in" / name


@pytest.fixture(scope="module")
def checked(case) -> Callable[[str], CheckResult]:
    return cache(lambda name: check(case(name)))


def is_plain(offset_ms):
    return offset_ms is not None and abs(offset_ms - PLAIN_MS) <= WITHIN_MS


@pytest.mark.parametrize(
    ("name", "audio", "other"),
    [
        ("dual_dub_first.mkv", 1, "no_match"),
        ("silent_first.mkv", 1, "silence"),
        ("music_first.mkv", 1, "music"),
        ("antiphase.mp4", 0, None),
        ("centre_only.mkv", 0, None),
        ("wrap.ts", 0, None),
        ("joined.ts", 0, None),
        ("leap.ts", 0, None),
        ("screen_first.mkv", 0, None),
        ("xdcam.mxf", 0, None),
        ("live.webm", 0, None),
    ],
)
def test_the_offset_is_that_of_the_speech_wherever_it_is(checked, name, audio, other):
    result = checked(name)
    assert (result.status, result.verdict, result.audio) == ("ok", "in_sync", audio)
    assert is_plain(result.offset_ms)
    if other is not None:
        assert result.streams[0].reason == other


@pytest.mark.parametrize("name", ["joined.ts", "leap.ts"])
def test_joined_files_are_looked_at_to_their_end(checked, name):
    assert checked(name).duration_s == pytest.approx(18.0, abs=0.2)
    assert checked(name).coverage.supports_s > 14


def test_a_half_that_is_late_is_a_jump(checked):
    result = checked("joined_second_late.ts")
    assert (result.verdict, result.fault.kind) == ("audio_lags", "jumps")
    before, after = result.fault.pieces
    assert after.start_s == pytest.approx(9, abs=0.6)
    assert after.offset_ms - before.offset_ms == pytest.approx(-320, abs=40)


def test_the_webcam_is_looked_at_not_the_screen(checked):
    assert checked("screen_first.mkv").video == 1


def test_a_second_language_that_is_late_moves_alone(case, checked, tmp_path):
    before = checked("second_late200.mp4")
    assert [stream.verdict for stream in before.streams] == ["in_sync", "audio_lags"]
    assert before.streams[1].offset_ms == pytest.approx(-200 + PLAIN_MS, abs=20)
    assert before.verdict == "audio_lags"
    done = fix(case("second_late200.mp4"), tmp_path / "fixed.mp4")
    assert set(done.repairs) == {1}
    stays, moved = done.after.streams
    assert is_plain(stays.offset_ms) and abs(moved.offset_ms) < 15


def test_a_first_stream_that_is_early_moves_alone(case, tmp_path):
    done = fix(case("first_early200.mkv"), tmp_path / "fixed.mkv")
    assert set(done.repairs) == {0}
    assert done.shift_ms == pytest.approx(200 + PLAIN_MS, abs=20)
    moved, stays = done.after.streams
    assert is_plain(stays.offset_ms) and abs(moved.offset_ms) < 15


def probed(path, *entries):
    command = ["ffprobe", "-v", "error", *entries, "-of", "json", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def fixed(case, name, tmp_path, suffix=None):
    path = case(name)
    return fix(path, tmp_path / f"fixed{suffix or path.suffix}").output


def test_hevc_keeps_its_tag_and_the_index_stays_in_front(case, tmp_path):
    copy = fixed(case, "hevc.mp4", tmp_path)
    video = probed(copy, "-show_streams")["streams"][0]
    assert video["codec_tag_string"] == "hvc1"
    data = copy.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_dolby_vision_record_is_kept(case, tmp_path):
    copy = fixed(case, "dolby_vision.mp4", tmp_path)
    (record,) = probed(copy, "-show_streams")["streams"][0]["side_data_list"]
    assert (record["side_data_type"], record["dv_profile"]) == ("DOVI configuration record", 8)
    assert record["dv_bl_signal_compatibility_id"] == 4


def test_the_keys_of_a_phone_are_kept(case, tmp_path):
    tags = probed(fixed(case, "android.mp4", tmp_path), "-show_format")["format"]["tags"]
    assert tags["com.android.version"] == "14"
    assert float(tags["com.android.capture.fps"]) == 30.0
    assert tags["location"] == "+48.2082+016.3738/"
    assert tags["title"] == "T" and tags["creation_time"].startswith("2024-05-18T18:36:54")


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_timecode_track_is_kept_and_not_called_left_out(case, tmp_path, suffix):
    done = fix(case("timecode.mp4"), tmp_path / f"fixed{suffix}")
    assert done.repair.left_out == ()
    streams = probed(done.output, "-show_streams")["streams"]
    assert [stream["codec_tag_string"] for stream in streams][-1] == "tmcd"
    assert streams[0]["tags"]["timecode"] == "10:00:00:00"


def test_the_audio_of_an_mxf_is_moved_and_every_stream_kept(case, tmp_path):
    done = fix(case("xdcam.mxf"), tmp_path / "fixed.mxf")
    assert len(done.after.streams) == 4
    assert all(abs(stream.offset_ms) < 15 for stream in done.after.streams)
    tags = probed(done.output, "-show_format")["format"]["tags"]
    assert tags["timecode"] == "09:59:59:12"
