"""Measure the time of the face mesh network per frame on one core, in batches of several sizes.

    python benchmarks/faces/face_mesh_speed.py [--repeats 30] [--reference face_landmarker.task]

With `--reference`, the reference interpreter of MediaPipe's file (ai-edge-litert, not a dependency
of avsync) runs on the same crops, one thread too. All run in alternation in this process; the least
CPU time of each counts, since other programs on the machine only add to it.
"""

import argparse
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from avsync.encoders.pretrained.face_mesh import CROP_SIZE, load_face_mesh
from avsync.faces.mesh_regions import MeshRegion, cut_region
from avsync.faces.mesh_tracking import mesh_of_crops
from benchmarks.cpu_time import least_cpu_seconds
from benchmarks.record import machine, write_record

NETWORK = "face_landmarks_detector.tflite"
BATCHES = (1, 8, 32, 64)
# Crops cut per call of that measurement, from an image of 720p.
CUT = 32


def reference(path: Path, crop: np.ndarray) -> Callable[[], object]:
    """Return a function that runs the reference interpreter on a crop `(256, 256, 3)` uint8."""
    from ai_edge_litert.interpreter import Interpreter

    with zipfile.ZipFile(path) as archive:
        interpreter = Interpreter(model_content=archive.read(NETWORK), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, crop[None].astype(np.float32) / 255)
    return interpreter.invoke


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--reference", type=Path, help="face_landmarker.task of MediaPipe")
    options = parser.parse_args()
    torch.set_num_threads(1)
    mesh = load_face_mesh()
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (720, 1280, 3), np.uint8)
    crops = list(rng.integers(0, 256, (max(BATCHES), CROP_SIZE, CROP_SIZE, 3), np.uint8))
    region = MeshRegion(np.array([640.0, 360]), 350.0, 0.1)
    runs: dict[str, tuple[int, Callable[[], object]]] = {
        f"batch_{size}_ms": (size, lambda size=size: mesh_of_crops(mesh, crops[:size]))
        for size in BATCHES
    }
    runs["crop_ms"] = (CUT, lambda: [cut_region(image, region) for _ in range(CUT)])
    if options.reference:
        runs["reference_ms"] = (1, reference(options.reference, crops[0]))
    _, seconds = least_cpu_seconds([run for _, run in runs.values()], options.repeats)
    figures = {
        name: round(1000 * least_s / frames, 2)
        for (name, (frames, _)), least_s in zip(runs.items(), seconds, strict=True)
    }
    print(machine(), figures)
    write_record("faces/face_mesh_speed", figures)


if __name__ == "__main__":
    main()
