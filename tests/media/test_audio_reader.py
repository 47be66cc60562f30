"""The audio of a file is where its frames say it is, whatever container and codec do to it."""

import av
import numpy as np
import pytest

from avsync.media.audio_reader import AudioClock, _audio_with_times, read_audio
from avsync.media.container import UnreadableMedia


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(("clip.mp4", codec) for codec in ("aac", "libmp3lame", "libopus", "ac3")),
        *(("clip.mov", codec) for codec in ("aac", "pcm_s16le")),
        *(("clip.mkv", codec) for codec in ("aac", "libopus", "libmp3lame", "flac")),
        ("clip.webm", "libopus"),
        ("clip.avi", "pcm_s16le"),
        *(("clip.mpg", codec) for codec in ("mp2", "ac3")),
    ],
)
def test_a_click_is_audible_when_its_flash_is_seen(make_clip, clip_sync, name, codec):
    assert np.abs(clip_sync(make_clip(name, audio_codec=codec))).max() < 0.1


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.webm", "clip.mpg"])
@pytest.mark.parametrize("starts", [(0.0, 0.3), (0.2, 0.0), (0.52, 0.5)])
def test_streams_that_start_at_different_times_keep_their_sync(make_clip, clip_sync, name, starts):
    video_s, audio_s = starts
    # Frames lie on multiples of 40 ms of the file's clock, as the flashes do.
    clip = make_clip(
        name, video_start_s=video_s, audio_start_s=audio_s, flashes=(0.8, 1.6), clicks=(0.8, 1.6)
    )
    # Edit lists of mp4 and timestamps of mkv are whole milliseconds.
    assert np.abs(clip_sync(clip)).max() < 1.1


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000, 96000, 192000])
def test_every_sample_rate_is_resampled_without_delay(make_clip, clip_sync, rate):
    clip = make_clip("clip.mkv", audio_codec="pcm_s16le", sample_rate=rate)
    assert np.abs(clip_sync(clip)).max() < 0.1


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_channels_are_mixed_no_louder_than_they_were(make_clip, hear_clicks, layout):
    clip = make_clip("clip.mkv", audio_codec="flac", layout=layout)
    wav = np.concatenate(list(read_audio(clip, 0.0, None)))
    assert np.allclose(hear_clicks(wav, 48000), [0.4, 1.2, 1.6], atol=1e-3)
    assert 0.5 < wav.max() < 0.61


def test_channels_stay_apart_where_mono_is_not_asked_for(make_clip):
    clip = make_clip("clip.mkv", audio_codec="flac", layout="5.1")
    blocks = list(read_audio(clip, 0.0, mono=False))
    assert {len(block) for block in blocks} == {6}
    assert sum(block.shape[1] for block in blocks) == 32000


def test_a_gap_between_packets_is_silence_and_moves_nothing(make_clip, clip_sync):
    clip = make_clip("clip.mkv", audio_codec="flac", silence=(0.6, 1.0))
    assert np.abs(clip_sync(clip)).max() < 1.1
    wav = np.concatenate(list(read_audio(clip, 0.0)))
    assert not wav[round(0.72 * 16000) : round(0.98 * 16000)].any()


def test_the_origin_moves_the_audio(make_clip, hear_clicks):
    clip = make_clip("clip.mp4")
    for origin_s in (-0.5, 0.1, 0.5):
        clicks = hear_clicks(np.concatenate(list(read_audio(clip, origin_s))))
        truth = [at - origin_s for at in (0.4, 1.2, 1.6) if at > origin_s]
        assert np.allclose(clicks, truth, atol=1e-3)


