"""Compare tracked meshes with MediaPipe's video mode on 20 real clips.

    python benchmarks/faces/mesh_tracking.py --shared ../shared

It needs mediapipe, which is not a dependency of avsync. Distances are in % of the distance between
the outer corners of the eyes, over all points and frames of a clip; the figures of all clips are
medians over clips. MediaPipe smooths its points over time. `same_regions` has its regions, from its
own mesh of the same frame, so that only the smoothing and rounding differ.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from avsync.encoders.pretrained.face_mesh import FaceMesh, load_face_mesh
from avsync.faces.detector import YuNetDetector
from avsync.faces.mesh_regions import (
    LEFT_EYE,
    RIGHT_EYE,
    MeshRegion,
    cut_region,
    mesh_in_image,
    region_from_mesh,
    region_from_points,
)
from avsync.faces.mesh_tracking import mesh_of_crops, track_mesh
from avsync.faces.tracking import follow_faces
from avsync.media.video_reader import at_rate, read_frames
from benchmarks.record import machine, write_record

# Folder of the shared data, pattern, and which of the sorted clips: others than those that the
# constants of `region_from_points` were fitted to.
CLIPS = (
    ("people", "*.mkv", slice(7, 112, 14)),
    ("wild_lrs3", "*.mp4", slice(1, 19, 3)),
    ("grid_s1", "*.mkv", slice(10, 70, 20)),
    ("grid_other_speakers", "*.mpg", slice(1, 13, 4)),
)
MAX_FRAMES, MAX_SIDE = 75, 640


class Frame(NamedTuple):
    """An image, the five points of the face in it, and MediaPipe's mesh `(478, 3)` in pixels."""

    image: np.ndarray
    points: np.ndarray
    mesh: np.ndarray


def reference_meshes(images: list[np.ndarray], model: Path) -> list[np.ndarray | None]:
    """Run MediaPipe's video mode at 25 fps."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=model.read_bytes()),
        running_mode=vision.RunningMode.VIDEO,
    )
    meshes: list[np.ndarray | None] = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for index, image in enumerate(images):
            frame = mediapipe.Image(
                image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
            )
            faces = landmarker.detect_for_video(frame, 40 * index).face_landmarks
            width = image.shape[1]
            scale = (width, image.shape[0], width)
            points = [np.array([(p.x, p.y, p.z) for p in face]) * scale for face in faces]
            meshes.append(points[0] if points else None)
    return meshes


def frames_of(path: Path, model: Path) -> Iterator[Frame]:
    """Yield the frames of a clip in which both found a face; of several ours is the nearest."""
    ticks = follow_faces(at_rate(read_frames(path, MAX_SIDE)), YuNetDetector())
    shown = [tick for tick, _ in zip(ticks, range(MAX_FRAMES), strict=False)]
    meshes = reference_meshes([tick.image for tick in shown], model)
    for tick, mesh in zip(shown, meshes, strict=True):
        if mesh is None or not tick.faces:
            continue
        eyes = mesh[[LEFT_EYE, RIGHT_EYE], :2].mean(0)
        points = [face.points for face in tick.faces]
        nearest = min(points, key=lambda five: np.hypot(*(five[:2].mean(0) - eyes)))
        yield Frame(tick.image, nearest, mesh)


def in_regions(
    frames: list[Frame], regions: list[MeshRegion], network: FaceMesh
) -> list[np.ndarray]:
    """Return the meshes of frames in given regions."""
    crops = [cut_region(frame.image, r) for frame, r in zip(frames, regions, strict=True)]
    points = mesh_of_crops(network, crops).points
    return [mesh_in_image(*pair) for pair in zip(points, regions, strict=True)]


def distances(frames: list[Frame], meshes: list[np.ndarray | None]) -> dict[str, float]:
    """Return the median and the 95th percentile of the distances, in % of the eye distance."""
    found = []
    for frame, mesh in zip(frames, meshes, strict=True):
        if mesh is not None:
            eyes = np.hypot(*(frame.mesh[RIGHT_EYE, :2] - frame.mesh[LEFT_EYE, :2]))
            found.append(100 * np.linalg.norm((mesh - frame.mesh)[:, :2], axis=1) / eyes)
    return {
        "median": round(float(np.median(found)), 2),
        "p95": round(float(np.percentile(found, 95)), 2),
        "without_mesh": sum(mesh is None for mesh in meshes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, model = load_face_mesh(), options.shared / "models" / "face_landmarker.task"
    clips: dict[str, dict[str, dict[str, float]]] = {}
    for folder, pattern, which in CLIPS:
        for path in sorted((options.shared / "data" / folder).glob(pattern))[which]:
            frames = list(frames_of(path, model))
            by_points = [region_from_points(frame.points) for frame in frames]
            by_mesh = [region_from_mesh(frame.mesh) for frame in frames]
            tracked = track_mesh(((frame.image, frame.points) for frame in frames), network)
            results = {
                "tracked": list(tracked),
                "points_only": in_regions(frames, by_points, network),
                "same_regions": in_regions(frames, by_mesh, network),
            }
            clips[path.stem] = {k: distances(frames, meshes) for k, meshes in results.items()}
            print(path.stem, len(frames), clips[path.stem], flush=True)
    ways = ("tracked", "points_only", "same_regions")
    summary = {
        way: {
            key: round(float(np.median([clip[way][key] for clip in clips.values()])), 2)
            for key in ("median", "p95")
        }
        for way in ways
    }
    print(machine(), summary)
    write_record("faces/mesh_tracking", {"all": summary, "clips": clips})


if __name__ == "__main__":
    main()
