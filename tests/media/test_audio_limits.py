"""Crafted audio fills no hours of silence; samples that are no numbers are replaced and counted."""

from fractions import Fraction

import av
import numpy as np
import pytest

from avsync.media import audio_reader
from avsync.media.audio_reader import AudioClock, read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.read_log import ReadLog
from avsync.media.seek import AudioSeeker

RATE = 16000


@pytest.fixture
def write_audio(tmp_path):
    """`write_audio("name.mkv", blocks, starts_s)` writes float blocks `(C, n)` at such times."""

    def write(name, blocks, starts_s, codec="pcm_f32le", layout="mono"):
        path = tmp_path / name
        with av.open(path, "w") as container:
            stream = container.add_stream(codec, rate=RATE, layout=layout)
            for block, start_s in zip(blocks, starts_s, strict=True):
                packed = np.ascontiguousarray(np.asarray(block, np.float32).T.reshape(1, -1))
                if codec == "pcm_f64le":
                    frame = av.AudioFrame.from_ndarray(packed.astype(np.float64), "dbl", layout)
                else:
                    frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
                frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                frame.pts = round(start_s * RATE)
                for packet in stream.encode(frame):
                    packet.pts = packet.dts = round(Fraction(start_s) / packet.time_base)
                    container.mux(packet)
        return path

    return write


def tones(count):
    return [np.full((1, 160), 0.25, np.float32)] * count


@pytest.mark.parametrize("name", ["clip.mkv", "clip.nut"])
@pytest.mark.parametrize("apart_s", [3500.0, 30.0])
def test_sparse_packets_do_not_fill_hours_of_silence(write_audio, name, apart_s):
    path = write_audio(name, tones(200), [apart_s * k for k in range(200)])
    read_s = 0.0
    with pytest.raises(UnreadableMedia, match=r"timestamps of its audio put \d+ minutes of"):
        for block in read_audio(path, 0.0):
            read_s += len(block) / RATE
    assert read_s < 1200


def test_audio_that_starts_days_late_is_refused(write_audio):
    path = write_audio("clip.nut", tones(2), [1e6, 1e6 + 0.01])
    clock = AudioClock(path, 0.0)
    with pytest.raises(UnreadableMedia, match=r"put 16667 minutes of silence around 0\.0 s of"):
        clock.window(0.0, 1.0)


def test_pauses_that_a_recording_can_have_are_filled(write_audio):
    path = write_audio("clip.mkv", tones(2), [0.0, 600.0])
    wav = np.concatenate(list(read_audio(path, 0.0)))
    assert len(wav) == 600 * RATE + 160
    assert wav[600 * RATE :] == pytest.approx(0.25)


def test_a_large_file_may_have_hours_of_silence_before_its_audio(write_audio):
    path = write_audio("clip.mkv", tones(2), [3000.0, 3000.01])
    with path.open("ab") as file:
        file.truncate(4_000_000)
    assert sum(len(block) for block in read_audio(path, 0.0)) == 3000 * RATE + 320


def test_audio_beyond_the_longest_video_is_not_read(write_audio, monkeypatch):
    monkeypatch.setattr(audio_reader, "MAX_LENGTH_S", 5.0)
    path = write_audio("clip.mkv", tones(1000), [0.01 * k for k in range(1000)])
    assert sum(len(block) for block in read_audio(path, 0.0)) == pytest.approx(5 * RATE, abs=320)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("clip.mov", "pcm_f32le"), ("clip.mkv", "pcm_f32le"), ("clip.wav", "pcm_f64le")],
)
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize("rate", [16000, 11025])
def test_samples_that_are_no_numbers_are_replaced_and_counted(
    write_audio, name, codec, layout, rate
):
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    blocks = np.full((10, channels, 1600), 0.25, np.float32)
    blocks[3, 0, 5:8] = np.nan, np.inf, -np.inf
    blocks[4, channels - 1, 100] = -1000.0
    path = write_audio(name, blocks, [0.1 * k for k in range(10)], codec, layout)
    log = ReadLog()
    wav = np.concatenate(list(read_audio(path, 0.0, rate, log=log)))
    assert np.isfinite(wav).all()
    assert (log.invalid_samples, log.huge_samples) == (3, 1)
    assert log.samples == 16000 * channels
    # Damage stays where it is.
    assert wav[: round(0.29 * rate)] == pytest.approx(0.25, abs=0.01)
    assert wav[round(0.42 * rate) :] == pytest.approx(0.25, abs=0.01)
    with AudioSeeker(path) as audio:
        assert all(np.isfinite(block).all() for _, block in audio.blocks_from(0.0))


def test_samples_that_overflow_in_the_resampler_are_no_infinities(write_audio):
    blocks = np.full((4, 1, 1600), 3.4e38, np.float32)
    blocks[:, :, ::2] *= -1
    path = write_audio("clip.mkv", blocks, [0.1 * k for k in range(4)])
    log = ReadLog()
    wav = np.concatenate(list(read_audio(path, 0.0, 44100, log=log)))
    assert np.isfinite(wav).all()
    assert (log.invalid_samples, log.huge_samples) == (0, 6400)


def test_clean_audio_counts_nothing(make_clip):
    log = ReadLog()
    wav = np.concatenate(list(read_audio(make_clip("clip.mp4"), 0.0, log=log)))
    assert np.isfinite(wav).all()
    assert (log.invalid_samples, log.huge_samples) == (0, 0)
