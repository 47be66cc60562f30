"""Audio that goes into a WAV and is read again is the same audio."""

import struct

import av
import numpy as np
import pytest

from avsync.media.audio_reader import read_audio
from avsync.media.writers import wav_writer as wav_file
from avsync.media.writers.wav_writer import WavWriter

RATE = 22050


def written(path, layout, samples=5000, rate=RATE):
    channels = av.AudioLayout(layout).nb_channels
    audio = np.random.default_rng(0).normal(size=(channels, samples)).astype(np.float32)
    with WavWriter(path, rate, layout) as file:
        for at in range(0, samples, 777):
            file.write(audio[:, at : at + 777])
    return audio


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1", "3 channels", "10 channels"])
def test_samples_come_back_as_they_were_beyond_full_scale_too(tmp_path, layout):
    audio = written(tmp_path / "a.wav", layout)
    again = np.concatenate(list(read_audio(tmp_path / "a.wav", 0.0, None, mono=False)), axis=1)
    assert abs(audio).max() > 1
    np.testing.assert_array_equal(again, audio)


@pytest.mark.parametrize("layout", ["stereo", "5.1(side)", "7.1"])
def test_the_channels_are_where_they_were(tmp_path, layout):
    written(tmp_path / "a.wav", layout)
    with av.open(str(tmp_path / "a.wav")) as file:
        context = file.streams.audio[0].codec_context
        assert (context.layout.name, context.sample_rate) == (layout, RATE)


def test_a_file_beyond_four_gigabytes_says_its_size_in_eight_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(wav_file, "MOST_BYTES", 1000)
    audio = written(tmp_path / "a.wav", "stereo")
    data = (tmp_path / "a.wav").read_bytes()
    assert data[:4] == b"RF64"
    assert data[12:16] == b"ds64"
    riff, size, samples = struct.unpack("<QQQ", data[20:44])
    assert (riff, size, samples) == (len(data) - 8, audio.nbytes, audio.shape[1])


def test_a_block_of_other_channels_is_refused(tmp_path):
    with (
        WavWriter(tmp_path / "a.wav", RATE, "stereo") as file,
        pytest.raises(ValueError, match=r"block must be \(2, n\), got \(1, 5\)"),
    ):
        file.write(np.zeros((1, 5), np.float32))
