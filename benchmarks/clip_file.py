"""Read a video file into memory at 25 fps and 16 kHz, and write one of near-lossless quality."""

from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from avsync.media.audio_reader import read_audio
from avsync.media.probe import probe_media
from avsync.media.video_reader import at_rate, read_frames
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

# Without the macroblock tree, whose lookahead makes x264's output differ from run to run.
X264 = {"crf": "18", "preset": "fast", "x264-params": "mbtree=0:rc-lookahead=0"}


class Clip(NamedTuple):
    """A clip in memory: `frames` `(T, H, W, 3)` uint8 RGB at 25 fps, `wav` `(N,)` at 16 kHz."""

    name: str
    speaker: str
    frames: np.ndarray
    wav: np.ndarray


def read_clip(path: Path, speaker: str) -> Clip:
    """Read a whole file; the audio is padded or cut to the length of the video."""
    frames = np.stack([tick.image for tick in at_rate(read_frames(path))])
    wav = np.concatenate(list(read_audio(path, probe_media(path).video_start_s)))
    samples = len(frames) * SAMPLES_PER_FRAME
    return Clip(path.stem, speaker, frames, np.pad(wav, (0, samples))[:samples])


def write_clip(path: Path, frames: np.ndarray, wav: np.ndarray) -> Path:
    """Write frames `(T, H, W, 3)` and audio `(N,)` as H.264 and PCM; both start at time 0."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options=X264)
        assert isinstance(video, av.VideoStream)
        height, width = (side // 2 * 2 for side in frames.shape[1:3])
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for frame in frames:
            image = np.ascontiguousarray(frame[:height, :width])
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode(None))
        samples = np.clip(wav * 32767, -32768, 32767).astype(np.int16)[None]
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "s16", "mono")
        block.sample_rate = SAMPLE_RATE
        container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path
