"""Another audio in the place of a file's own: heard where it is told, all else as it was."""

import av
import numpy as np
import pytest

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import probe_media
from avsync.media.writers.replace_audio import replace_audio_stream
from avsync.media.writers.wav_writer import WavWriter

RATE = 48000


@pytest.fixture
def write_wav(tmp_path, make_clip):
    """A WAV with clicks at the given seconds."""

    def write(clicks, layout="stereo", duration_s=2.0):
        clip = make_clip(
            "clicks.avi", video=False, clicks=clicks, layout=layout, duration_s=duration_s
        )
        path = tmp_path / "clicks.wav"
        with WavWriter(path, RATE, layout) as file:
            for block in read_audio(clip, 0.0, None, mono=False):
                file.write(block)
        return path

    return write


def packets(path, kind="video"):
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.mpg", "a.ts"])
def test_the_new_sound_is_heard_at_its_time_and_the_pictures_are_the_same(
    make_clip, write_wav, clip_sync, tmp_path, name
):
    clip = make_clip(name, flashes=(0.4, 1.2, 1.6), clicks=(0.9,))
    audio = write_wav((0.4, 1.2, 1.6))
    # A file says of itself when its frames begin: a program stream at half a second.
    replace_audio_stream(
        clip, tmp_path / f"new{clip.suffix}", audio, probe_media(clip).video_start_s
    )
    np.testing.assert_allclose(clip_sync(tmp_path / f"new{clip.suffix}"), 0, atol=21)
    assert packets(tmp_path / f"new{clip.suffix}") == packets(clip)


def test_a_sound_that_begins_before_the_pictures_does_so_in_the_new_file(
    make_clip, write_wav, tmp_path, hear_clicks
):
    clip = make_clip("late.mkv", video_start_s=0.8, flashes=(1.2,), clicks=(0.4,))
    replace_audio_stream(clip, tmp_path / "new.mkv", write_wav((0.2, 1.0)), 0.3)
    wav = np.concatenate(list(read_audio(tmp_path / "new.mkv", 0.0)))
    np.testing.assert_allclose(hear_clicks(wav), [0.5, 1.3], atol=0.002)


def test_the_sound_is_encoded_as_it_was_and_is_the_only_one(make_clip, write_wav, tmp_path):
    clip = make_clip("two.mkv", tracks=2, layout="mono", sample_rate=44100)
    replace_audio_stream(clip, tmp_path / "new.mkv", write_wav((0.4,), "mono"), 0.0)
    (audio,) = probe_media(tmp_path / "new.mkv").audio
    assert (audio.codec, audio.sample_rate, audio.channels) == ("aac", 44100, 1)


def test_eight_channels_stay_the_same_eight(make_clip, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, (8, RATE)).astype(np.float32)
    with WavWriter(tmp_path / "eight.wav", RATE, "7.1") as file:
        file.write(noise)
    clip = tmp_path / "eight.mkv"
    with av.open(str(tmp_path / "eight.wav")) as source, av.open(str(clip), "w") as container:
        frame = container.add_stream("mpeg4", rate=25)
        frame.width, frame.height, frame.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream_from_template(source.streams.audio[0])
        grey = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 90, np.uint8), "rgb24")
        container.mux([*frame.encode(grey), *frame.encode()])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = audio
                container.mux(packet)
    replace_audio_stream(clip, tmp_path / "new.mkv", tmp_path / "eight.wav", 0.0)
    again = np.concatenate(list(read_audio(tmp_path / "new.mkv", 0.0, None, mono=False)), axis=1)
    np.testing.assert_array_equal(again, noise)


def test_a_file_without_sound_and_one_that_is_there_are_refused(make_clip, write_wav, tmp_path):
    audio = write_wav((0.4,))
    with pytest.raises(UnreadableMedia, match="the file has no audio stream"):
        replace_audio_stream(make_clip("mute.mkv", audio=False), tmp_path / "new.mkv", audio, 0.0)
    with pytest.raises(FileExistsError, match="exists already"):
        replace_audio_stream(make_clip("a.mkv"), make_clip("b.mkv"), audio, 0.0)
    assert not (tmp_path / "new.mkv").exists()
