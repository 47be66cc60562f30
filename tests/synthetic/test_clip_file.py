"""Rendered files: the audio is shifted as asked for, and nothing else differs."""

from pathlib import Path

import av
import numpy as np
import pytest

from avsync.media.audio_reader import read_audio
from avsync.media.video_reader import read_frames
from avsync.synthetic import SyntheticClip, render, render_clip

SMALL = {"seed": 9, "duration_s": 0.8, "size": (128, 96)}


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return render(**SMALL)


def audio_of(path: Path) -> np.ndarray:
    return np.concatenate(list(read_audio(path, 0.0, None)))


@pytest.mark.parametrize("shift_ms", [0.0, 125.0, -210.5])
def test_a_shift_moves_the_audio_by_exactly_its_samples(tmp_path, clip, shift_ms):
    path = tmp_path / "clip.mkv"
    render_clip(path, **SMALL, audio_shift_ms=shift_ms, audio_codec="pcm_s16le")
    true = clip.wav
    delay = round(shift_ms * 48)
    expected = np.zeros_like(true)
    if delay >= 0:
        expected[delay:] = true[: len(true) - delay]
    else:
        expected[:delay] = true[-delay:]
    np.testing.assert_allclose(audio_of(path), expected, atol=1e-4)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
def test_encoded_audio_starts_with_the_video_in_every_container(tmp_path, clip, ending):
    path = tmp_path / f"clip{ending}"
    render_clip(path, **SMALL)
    true = clip.wav
    decoded = audio_of(path)[: len(true)]
    size = 2 * len(true)
    match = np.fft.irfft(np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(true, size)))
    lag = int(match.argmax())
    assert min(lag, size - lag) <= 1
    assert next(read_frames(path)).time_s == pytest.approx(0, abs=1e-3)


def test_the_file_shows_the_frames_of_the_clip(tmp_path, clip):
    path = tmp_path / "clip.mp4"
    render_clip(path, **SMALL)
    true = clip.frames
    shown = np.stack([frame.image for frame in read_frames(path)])
    assert shown.shape == true.shape
    # Colour is subsampled, so brightness is compared.
    assert np.abs(shown.mean(-1) - true.mean(-1)).mean() < 6


def test_repeats_follow_without_a_gap(tmp_path):
    path = tmp_path / "clip.mp4"
    render_clip(path, **SMALL, repeats=3)
    times = [frame.time_s for frame in read_frames(path)]
    np.testing.assert_allclose(times, np.arange(60) / 25, atol=1e-4)
    wav = audio_of(path)
    once = round(0.8 * 48000)
    first, third = wav[2000 : once - 2000], wav[2 * once + 2000 : 3 * once - 2000]
    n = min(len(first), len(third))
    assert np.corrcoef(first[:n], third[:n])[0, 1] > 0.9


def test_ntsc_rates_are_kept_exactly(tmp_path):
    path = tmp_path / "clip.mp4"
    render_clip(path, **SMALL, fps=30000 / 1001)
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
    assert (rate.numerator, rate.denominator) == (30000, 1001)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("clip.txt", {}, r"path must end in one of \.mp4, .*, got 'clip.txt'"),
        ("clip.mp4", {"size": (127, 96)}, r"size must be even for a file, got \(127, 96\)"),
        ("clip.mp4", {"audio_shift_ms": float("nan")}, "audio_shift_ms must be finite, got nan"),
        ("clip.mp4", {"repeats": 0}, "repeats must be 1 or more, got 0"),
    ],
)
def test_invalid_file_arguments_are_named(tmp_path, name, wrong, message):
    with pytest.raises(ValueError, match=message):
        render_clip(tmp_path / name, **{**SMALL, **wrong})
