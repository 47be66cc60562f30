"""Stand-ins for talking-face models with known output, and videos for them."""

from fractions import Fraction

import av
import numpy as np
import torch

from avsync.tasks.talking.generator import FACE_SPEC
from avsync.timing import SAMPLES_PER_FRAME


class LoudnessEncoder:
    """Encode each frame's 1/25 s of speech as its peak level."""

    spec = FACE_SPEC

    def __init__(self):
        self.most_frames = 0

    def encode_speech(self, wav, frames):
        self.most_frames = max(self.most_frames, frames)
        wav = torch.nn.functional.pad(wav, (0, frames * SAMPLES_PER_FRAME))
        return (
            wav.abs().unfold(1, SAMPLES_PER_FRAME, SAMPLES_PER_FRAME)[:, :frames].amax(2)[..., None]
        )


class Same(LoudnessEncoder):
    """Return the identity frame: in a still video, the true one."""

    def __call__(self, tokens, faces):
        return faces[:, 3:]


class Flat(LoudnessEncoder):
    """Return a face of one colour."""

    def __init__(self, *rgb):
        super().__init__()
        self.rgb = torch.tensor(rgb)

    def __call__(self, tokens, faces):
        return self.rgb[None, :, None, None].expand(len(faces), 3, 96, 96)


class Loud(LoudnessEncoder):
    """Return a white face where the speech is loud and a black one where it is silent."""

    def __call__(self, tokens, faces):
        return tokens.clamp(0, 1)[..., None, None].expand(len(faces), 3, 96, 96)


def texture(width, height):
    """Return a smooth image `(H, W, 3)` uint8 in which no two regions are equal."""
    y, x = np.mgrid[0:height, 0:width]
    red = 120 + 50 * np.sin(x / 9 + y / 31) + 20 * np.cos(y / 7)
    green = 110 + 60 * np.cos(y / 11 - x / 40)
    blue = 128 + 40 * np.sin(x / 17) * np.cos(y / 13)
    return np.stack([red, green, blue], -1).round().astype(np.uint8)


def write_frames(path, images, fps=25, times=None, metadata=None, **context):
    """Write frames `(H, W, 3)` without audio, at a constant rate or at times in seconds."""
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"qp": "1"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = context.pop("pix_fmt", "yuv420p")
        stream.codec_context.time_base = Fraction(1, 90000)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            time_s = number / Fraction(fps) if times is None else times[number]
            frame.time_base, frame.pts = Fraction(1, 90000), round(time_s * 90000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_voice(path, wav, rate=16000):
    """Write a waveform `(N,)` as an audio file, lossless where the format is."""
    codec = {".wav": "pcm_s16le", ".flac": "flac", ".m4a": "aac"}[path.suffix]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = (32767 * wav).round().astype(np.int16)[None]
        for at in range(0, samples.shape[1], 1024):
            part = np.ascontiguousarray(samples[:, at : at + 1024])
            frame = av.AudioFrame.from_ndarray(part, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
