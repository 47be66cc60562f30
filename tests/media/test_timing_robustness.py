"""Flashes and clicks stay in sync in every container, codec and rate that can be written."""

from fractions import Fraction

import numpy as np
import pytest

from avsync.media.video_reader import read_frames

RATES = (Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, Fraction(60000, 1001), 60)
PAIRS = [
    *((".mp4", codec) for codec in ("aac", "libmp3lame", "libopus", "flac", "alac", "ac3")),
    *((".mov", codec) for codec in ("aac", "libmp3lame", "pcm_s16le", "pcm_s24le", "alac")),
    *((".mkv", codec) for codec in ("aac", "libmp3lame", "libopus", "flac")),
    *((".mkv", codec) for codec in ("pcm_s16le", "pcm_f32le", "ac3", "mp2")),
    (".webm", "libopus"),
    # FFmpeg's AVI writer shifts frames by whole periods to make room for encoder priming.
    (".avi", "pcm_s16le"),
    *((".ts", codec) for codec in ("aac", "libmp3lame", "libopus", "mp2", "ac3")),
    *((".mpg", codec) for codec in ("mp2", "ac3")),
    *((".flv", codec) for codec in ("aac", "libmp3lame")),
]


def clip_at(make_clip, suffix, codec, fps, **options):
    """Make a clip whose flashes are whole frames, with a click at the start of each."""
    times = [float(k / Fraction(fps)) for k in (10, 30, 41)]
    rate = 44100 if suffix == ".flv" else 48000
    return make_clip(
        f"clip{suffix}",
        fps=fps,
        audio_codec=codec,
        sample_rate=rate,
        flashes=times,
        clicks=times,
        duration_s=times[-1] + 0.4,
        **options,
    )


@pytest.mark.parametrize(("suffix", "codec"), PAIRS)
def test_every_container_keeps_every_codec_in_sync(make_clip, clip_sync, suffix, codec):
    assert np.abs(clip_sync(clip_at(make_clip, suffix, codec, 25))).max() < 0.3


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv"])
def test_every_container_keeps_every_rate_in_sync(make_clip, clip_sync, suffix, fps):
    codec = {".webm": "libopus", ".avi": "pcm_s16le"}.get(suffix, "aac")
    # Matroska and Flash Video round timestamps to a millisecond.
    assert np.abs(clip_sync(clip_at(make_clip, suffix, codec, fps))).max() < 0.7


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".flv"])
def test_frames_stored_out_of_order_are_read_in_display_order(make_clip, clip_sync, suffix):
    clip = clip_at(make_clip, suffix, "aac", 25, b_frames=2, video_codec="libx264")
    assert np.abs(clip_sync(clip)).max() < 0.7


def test_frames_that_avi_stores_out_of_order_have_even_timestamps(make_clip, clip_sync):
    # AVI does not store by how many frames its first one is late: one here.
    clip = clip_at(make_clip, ".avi", "pcm_s16le", 25, b_frames=2, video_codec="libx264")
    times = [frame.time_s for frame in read_frames(clip)]
    np.testing.assert_allclose(np.diff(times[:-1]), 0.04, atol=1e-6)
    np.testing.assert_allclose(clip_sync(clip), -40, atol=0.5)


def test_avi_that_lost_its_first_frame_shows_the_rest_a_frame_earlier(make_clip, clip_sync):
    # FFmpeg derives times from MPEG-4 headers, which are lost too; one of them is far away.
    clip = clip_at(make_clip, ".avi", "pcm_s16le", 25, video_codec="mpeg4")
    data = clip.read_bytes()
    first, index = data.index(b"00dc", data.index(b"movi")), data.index(b"idx1")
    clip.write_bytes(data[:first] + b"JUNK" + data[first + 4 : index] + b"JUNK" + data[index + 4 :])
    # The audio leads a frame less.
    np.testing.assert_allclose(clip_sync(clip), 40, atol=0.5)
