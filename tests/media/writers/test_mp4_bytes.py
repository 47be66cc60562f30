"""Clips in memory hold what was put into them."""

from io import BytesIO

import av
import numpy as np
import pytest

from avsync.media.writers.mp4_bytes import encode_audio, encode_clip

RATE = 48000


def grey(level, size=(49, 65)):
    return np.full((*size, 3), level, np.uint8)


def test_frames_and_audio_are_where_they_were():
    wav = (0.3 * np.sin(np.arange(RATE) / 9)).astype(np.float32)
    frames = [(0.0, grey(40)), (0.11, grey(220)), (0.5, grey(90))]
    with av.open(BytesIO(encode_clip(frames, wav, RATE))) as container:
        found = [(f.time, f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    assert [time_s for time_s, _ in found] == pytest.approx([0.0, 0.11, 0.5], abs=1e-4)
    assert {image.shape for _, image in found} == {(48, 64)}  # odd rows and columns are cut off
    # H.264 is of limited range: what is read as grey lies between 16 and 235.
    levels = [16 + 219 * level / 255 for level in (40, 220, 90)]
    assert [image.mean() for _, image in found] == pytest.approx(levels, abs=20)
    with av.open(BytesIO(encode_clip(frames, wav, RATE))) as container:
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(heard) == pytest.approx(RATE, abs=2048)
    rms = np.sqrt((heard[4000:40000] ** 2).mean())
    assert rms == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_audio_is_brought_to_the_rate_that_is_asked_for():
    wav = 0.3 * np.sin(np.arange(16000) / 5)
    with av.open(BytesIO(encode_audio(wav, 16000, 44100, 64000))) as container:
        assert container.streams.audio[0].rate == 44100
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples == pytest.approx(44100, abs=2048)


def test_a_clip_that_cannot_be_encoded_says_so():
    with pytest.raises(RuntimeError, match="the clip cannot be encoded"):
        encode_audio(np.zeros(100), 16000, 123457, 64000)
