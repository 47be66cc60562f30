"""Detect landmarks in prepared clips for the graph network: `avsync landmarks STORE`."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.atomic import replacing
from avsync.data.store.reader import PreparedClip, Store
from avsync.faces.crops import Face
from avsync.faces.landmarks import NUM_LANDMARKS, Landmarker, align_to_mean_face
from avsync.media.container import UnreadableMedia
from avsync.media.probe import probe_media
from avsync.media.video_reader import at_rate, read_frames
from avsync.pipelines.prepare.prepare_file import MAX_SIDE
from avsync.pipelines.progress import progress_bar
from avsync.timing import FPS


class ClipLandmarks(NamedTuple):
    """Frames of a clip, those in which a face was found, and why no file was written, if none."""

    clip: str
    source: str
    frames: int
    found: int
    problem: str = ""


def store_landmarks(
    store: Store, videos: Path, output: Path, landmarker: Landmarker
) -> list[ClipLandmarks]:
    """Detect the landmarks of each clip of a store and write them to `output/CLIP.npz`.

    A file holds one array `landmarks` `(T, 68, 2)` float32, in pixels of the aligned face; frames
    in which no face was found are zeros. Existing files are kept. Faces are looked for at their
    boxes in the store, in the videos that it was prepared from. A video that cannot be read is
    reported as a problem of its clips.

    Args:
        store: prepared clips.
        videos: the folder that was given to `avsync prepare`, which clips are named after.
        output: folder, made if missing.
        landmarker: detects the points.

    Returns:
        One entry for each clip without a file before.
    """
    if not len(store):
        raise ValueError(f"store {store.path} holds no clips")
    output.mkdir(parents=True, exist_ok=True)
    missing = [row for row in store.rows if not (output / f"{row.id}.npz").exists()]
    missing.sort(key=lambda row: row.source)
    done: list[ClipLandmarks] = []
    with progress_bar("finding landmarks") as report:
        for source, rows in groupby(missing, key=lambda row: row.source):
            clips = [store[row.id] for row in rows]
            path = videos / source.partition("/")[2]
            try:
                done += _video_landmarks(path, clips, output, landmarker)
            except UnreadableMedia as error:
                cause = str(error)
                done += [ClipLandmarks(c.id, source, len(c.boxes), 0, cause) for c in clips]
            report(len(done) / len(missing))
    return done


def _video_landmarks(
    path: Path, clips: Sequence[PreparedClip], output: Path, landmarker: Landmarker
) -> list[ClipLandmarks]:
    points = {clip.id: np.full((len(clip.boxes), NUM_LANDMARKS, 2), np.nan) for clip in clips}
    starts = {clip.id: round(clip.start_s * FPS) for clip in clips}
    last = max(starts[clip.id] + len(clip.boxes) for clip in clips)
    width = probe_media(path).width
    for tick in at_rate(read_frames(path, MAX_SIDE), FPS):
        if tick.index >= last:
            break
        scale = width / tick.image.shape[1]
        for clip in clips:
            frame = tick.index - starts[clip.id]
            if 0 <= frame < len(clip.boxes):
                face = Face(clip.boxes[frame] / scale, clip.points[frame] / scale, 1.0)
                found = landmarker(tick.image, face)
                if found is not None:
                    points[clip.id][frame] = found
    return [_write(output, clip, points[clip.id]) for clip in clips]


def _write(output: Path, clip: PreparedClip, points: np.ndarray) -> ClipLandmarks:
    with replacing(output / f"{clip.id}.npz") as temporary:
        np.savez(temporary, landmarks=align_to_mean_face(points))
    found = int((~np.isnan(points).any((1, 2))).sum())
    return ClipLandmarks(clip.id, clip.source, len(points), found)
