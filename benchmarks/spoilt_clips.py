"""Real clips spoilt so that nothing can be said of their sync: real files, each for one reason."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from avsync.faces.detector import find_detector
from avsync.media.audio_reader import read_audio
from avsync.media.probe import probe_media
from avsync.media.video_reader import at_rate, read_frames
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

# A face of this width is below the 32 pixels that avsync asks for.
SMALL_FACE_PX = 22
# Instruments that the question whether a sound is music was fitted on.
FITTED = ("bendir", "cello-double-2", "flute-A4", "organ-C3", "sax-phrase", "vibraphone-C6")
SUNG = ("singing-female", "vignesh", "carnatic")


class Clip(NamedTuple):
    """A clip in memory: `frames` `(T, H, W, 3)` uint8 RGB at 25 fps, `wav` `(N,)` at 16 kHz."""

    name: str
    speaker: str
    frames: np.ndarray
    wav: np.ndarray


def read_clip(path: Path, speaker: str) -> Clip:
    """A whole file; its sound is as long as its picture."""
    frames = np.stack([tick.image for tick in at_rate(read_frames(path))])
    wav = np.concatenate(list(read_audio(path, probe_media(path).video_start_s)))
    samples = len(frames) * SAMPLES_PER_FRAME
    return Clip(path.stem, speaker, frames, np.pad(wav, (0, samples))[:samples])


def write_clip(path: Path, frames: np.ndarray, wav: np.ndarray) -> Path:
    """Writes a file of H.264 and PCM, both from time 0 on."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "fast"})
        assert isinstance(video, av.VideoStream)
        height, width = (side // 2 * 2 for side in frames.shape[1:3])
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for image in frames:
            picture = np.ascontiguousarray(image[:height, :width])
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode(None))
        samples = np.clip(wav * 32767, -32768, 32767).astype(np.int16)[None]
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "s16", "mono")
        block.sample_rate = SAMPLE_RATE
        container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path


def muted(clip: Clip) -> Clip:
    """No sound, save for the dither of a recorder: 90 dB below full scale."""
    hiss = 10 ** (-90 / 20) * np.random.default_rng(0).standard_normal(len(clip.wav))
    return clip._replace(wav=hiss.astype(np.float32))


def frozen(clip: Clip) -> Clip:
    """The middle picture all along."""
    middle = clip.frames[len(clip.frames) // 2]
    return clip._replace(frames=np.repeat(middle[None], len(clip.frames), axis=0))


def painted_out(clip: Clip) -> Clip:
    """Every face, and a good margin, under a plain patch."""
    x0, y0, x1, y1 = _face_box(clip)
    grow_x, grow_y = 0.4 * (x1 - x0), 0.4 * (y1 - y0)
    rows = slice(max(0, int(y0 - grow_y)), int(y1 + grow_y))
    columns = slice(max(0, int(x0 - grow_x)), int(x1 + grow_x))
    frames = clip.frames.copy()
    frames[:, rows, columns] = frames[:, :8, :8].mean((0, 1, 2)).astype(np.uint8)
    return clip._replace(frames=frames)


def cropped_away(clip: Clip) -> Clip:
    """Only what lies below the mouth: chin, neck and shoulders."""
    box = _face_box(clip)
    below = min(int(box[3]), clip.frames.shape[1] - 64)
    return clip._replace(frames=clip.frames[:, below:])


def made_small(clip: Clip) -> Clip:
    """Scaled down until the face is too small, in the middle of a grey picture."""
    box = _face_box(clip)
    scale = SMALL_FACE_PX / (box[2] - box[0])
    small = [
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for image in clip.frames
    ]
    frames = np.full((len(small), 240, 320, 3), 90, np.uint8)
    height, width = small[0].shape[:2]
    top, left = (240 - height) // 2, (320 - width) // 2
    frames[:, top : top + height, left : left + width] = small
    return clip._replace(frames=frames)


def with_music(clip: Clip, music: np.ndarray, start: int) -> Clip:
    """Music in place of the sound, as loud as that was at its loudest."""
    wav = np.resize(np.roll(music, -start), len(clip.wav))
    gain = np.percentile(np.abs(clip.wav), 99) / (np.percentile(np.abs(wav), 99) + 1e-9)
    return clip._replace(wav=(gain * wav).astype(np.float32))


def far_off(clips: list[Clip], lead_s: float) -> Clip:
    """Clips one after another, their sound early; what left at the front is at the end."""
    height = min(clip.frames.shape[1] for clip in clips)
    width = min(clip.frames.shape[2] for clip in clips)
    frames = np.concatenate([clip.frames[:, :height, :width] for clip in clips])
    wav = np.concatenate([clip.wav for clip in clips])
    name = "+".join(clip.name for clip in clips)
    return Clip(name, clips[0].speaker, frames, np.roll(wav, -round(lead_s * SAMPLE_RATE)))


def read_music(shared: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Instruments, and the accompaniment (left) of songs; nothing that is sung or was fitted on."""
    for path in sorted((shared / "data" / "music_cc").glob("*.wav")):
        if path.stem not in FITTED + SUNG:
            yield path.stem, np.concatenate(list(read_audio(path, 0.0)))
    for path in sorted((shared / "data" / "mir1k").glob("*.flac"))[::17]:
        blocks = list(read_audio(path, 0.0, mono=False))
        yield f"accompaniment of {path.stem}", np.concatenate(blocks, axis=1)[0]


def _face_box(clip: Clip) -> np.ndarray:
    """The box around all places of the largest face, `(4,)` in pixels."""
    find = find_detector(None)
    boxes = []
    for image in clip.frames[::10]:
        faces = find(image)
        if faces:
            boxes.append(max((face.box for face in faces), key=lambda box: box[2] - box[0]))
    if not boxes:
        raise RuntimeError(f"no face in {clip.name}: it cannot be spoilt")
    low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    return np.concatenate([low, high])
