"""Write a file with a dark and a bright region in which a stand-in detector reports faces."""

from fractions import Fraction

import av
import numpy as np

LEFT, RIGHT = (16, 24, 64, 88), (128, 24, 176, 88)


def write_faces(path, wave, rate, layout="mono", seconds=4.0, light=(0.25, 0.75)):
    """Write a still image whose faces have the brightness `light`, with lossless audio."""
    channels = av.AudioLayout(layout).nb_channels
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "12", "preset": "fast"})
        video.width, video.height, video.pix_fmt = 192, 112, "yuv420p"
        audio = container.add_stream("pcm_f32le", rate=rate, layout=layout)
        for _ in range(round(seconds * 25)):
            image = np.full((112, 192, 3), 128, np.uint8)
            for (x0, y0, x1, y1), level in zip((LEFT, RIGHT), light, strict=True):
                image[y0 - 8 : y1 + 8, x0 - 8 : x1 + 8] = round(255 * level)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
        packed = np.ascontiguousarray(wave.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        assert len(wave) == channels
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


def tones(rate, seconds, channels=1):
    t = np.arange(round(seconds * rate)) / rate
    waves = [np.sin(2 * np.pi * hz * t) for hz in (220, 400)][:channels]
    return 0.4 * np.array(waves, np.float32)
