"""Corruptions of real clips after which the offset cannot be estimated, each for one reason."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from avsync.faces.detector import find_detector
from avsync.media.audio_reader import read_audio
from avsync.timing import SAMPLE_RATE
from benchmarks.clip_file import Clip

# avsync requires faces of 32 pixels or more.
SMALL_FACE_PX = 22
# Instruments that the music detector was fitted on.
FITTED = ("bendir", "cello-double-2", "flute-A4", "organ-C3", "sax-phrase", "vibraphone-C6")
SUNG = ("singing-female", "vignesh", "carnatic")


def muted(clip: Clip) -> Clip:
    """Replace the audio by the dither of a recorder, 90 dB below full scale."""
    dither = 10 ** (-90 / 20) * np.random.default_rng(0).standard_normal(len(clip.wav))
    return clip._replace(wav=dither.astype(np.float32))


def frozen(clip: Clip) -> Clip:
    """Replace all frames by the middle one."""
    middle = clip.frames[len(clip.frames) // 2]
    return clip._replace(frames=np.repeat(middle[None], len(clip.frames), axis=0))


def painted_out(clip: Clip) -> Clip:
    """Cover the face and a margin with a plain patch."""
    x0, y0, x1, y1 = _face_box(clip)
    grow_x, grow_y = 0.4 * (x1 - x0), 0.4 * (y1 - y0)
    rows = slice(max(0, int(y0 - grow_y)), int(y1 + grow_y))
    columns = slice(max(0, int(x0 - grow_x)), int(x1 + grow_x))
    frames = clip.frames.copy()
    frames[:, rows, columns] = frames[:, :8, :8].mean((0, 1, 2)).astype(np.uint8)
    return clip._replace(frames=frames)


def cropped_away(clip: Clip) -> Clip:
    """Crop the frames to the part below the face: neck and shoulders."""
    box = _face_box(clip)
    below = min(int(box[3]), clip.frames.shape[1] - 64)
    return clip._replace(frames=clip.frames[:, below:])


def made_small(clip: Clip) -> Clip:
    """Scale the frames down until the face is too small, and centre them on grey."""
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
    """Replace the audio by music with the same 99th percentile of the amplitude."""
    wav = np.resize(np.roll(music, -start), len(clip.wav))
    gain = np.percentile(np.abs(clip.wav), 99) / (np.percentile(np.abs(wav), 99) + 1e-9)
    return clip._replace(wav=(gain * wav).astype(np.float32))


def out_of_range(clips: list[Clip], lead_s: float) -> Clip:
    """Concatenate clips and rotate their audio so that it leads by `lead_s`."""
    height = min(clip.frames.shape[1] for clip in clips)
    width = min(clip.frames.shape[2] for clip in clips)
    frames = np.concatenate([clip.frames[:, :height, :width] for clip in clips])
    wav = np.concatenate([clip.wav for clip in clips])
    name = "+".join(clip.name for clip in clips)
    return Clip(name, clips[0].speaker, frames, np.roll(wav, -round(lead_s * SAMPLE_RATE)))


def read_music(shared: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and audio of music without singing that the music detector was not fitted on.

    Instruments, and the accompaniment (left channel) of MIR-1K songs.
    """
    for path in sorted((shared / "data" / "music_cc").glob("*.wav")):
        if path.stem not in FITTED + SUNG:
            yield path.stem, np.concatenate(list(read_audio(path, 0.0)))
    for path in sorted((shared / "data" / "mir1k").glob("*.flac"))[::17]:
        blocks = list(read_audio(path, 0.0, mono=False))
        yield f"accompaniment of {path.stem}", np.concatenate(blocks, axis=1)[0]


def _face_box(clip: Clip) -> np.ndarray:
    """Return the box `(4,)` in pixels around all positions of the largest face."""
    find = find_detector(None)
    boxes = []
    for image in clip.frames[::10]:
        faces = find(image)
        if faces:
            boxes.append(max((face.box for face in faces), key=lambda box: box[2] - box[0]))
    if not boxes:
        raise RuntimeError(f"no face was detected in {clip.name}")
    low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    return np.concatenate([low, high])
