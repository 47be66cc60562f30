"""`check` of files with several audio or video streams, and of channels that hide the speech."""

from dataclasses import replace
from types import SimpleNamespace

import av
import numpy as np
import pytest

from avsync.media.container import UnreadableMedia
from avsync.media.probe import AudioStream
from avsync.media.read_log import ReadLog
from avsync.pipelines.check.audio_streams import (
    _distortions,
    diagnose,
    judging_stream,
    select_streams,
)
from avsync.pipelines.check.check_file import _missing_words, check, unreadable_result
from avsync.pipelines.check.messages import (
    describe_outcome,
    describe_result,
    describe_streams,
    exit_code,
)
from avsync.scoring.result import Coverage, StreamResult
from avsync.scoring.result_json import to_json
from avsync.synthetic import render
from tests.pipelines.check.test_check_file import SIZE, moved

RATE = 16000


@pytest.fixture(scope="module")
def speech():
    return render(seed=1, duration_s=5.0, size=SIZE, sample_rate=RATE)


def write_streams(path, videos, audios):
    """Write videos (lists of frames) and audios: `(wav (C, N), layout, language, default)`."""
    with av.open(str(path), "w") as container:
        pictures = []
        for frames in videos:
            video = container.add_stream(
                "libx264", rate=25, options={"crf": "18", "preset": "ultrafast"}
            )
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = "yuv420p"
            pictures.append(video)
        tracks = []
        for _, layout, language, default in audios:
            audio = container.add_stream("pcm_s16le", rate=RATE, layout=layout)
            audio.metadata["language"] = language
            audio.disposition = av.stream.Disposition.default if default else 0
            tracks.append(audio)
        for video, frames in zip(pictures, videos, strict=True):
            for image in frames:
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(video.encode())
        for audio, (wav, layout, _, _) in zip(tracks, audios, strict=True):
            samples = np.clip(np.atleast_2d(wav) * 32767, -32768, 32767).astype(np.int16)
            packed = np.ascontiguousarray(samples.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "s16", layout)
            frame.sample_rate = RATE
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def checked(path, **options):
    return check(path, detector="haar", **options)


def test_every_stream_has_its_answer_and_the_one_out_of_tolerance_judges_the_file(speech, tmp_path):
    late = moved(speech.wav, -200)
    streams = [(speech.wav, "mono", "eng", True), (late, "mono", "fra", False)]
    result = checked(write_streams(tmp_path / "two.mkv", [speech.frames], streams))
    first, second = result.streams
    assert (first.language, first.verdict, first.status) == ("eng", "in_sync", "ok")
    assert first.offset_ms == pytest.approx(0, abs=45)
    assert (second.language, second.verdict) == ("fra", "audio_lags")
    assert second.offset_ms == pytest.approx(-200, abs=45)
    assert (result.audio, result.offset_ms, exit_code(result)) == (1, second.offset_ms, 10)
    assert ": audio 1 (fra): audio lags by" in describe_result(result)
    assert [line.split(": ")[0] for line in describe_streams(result)] == [
        "audio 0 (eng)",
        "audio 1 (fra)",
    ]
    one = checked(tmp_path / "two.mkv", audio="en")
    assert (one.audio, one.verdict, len(one.streams)) == (0, "in_sync", 1)


@pytest.mark.slow
def test_a_stream_that_cannot_tell_does_not_answer_for_the_file(speech, tmp_path):
    streams = [(0 * speech.wav, "mono", "und", True), (speech.wav, "mono", "und", False)]
    result = checked(write_streams(tmp_path / "silent.mkv", [speech.frames], streams))
    assert (result.status, result.audio, result.verdict) == ("ok", 1, "in_sync")
    assert (result.streams[0].status, result.streams[0].reason) == ("cannot_tell", "silence")


def test_channels_that_cancel_are_compared_on_their_own(speech, tmp_path):
    opposite = np.stack([speech.wav, -speech.wav])
    path = write_streams(tmp_path / "anti.mov", [speech.frames], [(opposite, "stereo", "und", 1)])
    result = checked(path)
    assert (result.status, result.channel) == ("ok", "FL")
    assert result.offset_ms == pytest.approx(0, abs=45)
    assert "channel FL alone" in describe_result(result)


