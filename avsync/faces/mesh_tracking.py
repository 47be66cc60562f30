"""Run the face mesh network on the frames of a tracked face, streamed and in batches."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avsync.faces.mesh_regions import (
    MeshRegion,
    RegionShift,
    cut_region,
    mesh_in_image,
    region_from_mesh,
    region_from_points,
    shift_between,
    shifted,
)

if TYPE_CHECKING:
    from avsync.encoders.pretrained.face_mesh import FaceMesh

# A crop below this presence holds no face, as in MediaPipe.
MIN_PRESENCE = 0.5
BLOCK_FRAMES = 8


class MeshOfCrops(NamedTuple):
    """The mesh network's result for N crops, as arrays.

    Args:
        points: `(N, 478, 3)` float32 in pixels of the crops.
        presence: `(N,)` float32 in [0, 1], the probability of a face.
    """

    points: np.ndarray
    presence: np.ndarray


def mesh_of_crops(mesh: "FaceMesh", crops: Sequence[np.ndarray]) -> MeshOfCrops:
    """Run the mesh network on crops `(256, 256, 3)` uint8 RGB, on the device of its weights."""
    import torch
    from einops import rearrange

    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack(crops)).to(mesh.stem.weight.device)
        found = mesh(rearrange(pixels, "n h w c -> n c h w"))
        return MeshOfCrops(found.points.cpu().numpy(), found.presence.cpu().numpy())


def track_mesh(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    mesh: "FaceMesh",
    block_frames: int = BLOCK_FRAMES,
) -> Iterator[np.ndarray | None]:
    """Yield the mesh of one face in every frame, in order, computed in blocks.

    The regions follow from the detector's points. From the second block on they are shifted by how
    the meshes of the block before lay to theirs, which brings them to those that MediaPipe takes
    from mesh to mesh. Where no mesh was found, the detector's points alone decide again.

    Args:
        frames: images `(H, W, 3)` uint8 RGB with the points `(5, 2)` of the face in them, in
            pixels (see `Face`).
        mesh: the network, in eval mode.
        block_frames: frames computed at once, which are all that is held.

    Returns:
        Meshes `(478, 3)` in pixels of the image, z at the same scale; None where the crop holds no
        face.
    """
    if block_frames < 1:
        raise ValueError(f"block_frames must be at least 1, got {block_frames}")
    remaining, shift = iter(frames), None
    # The first block is one frame, so that the second one already knows the face.
    block = list(islice(remaining, 1))
    while block:
        rough = [region_from_points(points) for _, points in block]
        regions = rough if shift is None else [shifted(region, shift) for region in rough]
        images = [image for image, _ in block]
        meshes = _block_meshes(images, regions, mesh)
        shift = _typical_shift(rough, meshes)
        yield from meshes
        block = list(islice(remaining, block_frames))


def _block_meshes(
    images: Sequence[np.ndarray], regions: Sequence[MeshRegion], mesh: "FaceMesh"
) -> list[np.ndarray | None]:
    crops = [cut_region(*pair) for pair in zip(images, regions, strict=True)]
    found = mesh_of_crops(mesh, crops)
    return [
        mesh_in_image(points, region) if presence >= MIN_PRESENCE else None
        for points, presence, region in zip(*found, regions, strict=True)
    ]


def _typical_shift(
    regions: Sequence[MeshRegion], meshes: Sequence[np.ndarray | None]
) -> RegionShift | None:
    """Return the median shift from regions to those of the meshes; None without any mesh."""
    shifts = [
        shift_between(region, region_from_mesh(points))
        for region, points in zip(regions, meshes, strict=True)
        if points is not None
    ]
    if not shifts:
        return None
    moves, scales, turns = zip(*shifts, strict=True)
    return RegionShift(np.median(moves, 0), float(np.median(scales)), float(np.median(turns)))
