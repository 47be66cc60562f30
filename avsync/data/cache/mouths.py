"""Cache of the landmarks and mouths that the face mesh network finds in the crops of a clip."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from avsync.atomic import replacing
from avsync.data.store.npy_items import ArrayFiles, map_items
from avsync.encoders.pretrained.face_mesh import FACE_MESH_SHA256, FaceMesh, load_face_mesh
from avsync.faces.face_frame import MOUTH_POINTS, cut_mouths, fill_gaps, to_face_frame
from avsync.faces.mesh_tracking import MIN_PRESENCE
from avsync.weights import sha256_of

# Frames that go through the network together.
BLOCK = 64
# Part of every file's name: a new value makes every cache compute again.
METHOD = "1"


class MouthCache:
    """Landmarks and mouths of clips in .npy files, named by a hash of the crops and the network.

    KEY.landmarks.npy holds the `MOUTH_POINTS` in the face's frame, `(T, 62, 3)` float16, and
    KEY.mouths.npy grey mouths `(T, size, size)` uint8. Frames without a face repeat another.

    Args:
        folder: holds the files, each of which is written atomically.
        size: height and width of the mouths in pixels.
    """

    def __init__(self, folder: str | Path, size: int) -> None:
        self.folder, self.size, self.files = Path(folder), size, ArrayFiles()
        self.known: dict[str, Path] = {}

    def fill(self, crops: Iterable[str], on_clip: Callable[[], None] | None = None) -> int:
        """Compute what is not in the cache, and return of how many clips.

        Args:
            crops: .npy files of crops `(T, 256, 256, 3)` uint8 of the kind `mesh`.
            on_clip: called after every clip, for a progress bar.

        Raises:
            ValueError: no face is found in a clip.
        """
        mesh, computed = None, 0
        for path in crops:
            content = f"{sha256_of(path)} {FACE_MESH_SHA256} {self.size} {METHOD}"
            key = self.folder / hashlib.sha256(content.encode()).hexdigest()[:32]
            mouths, landmarks = key.with_suffix(".mouths.npy"), key.with_suffix(".landmarks.npy")
            if not (mouths.is_file() and landmarks.is_file()):
                mesh = mesh or load_face_mesh()
                found = _find_mouths(mesh, path, self.size)
                for target, array in zip((landmarks, mouths), found, strict=True):
                    with replacing(target) as temporary:
                        np.save(temporary, array)
                computed += 1
            self.known[path] = key
            if on_clip is not None:
                on_clip()
        return computed

    def landmarks(self, crops: str, start: int, count: int) -> np.ndarray:
        """Return landmarks `(count, 62, 3)` float16 from frame `start` on of a file of `fill`."""
        path = self.known[crops].with_suffix(".landmarks.npy")
        return self.files.items(str(path), start, start + count)

    def mouths(self, crops: str, start: int, count: int) -> np.ndarray:
        """Return mouths `(count, size, size)` uint8 likewise."""
        path = self.known[crops].with_suffix(".mouths.npy")
        return self.files.items(str(path), start, start + count)


@torch.inference_mode()
def _find_mouths(mesh: FaceMesh, path: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    crops = map_items(path)
    points, presence = [], []
    for start in range(0, len(crops), BLOCK):
        found = mesh(_frames(crops[start : start + BLOCK]))
        points.append(found.points)
        presence.append(found.presence)
    present = torch.cat(presence) >= MIN_PRESENCE
    if not present.any():
        raise ValueError(f"{path} holds no face that the mesh network finds")
    filled = fill_gaps(torch.cat(points)[None], present[None])[0][0]
    landmarks = to_face_frame(filled)[:, list(MOUTH_POINTS)]
    mouths = []
    for start in range(0, len(crops), BLOCK):
        frames = rearrange(_frames(crops[start : start + BLOCK]), "t c h w -> 1 c t h w")
        cut = cut_mouths(frames, filled[None, start : start + BLOCK], size)[0]
        mouths.append((255 * cut).round().byte())
    return landmarks.half().numpy(), torch.cat(mouths).numpy()


def _frames(crops: np.ndarray) -> Tensor:
    # A writable copy: torch does not take arrays that are mapped read-only.
    return rearrange(torch.from_numpy(np.array(crops)), "t h w c -> t c h w").float() / 255