@pytest.mark.slow
def test_speech_under_noise_of_another_channel_is_found(speech, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.4, len(speech.wav))
    wav = np.stack([noise, 0.25 * speech.wav])
    path = write_streams(tmp_path / "right.mov", [speech.frames], [(wav, "stereo", "und", 1)])
    result = checked(path)
    assert (result.status, result.channel) == ("ok", "FR")
    assert result.offset_ms == pytest.approx(0, abs=45)


@pytest.mark.slow
def test_the_video_stream_with_faces_is_looked_at(speech, tmp_path):
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (240, 320, 3)).astype(np.uint8)
    streams = [(speech.wav, "mono", "und", True)]
    path = write_streams(
        tmp_path / "screen.mkv", [[still] * len(speech.frames), speech.frames], streams
    )
    result = checked(path)
    assert (result.status, result.video) == ("ok", 1)
    assert result.offset_ms == pytest.approx(0, abs=45)
    assert ": video 1: audio" in describe_result(result)


@pytest.mark.slow
def test_the_json_names_stream_channel_and_coverage(speech, tmp_path):
    path = write_streams(tmp_path / "one.mkv", [speech.frames], [(speech.wav, "mono", "deu", True)])
    (file,) = to_json([checked(path)])["files"]
    assert (file["audio"], file["channel"], file["video"], file["not_read"]) == (0, None, 0, [])
    (stream,) = file["streams"]
    shared = ("status", "verdict", "offset_ms", "interval_ms", "confidence", "fault", "coverage_s")
    assert {key: stream[key] for key in shared} == {key: file[key] for key in shared}
    assert (stream["language"], stream["codec"], stream["channels"]) == ("deu", "pcm_s16le", 1)
    assert stream["dispositions"] == ["default"]
    assert sum(file["coverage_s"].values()) == pytest.approx(file["duration_s"], abs=0.2)
    assert file["coverage_s"]["supports"] > 3


def info(*languages):
    streams = [AudioStream(k, "aac", 48000, 2, 0.0, 9.0, k + 1, name) for k, name in
               enumerate(languages)]  # fmt: skip
    return SimpleNamespace(audio=tuple(streams))


@pytest.mark.parametrize(
    ("choice", "positions"),
    [(None, [0, 1, 2]), ("all", [0, 1, 2]), ("1", [1]), (2, [2]), ("fra", [1]), ("en", [0, 2])],
)
def test_streams_are_selected_by_position_or_language(choice, positions):
    found = select_streams(info("eng", "fra", "en-GB"), choice)
    assert [stream.index for stream in found] == positions


@pytest.mark.parametrize("choice", ["7", "deu", "-1"])
def test_a_stream_that_is_not_there_is_refused_with_those_that_are(choice):
    with pytest.raises(UnreadableMedia, match=r"no audio stream .* it has 0 \(eng\), 1 \(fra\)"):
        select_streams(info("eng", "fra"), choice)


IN_SYNC = StreamResult(0, 1, "aac", 2, status="ok", verdict="in_sync", offset_ms=3.0)
MUSIC = StreamResult(0, 1, "aac", 2, reason="music")


@pytest.mark.parametrize(
    ("streams", "judge"),
    [
        ([replace(MUSIC, dispositions=("default",)), IN_SYNC], 1),
        ([IN_SYNC, replace(IN_SYNC, dispositions=("default",))], 1),
        ([replace(IN_SYNC, dispositions=("default", "comment")), IN_SYNC], 1),
        ([replace(IN_SYNC, dispositions=("default",)), replace(IN_SYNC, verdict="audio_lags")], 1),
        ([MUSIC, replace(MUSIC, reason="no_match")], 1),
        ([replace(MUSIC, reason="silence"), MUSIC], 1),
        ([IN_SYNC, IN_SYNC], 0),
    ],
)
def test_the_judge_is_the_worst_answer_then_the_default_dialogue(streams, judge):
    placed = [replace(stream, audio=k) for k, stream in enumerate(streams)]
    assert judging_stream(placed, [0, 1]).audio == judge


