"""Separating two real people side by side, their speech summed."""

from contextlib import ExitStack, closing
from fractions import Fraction
from itertools import islice

import av
import numpy as np
import pytest
from pipelines.separators import Brightness

from avsync.faces.detector import YuNetDetector
from avsync.media.audio_reader import read_audio
from avsync.media.video_reader import at_rate, read_frames
from avsync.pipelines.separate.separate_file import separate

pytestmark = pytest.mark.real_data
RATE = 16000


def side_by_side(path, left, right, frames=75):
    """Write both videos into one frame, with the mean of their audio."""
    with ExitStack() as stack, av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 720, 288, "yuv420p"
        audio = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        videos = [stack.enter_context(closing(at_rate(read_frames(p)))) for p in (left, right)]
        for a, b in islice(zip(*videos, strict=False), frames):
            both = np.ascontiguousarray(np.concatenate([a.image, b.image], axis=1))
            container.mux(video.encode(av.VideoFrame.from_ndarray(both, "rgb24")))
        container.mux(video.encode())
        count = frames * RATE // 25
        waves = [np.concatenate(list(read_audio(p, 0.0, RATE)))[:count] for p in (left, right)]
        wave = sum(np.pad(wave, (0, count - len(wave))) for wave in waves) / 2
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


def test_two_people_in_one_frame_are_two_voices_from_left_to_right(shared, tmp_path):
    detector = YuNetDetector(shared / "models" / "yunet_n_320_320.onnx")
    left = sorted((shared / "data" / "grid_s1").glob("*.mkv"))[0]
    right = sorted((shared / "data" / "grid_other_speakers").glob("*.mpg"))[0]
    clip = side_by_side(tmp_path / "two.mkv", left, right)
    result = separate(clip, tmp_path / "out", model=Brightness(seconds=4), detector=detector)
    assert (result.status, result.faces, result.duration_s) == ("ok", 2, 3.0)
    first, second = result.voices
    assert 0 < first.box[0] < first.box[2] < 360 < second.box[0] < second.box[2] < 720
    assert first.seen == second.seen == ((0.0, 3.0),)
    parts = [
        np.concatenate(list(read_audio(tmp_path / "out" / name, 0.0, RATE)))
        for name in ("voice_0.wav", "voice_1.wav", "rest.wav")
    ]
    mixture = np.concatenate(list(read_audio(clip, 0.0, RATE)))
    np.testing.assert_allclose(sum(parts), mixture, atol=2e-7)
