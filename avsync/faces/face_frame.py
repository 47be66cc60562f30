"""Landmarks and mouth in the face's own frame, in which only speech and expressions move them.

A 3-D similarity per frame maps points that speech hardly moves onto a template, so that neither the
position of the head nor its size or turn is left in the others.

Sources: Kabsch, A solution for the best rotation to relate two sets of vectors, 1976; Umeyama,
Least-squares estimation of transformation parameters between two point patterns, 1991 (scale). The
template is MediaPipe's canonical face model (Apache-2.0), at these points.
"""

import math

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor

from avsync.faces.mesh_regions import LEFT_EYE, RIGHT_EYE

# Corners of the eyes, bridge, tip and sides of the nose, and the forehead: numbers in the mesh of
# 478 points, and positions in the canonical face model, x to the viewer's right, y down and z away
# from the viewer, from their mean, in units of the distance between the outer corners of the eyes.
STABLE_POINTS = {
    33: (-0.5, -0.1082, 0.2431),
    133: (-0.2088, -0.0993, 0.1774),
    362: (0.2088, -0.0993, 0.1774),
    263: (0.5, -0.1082, 0.2431),
    168: (0.0, -0.1764, 0.0112),
    6: (0.0, -0.0867, -0.0510),
    197: (0.0, -0.0029, -0.1104),
    195: (0.0, 0.0723, -0.1619),
    5: (0.0, 0.1503, -0.2145),
    4: (0.0, 0.2435, -0.2532),
    1: (0.0, 0.3182, -0.2407),
    2: (0.0, 0.4264, -0.0813),
    98: (-0.1581, 0.3842, 0.0106),
    327: (0.1581, 0.3842, 0.0106),
    129: (-0.2008, 0.3015, 0.0545),
    358: (0.2008, 0.3015, 0.0545),
    10: (0.0, -0.7377, 0.0960),
    151: (0.0, -0.5447, 0.0346),
    9: (0.0, -0.3581, -0.0056),
    8: (0.0, -0.2606, 0.0057),
}
# Outer and inner contour of the lips, 20 points each; chin, jaw, cheeks and the tip of the nose.
OUTER_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
    *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
)
INNER_LIPS = (
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324),
    *(308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
JAW = (152, 148, 377, 176, 400, 150, 379, 136, 365, 172, 397, 199, 200, 18)
CHEEKS_AND_NOSE = (50, 280, 205, 425, 207, 427, 2, 4)
MOUTH_POINTS = (*OUTER_LIPS, *INNER_LIPS, *JAW, *CHEEKS_AND_NOSE)
# The number, in `MOUTH_POINTS`, of each point's mirror image.
MIRRORED_MOUTH = (
    *((10 - k) % 20 for k in range(20)),
    *(20 + (10 - k) % 20 for k in range(20)),
    *(40, 42, 41, 44, 43, 46, 45, 48, 47, 50, 49, 51, 52, 53),
    *(55, 54, 57, 56, 59, 58, 60, 61),
)
# Of a mesh from one image, depth is less certain than what is seen.
DEPTH_WEIGHT = 0.5
# Side of the patch in units of the distance between the outer corners of the eyes.
PATCH_SIDE = 0.94
# Corners of the mouth, and the middle of the outer and inner contour of both lips.
CENTRE_POINTS = (61, 291, 0, 17, 13, 14, 78, 308)
# Luminance of RGB (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)
# Samples per pixel and direction: patches are smaller than what they show.
OVERSAMPLE = 2


def to_face_frame(points: Tensor) -> Tensor:
    """Move the points of faces into the face's own frame, each face by its own similarity.

    Args:
        points: meshes `(..., 478, 3)`: x to the right, y down, z away from the camera, all in the
            same unit.

    Returns:
        Meshes of the same shape; unit is the distance between the outer corners of the eyes, origin
        the mean of the stable points.
    """
    centre, rotation, scale = _fit_template(points)
    return (points - centre) @ rotation * scale[..., None, None]


def head_yaw(points: Tensor) -> Tensor:
    """Return the angles `(...)` in degrees by which heads with meshes `(..., 478, 3)` are turned.

    Positive to the viewer's right.
    """
    _, rotation, _ = _fit_template(points)
    return torch.rad2deg(torch.atan2(rotation[..., 2, 0], rotation[..., 2, 2]))


def mouth_motion(points: Tensor, reach: int) -> Tensor:
    """Return how mouth and jaw move in the face's frame about their running mean.

    Taking the mean out removes most of the shape that makes one face differ from another.

    Args:
        points: meshes of consecutive frames `(B, T, 478, 3)`.
        reach: frames before and after, over which the mean is taken; fewer at the ends.

    Returns:
        `(B, T, 62, 3)` of `MOUTH_POINTS`, in distances between the outer corners of the eyes.
    """
    return motion_of(to_face_frame(points)[..., list(MOUTH_POINTS), :], reach)


def motion_of(landmarks: Tensor, reach: int) -> Tensor:
    """Return landmarks `(B, T, N, 3)` in the face's frame less their running mean, depth weighted.

    See `mouth_motion`.
    """
    weighted = landmarks * landmarks.new_tensor([1.0, 1.0, DEPTH_WEIGHT])
    return weighted - running_mean(weighted, reach)


def running_mean(x: Tensor, reach: int) -> Tensor:
    """Average `(B, T, ...)` over up to `reach` frames before and after each."""
    frames = torch.arange(x.shape[1], device=x.device)
    near = (frames[:, None] - frames).abs() <= reach
    weights = near.to(x) / near.sum(1, keepdim=True)
    return einsum(weights, x.flatten(2), "t s, b s d -> b t d").reshape(x.shape)


def fill_gaps(points: Tensor, present: Tensor, longest: int = 3) -> tuple[Tensor, Tensor]:
    """Interpolate meshes in short gaps between frames in which a face is present.

    Linearly; a single missing frame is on the cubic through the frames 1 and 3 before and after, if
    a face is present in these four, as it is where every second frame was looked at.

    Args:
        points: meshes of consecutive frames `(B, T, N, 3)`.
        present: `(B, T)` bool.
        longest: longest gap that is filled, in frames.

    Returns:
        The meshes, and in which frames `(B, T)` there is one now; elsewhere they are those of the
        nearest frame that has one, if any has.
    """
    last = points.shape[1] - 1
    frames = torch.arange(last + 1, device=points.device).expand_as(present)
    before = torch.where(present, frames, -1).cummax(1).values
    after = torch.where(present, frames, last + 1).flip(1).cummin(1).values.flip(1)
    inside = (before >= 0) & (after <= last) & (after - before <= longest + 1)
    low = torch.where(before < 0, after, before).clamp(0, last)
    high = torch.where(after > last, before, after).clamp(0, last)
    share = ((frames - low) / (high - low).clamp_min(1)).clamp(0, 1)[..., None, None].to(points)
    clips = torch.arange(len(points), device=points.device)[:, None]
    filled = points[clips, low] * (1 - share) + points[clips, high] * share
    if last >= 6:
        four = present[:, 2:-4] & present[:, 4:-2] & present[:, :-6] & present[:, 6:]
        cubic = (9 * (points[:, 2:-4] + points[:, 4:-2]) - points[:, :-6] - points[:, 6:]) / 16
        filled[:, 3:-3] = torch.where(four[..., None, None], cubic, filled[:, 3:-3])
    # Frames that have a mesh keep it exactly, and so do all if none has.
    given = present | ~present.any(1, keepdim=True)
    return torch.where(given[..., None, None], points, filled), present | inside


def cut_mouths(frames: Tensor, points: Tensor, size: int, side: float = PATCH_SIDE) -> Tensor:
    """Cut grey mouths out of crops of a face.

    Args:
        frames: RGB crops `(B, 3, T, H, W)`, in any range, or uint8.
        points: their meshes `(B, T, 478, 3)` in pixels, from the upper left corner.
        size: height and width of the patches in pixels.
        side: height and width of what they show, in distances between the outer corners of the
            eyes.

    Returns:
        Patches `(B, T, size, size)` in the range of the frames, of uint8 in [0, 1]; edges are
        repeated.
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
    # Only the part of the crops that holds all patches is converted.
    left, right = _covered(centre[:, 0], half, width)
    top, bottom = _covered(centre[:, 1], half, height)
    frames = frames[..., top:bottom, left:right]
    if frames.dtype == torch.uint8:
        frames = frames.float() / 255
    centre = centre - centre.new_tensor([left, top])
    scale = centre.new_tensor([2 / (right - left), 2 / (bottom - top)])
    # From positions in the patch, -1 to 1 between its edges, to those in that part.
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


def _covered(centres: Tensor, halves: Tensor, size: int) -> tuple[int, int]:
    """Return from where to where squares of any turn reach along an axis of `size` pixels."""
    if centres.device.type != "cpu":
        return 0, size  # Not worth the wait for the device.
    # A turned square reaches further by up to the square root of 2, interpolation by a pixel.
    reach = math.sqrt(2) * halves + 2
    start = min(max(int((centres - reach).min()), 0), size - 1)
    return start, max(start + 1, min(int((centres + reach).max()) + 1, size))


def _fit_template(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit the similarity that moves stable points onto the template.

    Returns:
        Centres `(..., 1, 3)`, rotations `(..., 3, 3)` that row vectors are multiplied by, and
        scales `(...)`.
    """
    if points.ndim < 2 or points.shape[-2:] != (478, 3):
        raise ValueError(f"points must be (..., 478, 3), got {tuple(points.shape)}")
    template = points.new_tensor(list(STABLE_POINTS.values()))
    template = template - template.mean(0)
    stable = points[..., list(STABLE_POINTS), :]
    centre = stable.mean(-2, keepdim=True)
    offsets = stable - centre
    covariance = einsum(offsets, template, "... n i, n j -> ... i j")
    left, singular, right = torch.linalg.svd(covariance)
    # Without mirroring: the least certain axis is turned instead.
    sign = torch.sign(torch.linalg.det(left @ right))
    signs = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1)
    rotation = (left * signs[..., None, :]) @ right
    energy = offsets.square().sum((-1, -2)).clamp_min(torch.finfo(points.dtype).tiny)
    scale = (singular * signs).sum(-1) / energy
    return centre, rotation, scale
