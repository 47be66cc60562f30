"""A drawn face, and what MediaPipe's face mesh network returns for it.

`python tests/golden/face_mesh.py face_landmarker.task` writes `golden_face_mesh.json` with the
reference interpreter of the network's file format; it needs numpy and ai-edge-litert.
"""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).with_name("golden_face_mesh.json")
NETWORK = "face_landmarks_detector.tflite"
SIZE = 256
# Ellipses that are drawn one over the other: centre, radii, RGB.
ELLIPSES = (
    ((128, 132), (76, 100), (0.85, 0.65, 0.55)),
    ((128, 42), (74, 34), (0.20, 0.13, 0.10)),
    *(((x, 92), (22, 4), (0.25, 0.16, 0.12)) for x in (95, 161)),
    *(((x, 110), (16, 8), (0.97, 0.97, 0.97)) for x in (95, 161)),
    *(((x, 110), (8, 8), (0.18, 0.12, 0.10)) for x in (95, 161)),
    ((128, 142), (9, 20), (0.78, 0.56, 0.47)),
    *(((x, 158), (5, 3), (0.40, 0.22, 0.18)) for x in (119, 137)),
    ((128, 188), (30, 11), (0.75, 0.30, 0.32)),
    ((128, 188), (22, 3), (0.25, 0.08, 0.08)),
)


def drawn_face() -> np.ndarray:
    """Return a crop `(256, 256, 3)` float32 in [0, 1]: ellipses with soft edges."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    image = np.full((SIZE, SIZE, 3), 0.5)
    for (centre_x, centre_y), (radius_x, radius_y), colour in ELLIPSES:
        inside = 1 - np.hypot((x - centre_x) / radius_x, (y - centre_y) / radius_y)
        cover = (0.5 + inside * min(radius_x, radius_y) / 2).clip(0, 1)[..., None]
        image += cover * (np.array(colour) - image)
    return image.astype(np.float32)


def stripes() -> np.ndarray:
    """Return a crop `(256, 256, 3)` float32 in [0, 1] without a face."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return (
        np.stack([(3 * x + y) % 32, (x + 5 * y) % 64 / 2, x * y % 32], -1).astype(np.float32) / 32
    )


def reference(network: bytes, crop: np.ndarray) -> dict[str, list[float]]:
    """Run the network's file on a crop, and return points (row by row) and the presence logit."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=network)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], crop[None])
    interpreter.invoke()
    points, presence, _ = (
        interpreter.get_tensor(output["index"]).ravel()
        for output in interpreter.get_output_details()
    )
    return {
        "points": [round(float(number), 3) for number in points],
        "presence_logit": [round(float(number), 4) for number in presence],
    }


if __name__ == "__main__":
    with zipfile.ZipFile(sys.argv[1]) as archive:
        content = archive.read(NETWORK)
    crops = {"face": drawn_face(), "stripes": stripes()}
    results = {name: reference(content, crop) for name, crop in crops.items()}
    OUTPUT.write_text(json.dumps(results) + "\n", encoding="utf-8")
