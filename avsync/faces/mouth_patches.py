"""Cut the mouth out of crops of a face by its mesh: upright, centred, at the scale of the face."""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor

from avsync.faces.mesh_regions import LEFT_EYE, RIGHT_EYE

# Side of the patch in units of the distance between the outer corners of the eyes.
PATCH_SIDE = 0.94
# Corners of the mouth, and the middle of the outer and inner contour of both lips.
CENTRE_POINTS = (61, 291, 0, 17, 13, 14, 78, 308)
# Luminance of RGB (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)
# Samples per pixel and direction: patches are smaller than what they show.
OVERSAMPLE = 2


def cut_mouths(frames: Tensor, points: Tensor, size: int, side: float = PATCH_SIDE) -> Tensor:
    """Cut grey mouths out of crops of a face.

    Args:
        frames: RGB crops `(B, 3, T, H, W)`, in any range.
        points: their meshes `(B, T, 478, 3)` in pixels, from the upper left corner.
        size: height and width of the patches in pixels.
        side: height and width of what they show, in distances between the outer corners of the
            eyes.

    Returns:
        Patches `(B, T, size, size)` in the range of the frames; edges are repeated.
    """
    height, width = frames.shape[-2:]
    flat = points[..., :2].flatten(0, 1).float()
    across = flat[:, RIGHT_EYE] - flat[:, LEFT_EYE]
    # Turning the head shortens the distance in the image, not in depth.
    depth = (points[..., RIGHT_EYE, 2] - points[..., LEFT_EYE, 2]).flatten().float()
    eyes = torch.sqrt(across.square().sum(1) + depth.square()).clamp_min(1.0)
    turn = F.normalize(across, dim=1)
    centre = flat[:, list(CENTRE_POINTS)].mean(1)
    half = side * eyes / 2
    scale = frames.new_tensor([2 / width, 2 / height], dtype=torch.float32)
    # From positions in the patch, -1 to 1 between its edges, to those in the crop.
    down = torch.stack([-turn[:, 1], turn[:, 0]], 1)
    matrix = torch.stack([turn * half[:, None], down * half[:, None], centre], -1)
    theta = matrix * scale[:, None]
    theta[..., 2] -= 1
    grid = F.affine_grid(
        theta, [len(theta), 1, OVERSAMPLE * size, OVERSAMPLE * size], align_corners=False
    )
    luma = frames.new_tensor(LUMA)
    grey = rearrange(einsum(frames, luma, "b c t h w, c -> b t h w"), "b t h w -> (b t) 1 h w")
    # Half precision has no grid sampling on CPUs.
    precise = grey if grey.dtype == torch.float64 else grey.float()
    fine = F.grid_sample(precise, grid.to(precise), padding_mode="border", align_corners=False)
    patches = F.avg_pool2d(fine, OVERSAMPLE).to(frames)
    return rearrange(patches, "(b t) 1 h w -> b t h w", b=len(frames))
