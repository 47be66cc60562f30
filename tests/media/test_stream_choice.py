"""Every video stream, audio stream and channel of a file can be described and read."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from avsync.media.audio_reader import AudioClock, read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import channel_names, probe_media
from avsync.media.seek import AudioSeeker, VideoSeeker
from avsync.media.video_reader import read_decoded_frames, read_frames


@pytest.fixture(scope="module")
def two_of_each(tmp_path_factory):
    """A dark and a larger, bright video stream, an English and a Spanish (dub) audio stream."""
    path = tmp_path_factory.mktemp("streams") / "clip.mkv"
    with av.open(path, "w") as container:
        videos = [container.add_stream("mpeg4", rate=25) for _ in range(2)]
        for (width, height), stream in zip(((96, 64), (128, 80)), videos, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        videos[0].disposition = Disposition(0)
        videos[1].disposition = Disposition.default
        videos[1].metadata["title"] = "webcam"
        audios = [
            container.add_stream("pcm_s16le", rate=16000, layout="stereo"),
            container.add_stream("flac", rate=16000, layout="5.1"),
        ]
        audios[0].metadata["language"] = "eng"
        audios[1].metadata.update(language="spa", title="doblaje")
        audios[1].disposition = Disposition.dub | Disposition.hearing_impaired
        for index in range(10):
            for value, stream in zip((20, 200), videos, strict=True):
                image = np.full((stream.height, stream.width, 3), value, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            for stream in audios:
                count = stream.layout.nb_channels
                levels = np.tile(np.arange(1, count + 1) * 1000, 640).astype(np.int16)[None]
                sound = av.AudioFrame.from_ndarray(levels, "s16", stream.layout.name)
                sound.sample_rate, sound.pts = 16000, 640 * index
                container.mux(stream.encode(sound))
        for stream in (*videos, *audios):
            container.mux(stream.encode(None))
    return path


def test_every_stream_is_described(two_of_each):
    info = probe_media(two_of_each)
    assert [(v.index, v.stream, v.width, v.height) for v in info.videos] == [
        (0, 0, 96, 64),
        (1, 1, 128, 80),
    ]
    assert [(v.codec, v.default, v.title) for v in info.videos] == [
        ("mpeg4", False, None),
        ("mpeg4", True, "webcam"),
    ]
    english, spanish = info.audio
    assert (english.stream, english.language, english.layout) == (2, "eng", "stereo")
    assert (spanish.stream, spanish.language, spanish.title) == (3, "spa", "doblaje")
    assert (spanish.layout, set(spanish.dispositions)) == ("5.1", {"dub", "hearing_impaired"})


def test_the_properties_are_those_of_the_chosen_video_stream(two_of_each):
    for number, size in enumerate(((96, 64), (128, 80))):
        info = probe_media(two_of_each, number)
        assert (info.video, info.width, info.height) == (number, *size)


def test_each_reader_of_frames_reads_the_chosen_stream(two_of_each):
    for number, shape in enumerate(((64, 96, 3), (80, 128, 3))):
        images = [frame.image for frame in read_frames(two_of_each, stream=number)]
        decoded = [frame.rgb() for frame in read_decoded_frames(two_of_each, stream=number)]
        with VideoSeeker(two_of_each, stream=number) as video:
            images.append(video.frame_at(0.2))
            images += [frame.image for frame in video.frames_in(0.0, 0.2)]
        assert len(decoded) == 10
        assert len(images) == 16
        assert {image.shape for image in (*images, *decoded)} == {shape}
        assert {image.mean() > 100 for image in (*images, *decoded)} == {number == 1}


def test_a_video_stream_beyond_the_last_is_a_wrong_argument(two_of_each):
    error = "video must be one of the file's 2 from 0, got 2"
    with pytest.raises(ValueError, match=error):
        probe_media(two_of_each, 2)
    with pytest.raises(ValueError, match=error):
        next(read_frames(two_of_each, stream=2))
    with pytest.raises(ValueError, match=error):
        VideoSeeker(two_of_each, stream=2)


@pytest.mark.parametrize(("stream", "count"), [(0, 2), (1, 6)])
def test_a_channel_is_read_alone_by_every_reader(two_of_each, stream, count):
    for channel in range(count):
        level = (channel + 1) * 1000 / 32768
        wav = np.concatenate(list(read_audio(two_of_each, 0.0, stream=stream, channel=channel)))
        assert len(wav) == 6400
        np.testing.assert_allclose(wav, level, atol=1e-6)
        clock = AudioClock(two_of_each, 0.0, stream=stream, channel=channel)
        np.testing.assert_allclose(clock.window(0.1, 0.3), level, atol=1e-6)
        clock.close()
        with AudioSeeker(two_of_each, stream, channel) as audio:
            for _, block in audio.blocks_from(0.1):
                np.testing.assert_allclose(block, level, atol=1e-6)


def test_channels_are_named_by_position(two_of_each):
    assert channel_names(two_of_each) == ("1", "2")  # Matroska has no layouts of PCM.
    assert channel_names(two_of_each, 1) == ("FL", "FR", "FC", "LFE", "BL", "BR")


def test_channels_without_positions_are_named_by_number(tmp_path):
    path = tmp_path / "clip.mov"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="10 channels")
        levels = np.tile(np.arange(1, 11) * 1000, 1600).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(levels, "s16", "10 channels")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame) + stream.encode(None))
    assert channel_names(path) == tuple(map(str, range(1, 11)))
    wav = np.concatenate(list(read_audio(path, 0.0, channel=9)))
    np.testing.assert_allclose(wav, 10000 / 32768, atol=1e-6)


def test_a_channel_beyond_the_last_is_a_wrong_argument(two_of_each):
    error = "channel must be one of the stream's 2 from 0, got 2"
    with pytest.raises(ValueError, match=error):
        next(read_audio(two_of_each, 0.0, channel=2))
    with pytest.raises(ValueError, match=error):
        AudioSeeker(two_of_each, 0, 2)


def test_a_stream_without_a_decoder_is_unknown_and_stops_no_other(two_of_each, tmp_path):
    path = tmp_path / "clip.mkv"
    data = two_of_each.read_bytes()
    # Codec names of the Matroska track headers: no such codecs.
    path.write_bytes(data.replace(b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT"))
    info = probe_media(path)
    assert [audio.codec for audio in info.audio] == ["unknown", "flac"]
    assert (info.audio[0].channels, info.audio[0].layout) == (0, "")
    with pytest.raises(UnreadableMedia, match="no decoder for the codec of the audio"):
        next(read_audio(path, 0.0))
    path.write_bytes(data.replace(b"V_MPEG4/ISO/ASP", b"V_XPEG4/ISO/ASP", 1))
    assert [video.codec for video in probe_media(path, 1).videos] == ["unknown", "mpeg4"]
    with pytest.raises(UnreadableMedia, match="no decoder for the codec of the video"):
        probe_media(path)