def test_windows_equal_the_whole_however_they_are_cut(make_clip):
    clip = make_clip("clip.mp4", audio_start_s=0.3, sample_rate=44100)
    whole = np.concatenate(list(read_audio(clip, 0.0)))
    clock = AudioClock(clip, 0.0, keep_s=0.6)
    for start_s in np.arange(-0.5, 2.5, 0.37):
        window = clock.window(start_s, start_s + 0.9)
        first = round(start_s * 16000)
        padded = np.concatenate([np.zeros(16000, np.float32), whole, np.zeros(60000, np.float32)])
        np.testing.assert_array_equal(window, padded[16000 + first : 16000 + first + len(window)])
    assert clock.end_s == len(whole) / 16000


def test_the_clock_forgets_what_lies_far_back(make_clip):
    clock = AudioClock(make_clip("clip.mp4", duration_s=4.0), 0.0, keep_s=0.5)
    clock.window(3.0, 3.5)
    assert sum(len(held.block) for held in clock._held) < 1.2 * 16000
    with pytest.raises(ValueError, match=r"start_s must be at least 2\.500 by now, got 1\.0"):
        clock.window(1.0, 2.0)


def test_a_missing_audio_stream_is_named(make_clip):
    clip = make_clip("clip.mp4", audio=False)
    with pytest.raises(UnreadableMedia, match="no audio stream") as caught:
        next(read_audio(clip, 0.0))
    assert caught.value.reason == "no_audio_stream"


def test_a_stream_number_beyond_the_last_is_a_wrong_argument(make_clip):
    with pytest.raises(ValueError, match="stream must be one of the file's 2 from 0, got 2"):
        next(read_audio(make_clip("clip.mkv", tracks=2), 0.0, stream=2))


def test_damaged_packets_leave_the_rest_where_it_is(make_clip, hear_clicks):
    clip = make_clip("clip.mp4", audio_codec="libmp3lame", video=False, duration_s=4.0)
    data = bytearray(clip.read_bytes())
    middle = len(data) * 6 // 10
    data[middle : middle + 1500] = bytes(1500)
    clip.write_bytes(data)
    wav = np.concatenate(list(read_audio(clip, 0.0)))
    assert np.allclose(hear_clicks(wav), [0.4, 1.2, 1.6], atol=2e-3)
    assert abs(len(wav) / 16000 - 4.0) < 0.1


def redate(clip, target, new_pts):
    """Copies the audio of a clip with each timestamp (in ms, as Matroska's are) replaced."""
    with av.open(clip) as source, av.open(target, "w") as copy:
        stream = source.streams.audio[0]
        out = copy.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        for index, packet in enumerate(packets):
            packet.pts = packet.dts = new_pts(index, packet.pts)
            packet.stream = out
            copy.mux(packet)
    return target


def test_timestamps_that_shake_cut_no_holes_into_the_audio(make_clip, tmp_path):
    clip = make_clip("clip.mkv", audio_codec="pcm_s16le")
    shaken = redate(clip, tmp_path / "shaken.mkv", lambda index, pts: pts + (0, 2)[index % 2])
    np.testing.assert_array_equal(
        np.concatenate(list(read_audio(shaken, 0.0))), np.concatenate(list(read_audio(clip, 0.0)))
    )


def test_a_clock_that_drifts_is_followed(make_clip, tmp_path, hear_clicks):
    clip = make_clip(
        "clip.mkv", audio_codec="pcm_s16le", video=False, duration_s=5, clicks=(1, 4, 4.5)
    )
    slow = redate(clip, tmp_path / "slow.mkv", lambda index, pts: round(pts * 1.003))
    clicks = hear_clicks(np.concatenate(list(read_audio(slow, 0.0))))
    np.testing.assert_allclose(clicks, [1.003, 4.012, 4.5135], atol=0.005)


def test_one_damaged_timestamp_moves_nothing(make_clip):
    with av.open(make_clip("clip.mkv")) as source:
        frames = list(source.decode(audio=0))
    frames[len(frames) // 3].pts += 10**6
    times = [time_s for time_s, _ in _audio_with_times(iter(frames))]
    assert times.count(None) == 1
    assert [t for t in times if t is not None] == sorted(t for t in times if t is not None)
