"""The landmarks of prepared clips, as the graph network sees them: `avsync landmarks STORE`."""

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
from avsync.media.probe import probe
from avsync.media.video_reader import at_rate, read_frames
from avsync.pipelines.prepare.prepare_file import MAX_SIDE
from avsync.pipelines.progress import progress_bar
from avsync.timing import FPS


class ClipLandmarks(NamedTuple):
    """In how many of a clip's frames a face was found; `problem` says why nothing was written."""

    clip: str
    source: str
    frames: int
    found: int
    problem: str = ""


def store_landmarks(
    store: Store, videos: Path, output: Path, landmarker: Landmarker
) -> list[ClipLandmarks]:
    """Write `output/CLIP.npz` for each clip of a store, an array `landmarks` `(T, 68, 2)` float32
    in pixels of the aligned face, zeros where none was found; files that are there stay.

    Faces are looked for where the store has their boxes, in the videos it was prepared from. A
    video that cannot be read is a problem of its clips.

    Args:
        store: of prepared clips.
        videos: the folder that `avsync prepare` was given; clips are named after it.
        output: folder, made if missing.
        landmarker: finds the points.
    """
    if not len(store):
        raise ValueError(f"store {store.path} holds no clips")
    output.mkdir(parents=True, exist_ok=True)
    missing = [row for row in store.rows if not (output / f"{row['id']}.npz").exists()]
    missing.sort(key=lambda row: row["source"])
    done: list[ClipLandmarks] = []
    with progress_bar("finding landmarks") as report:
        for source, rows in groupby(missing, key=lambda row: row["source"]):
            clips = [store[row["id"]] for row in rows]
            path = videos / source.partition("/")[2]
            try:
                done += _of_video(path, clips, output, landmarker)
            except UnreadableMedia as error:
                cause = str(error)
                done += [ClipLandmarks(c.id, source, len(c.boxes), 0, cause) for c in clips]
            report(len(done) / len(missing))
    return done


def _of_video(
    path: Path, clips: Sequence[PreparedClip], output: Path, landmarker: Landmarker
) -> list[ClipLandmarks]:
    points = {clip.id: np.full((len(clip.boxes), NUM_LANDMARKS, 2), np.nan) for clip in clips}
    starts = {clip.id: round(clip.start_s * FPS) for clip in clips}
    last = max(starts[clip.id] + len(clip.boxes) for clip in clips)
    width = probe(path).width
    for tick in at_rate(read_frames(path, MAX_SIDE), FPS):
        if tick.index >= last:
            break
        scale = width / tick.image.shape[1]
        for clip in clips:
            place = tick.index - starts[clip.id]
            if 0 <= place < len(clip.boxes):
                face = Face(clip.boxes[place] / scale, clip.points[place] / scale, 1.0)
                found = landmarker(tick.image, face)
                if found is not None:
                    points[clip.id][place] = found
    return [_write(output, clip, points[clip.id]) for clip in clips]


def _write(output: Path, clip: PreparedClip, points: np.ndarray) -> ClipLandmarks:
    with replacing(output / f"{clip.id}.npz") as beside:
        np.savez(beside, landmarks=align_to_mean_face(points))
    found = int((~np.isnan(points).any((1, 2))).sum())
    return ClipLandmarks(clip.id, clip.source, len(points), found)
