"""Lossless videos whose whole frame is a face to `RedDetector`."""

from fractions import Fraction

import av
import numpy as np

FRAMES = 30


def red(frames=FRAMES, size=(96, 64), blue=40.0, seed=0):
    """Return frames `(T, H, W, 3)` in random shades of red."""
    width, height = size
    images = np.empty((frames, height, width, 3), np.uint8)
    images[..., 0] = np.random.default_rng(seed).integers(170, 250, (frames, height, width))
    images[..., 1], images[..., 2] = 20, blue
    return images


def write_video(path, frames, fps=25, times_s=None, with_audio=True):
    """Write frames at a constant rate or at given times, with noise as audio."""
    times_s = np.arange(len(frames)) / fps if times_s is None else times_s
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=Fraction(fps))
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "bgr0"
        video.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono") if with_audio else None
        for image, time_s in zip(frames, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="bgr0")
            frame.time_base, frame.pts = Fraction(1, 1000), round(1000 * time_s)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            count = round(16000 * (times_s[-1] + 1 / fps))
            wav = 3000 * np.random.default_rng(0).normal(size=(1, count))
            frame = av.AudioFrame.from_ndarray(wav.astype(np.int16), "s16", "mono")
            frame.sample_rate = 16000
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path
