"""What MediaPipe's face mesh network returns for 200 frames of real clips, which are not here.

`PYTHONPATH=. python tests/golden/face_mesh_frames.py SHARED` writes `golden_face_mesh_frames.npz`
with the reference interpreter; it needs ai-edge-litert beside avsync. Each frame has the square
that was cropped (`region`: centre, side, roll), a point in eight (in hundredths of a pixel of the
crop) and the presence logit.
"""

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avsync.faces.detector import YuNetDetector
from avsync.faces.mesh_regions import MeshRegion, cut_region, region_from_points
from avsync.media.video_reader import at_rate, read_frames

OUTPUT = Path(__file__).with_name("golden_face_mesh_frames.npz")
# Folder of the shared data, pattern, and which of the sorted clips.
CLIPS = (
    ("people", "*.mkv", slice(0, 112, 14)),
    ("wild_lrs3", "*.mp4", slice(0, 18, 3)),
    ("grid_s1", "*.mkv", slice(0, 60, 20)),
    ("grid_other_speakers", "*.mpg", slice(0, 12, 4)),
)
FRAMES, EVERY = 10, 3
POINTS = slice(None, None, 8)


def images(shared: Path) -> Iterator[np.ndarray]:
    """Yield the frames, `(H, W, 3)` uint8 RGB."""
    for folder, pattern, which in CLIPS:
        for path in sorted((shared / "data" / folder).glob(pattern))[which]:
            for tick in at_rate(read_frames(path, 640)):
                if tick.index >= FRAMES * EVERY:
                    break
                if tick.index % EVERY == 0:
                    yield tick.image


def crops(shared: Path, regions: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the crop `(256, 256, 3)` uint8 of each frame, by the stored regions `(200, 4)`."""
    for image, (x, y, side, roll) in zip(images(shared), regions.astype(float), strict=True):
        yield cut_region(image, MeshRegion(np.array([x, y]), side, roll))


def main(shared: Path) -> None:
    """Write the file."""
    from golden.face_mesh import NETWORK, reference

    with zipfile.ZipFile(shared / "models" / "face_landmarker.task") as archive:
        network = archive.read(NETWORK)
    detector = YuNetDetector()
    regions, last = [], None
    for image in images(shared):
        found = detector(image)
        last = region_from_points(found[0].points) if found else last
        assert last is not None
        regions.append((*last.centre, last.side, last.roll))
    kept = np.array(regions, np.float32)
    results = [reference(network, crop.astype(np.float32) / 255) for crop in crops(shared, kept)]
    points = np.array([result["points"] for result in results]).reshape(len(kept), -1, 3)
    np.savez_compressed(
        OUTPUT,
        region=kept,
        points=np.rint(100 * points[:, POINTS]).astype(np.int16),
        presence_logit=np.array([result["presence_logit"][0] for result in results], np.float32),
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(Path(sys.argv[1]))
