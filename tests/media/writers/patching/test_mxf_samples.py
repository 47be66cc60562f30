"""PCM in an MXF moves within its elements; the file keeps its size and all other bytes."""

from fractions import Fraction

import av
import numpy as np
import pytest

from avsync.media.container import open_media
from avsync.media.writers.patching.boxes import UnknownStructure
from avsync.media.writers.patching.mxf_samples import shift_samples
from avsync.media.writers.remux import shift_audio
from avsync.media.writers.retime import forecast_copy, retime_audio
from avsync.media.writers.time_map import AudioSegment


@pytest.fixture
def master(tmp_path):
    """An MXF of two mono PCM streams of noise, with a timecode."""
    path = tmp_path / "master.mxf"
    noise = np.random.default_rng(0)
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv422p"
        video.metadata["timecode"] = "09:59:59:12"
        audio = [container.add_stream("pcm_s24le", rate=48000, layout="mono") for _ in range(2)]
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(
                noise.integers(0, 255, (64, 96, 3), dtype=np.uint8), "rgb24"
            )
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
            for stream in audio:
                wav = noise.integers(-(2**30), 2**30, (1, 1920), dtype=np.int32)
                block = av.AudioFrame.from_ndarray(wav, "s32", "mono")
                block.sample_rate, block.pts, block.time_base = (
                    48000,
                    1920 * index,
                    Fraction(1, 48000),
                )
                container.mux(stream.encode(block))
        for stream in (video, *audio):
            container.mux(stream.encode(None))
    return path


def payload(path, **which):
    with av.open(path) as container:
        return b"".join(bytes(packet) for packet in container.demux(**which) if packet.size)


@pytest.mark.parametrize("shift_ms", [120.5, -200.0, 2000.0])
def test_samples_move_exactly_and_nothing_else_changes(master, tmp_path, shift_ms):
    new = tmp_path / "new.mxf"
    assert shift_audio(master, new, {1: shift_ms}) == ()
    before, count = payload(master, audio=1), len(payload(master, audio=1))
    by = round(48 * shift_ms) * 3
    padded = bytes(max(by, 0)) + before + bytes(max(-by, 0))
    assert payload(new, audio=1) == padded[max(-by, 0) :][:count]
    assert payload(new, audio=0) == payload(master, audio=0)
    assert payload(new, video=0) == payload(master, video=0)
    assert new.stat().st_size == master.stat().st_size
    with av.open(new) as container:
        assert container.metadata["timecode"] == "09:59:59:12"


def test_a_file_that_holds_no_plain_samples_is_not_touched(make_clip, tmp_path):
    clip = make_clip("clip.mkv")
    with open_media(clip) as reading, pytest.raises(UnknownStructure, match="is not linear PCM"):
        shift_samples(reading, clip, tmp_path / "new.mxf", {1: Fraction(1)})


def test_samples_are_retimed_within_the_file(master, tmp_path):
    new = tmp_path / "new.mxf"
    segments = [AudioSegment(0, 0.5, 100, 0), AudioSegment(0.5, 1, -100, 0)]
    done = retime_audio(master, new, {0: segments}, shifts_ms={1: 20.0})
    assert done == forecast_copy(master, new, encode=[0])
    assert done.encoded == ("pcm_s24le",)
    assert new.stat().st_size == master.stat().st_size
    frame = 3
    before, after = payload(master, audio=0), payload(new, audio=0)
    # Outside the fades of 10 ms, every sample is one of the source, and silence fills the end.
    assert after[4800 * frame : 23000 * frame] == before[: 18200 * frame]
    assert after[24600 * frame : 43000 * frame] == before[29400 * frame : 47800 * frame]
    assert after[43300 * frame :] == bytes(len(after) - 43300 * frame)
    moved = payload(new, audio=1)
    assert moved == (bytes(960 * frame) + payload(master, audio=1))[: len(moved)]


def test_other_audio_is_not_written_to_an_mxf(make_clip, tmp_path):
    clip = make_clip("clip.mov", audio_codec="pcm_s16le")
    for attempt in (
        lambda: shift_audio(clip, tmp_path / "new.mxf", 40.0),
        lambda: retime_audio(clip, tmp_path / "new.mxf", [AudioSegment(0, 1, 40, 0)]),
    ):
        with pytest.raises(RuntimeError, match=r"an MXF has no offset.*write \.mov or \.mkv"):
            attempt()