def test_a_stream_of_the_pictures_own_programme_comes_first():
    placed = [IN_SYNC, replace(IN_SYNC, audio=1)]
    assert judging_stream(placed, [1]).audio == 1


def test_a_file_that_is_cut_off_is_never_in_tolerance(speech, tmp_path):
    whole = write_streams(tmp_path / "a.mkv", [speech.frames], [(speech.wav, "mono", "und", True)])
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: int(0.6 * len(data))])
    result = checked(cut)
    assert (result.status, result.reason, result.verdict) == ("cannot_tell", "incomplete", None)
    assert result.offset_ms is None and exit_code(result) == 11
    ((start_s, end_s),) = result.not_read
    assert 1 < start_s < 4 and end_s == pytest.approx(5.0, abs=0.2)
    assert result.streams[0].verdict == "in_sync"
    assert result.coverage.unknown_s == pytest.approx(end_s - start_s, abs=0.6)
    assert "in tolerance where the file could be read, but" in result.detail
    # What the faces show is kept; only the answer for the file is withdrawn.
    assert result.tracks[0].offset_ms is not None and result.tracks[0].speaking


def test_a_file_with_a_quarter_of_its_bytes_after_its_end_is_not_whole(tmp_path):
    (tmp_path / "a.mp4").write_bytes(bytes(1000))
    blank = unreadable_result(tmp_path / "a.mp4", "dense_sync", "ebu", 1.0)
    assert _missing_words(blank, (), 0.0, ReadLog(unread_bytes=250)) is None
    words = _missing_words(blank, (), 0.0, ReadLog(unread_bytes=251))
    assert (
        words == "25% of its bytes come after its end, such as a second file that was joined to it"
    )


@pytest.mark.parametrize(
    ("duration_s", "missing_s", "whole"),
    [(20.0, 0.9, True), (20.0, 1.0, False), (600.0, 2.9, True), (600.0, 3.0, False)],
)
def test_a_file_of_which_3_s_or_a_twentieth_could_not_be_read_is_not_whole(
    tmp_path, duration_s, missing_s, whole
):
    (tmp_path / "a.mp4").write_bytes(bytes(1000))
    blank = unreadable_result(tmp_path / "a.mp4", "dense_sync", "ebu", 1.0)
    blank = replace(blank, duration_s=duration_s)
    words = _missing_words(blank, [(5.0, 5.0 + missing_s)], missing_s, ReadLog())
    assert (words is None) is whole


@pytest.mark.parametrize(
    ("invalid", "huge", "reason"),
    [(1, 0, "music"), (2, 0, "invalid_audio"), (1, 1, "invalid_audio")],
)
def test_more_than_a_thousandth_of_invalid_samples_is_the_reason(invalid, huge, reason):
    log = ReadLog(samples=1000, invalid_samples=invalid, huge_samples=huge)
    assert diagnose(MUSIC, None, None, log).reason == reason


def test_clipping_and_a_dc_offset_are_named(speech):
    assert _distortions(speech.wav) == []
    assert _distortions(0.5 * speech.wav + 0.2)[0] == "the audio has a DC offset of +0.20"
    clipped = np.clip(20 * speech.wav / np.abs(speech.wav).max(), -0.5, 0.5)
    assert any("of the audio is clipped" in words for words in _distortions(clipped))


def test_an_answer_by_little_of_the_video_says_so():
    line = describe_outcome(replace(IN_SYNC, coverage=Coverage(9.0, 1.0, 14.0)), "ebu")
    assert line.endswith("in tolerance (EBU R37), by 9 s of 24 s")
    assert not describe_outcome(
        replace(IN_SYNC, coverage=Coverage(13.0, 1.0, 10.0)), "ebu"
    ).endswith("s")
