"""Windows of face_sync use what the mesh shows, and no more."""

import math

import torch

from avsync.encoders.pretrained.face_mesh import FaceMeshOutput
from avsync.faces.face_frame import STABLE_POINTS, cut_mouths
from avsync.tasks.registry import create_model

FRAMES = 24


def meshes(yaw_degrees: float, presence: float = 1.0) -> FaceMeshOutput:
    """Return meshes of a head that is turned, with lips that move, in a crop of 256 x 256."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(478, 3, generator=generator) * 0.2
    points[list(STABLE_POINTS)] = torch.tensor(list(STABLE_POINTS.values()))
    moving = points.repeat(FRAMES, 1, 1)
    moving[:, 13:15, 1] += 0.1 * torch.sin(torch.arange(FRAMES))[:, None]
    yaw = math.radians(yaw_degrees)
    turn = torch.tensor(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    )
    return FaceMeshOutput((60 * moving @ turn + 128)[None], torch.full((1, FRAMES), presence))


def test_the_landmarks_of_a_head_in_profile_do_not_count():
    model = create_model("face_sync").eval()
    frames = torch.rand(1, 3, FRAMES, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for degrees, counts in ((20, True), (-35, True), (50, False), (-70, False)):
            found = meshes(degrees)
            pixels = model.pixels(cut_mouths(frames, found.points, 48))
            alone = model.weigh(torch.zeros_like(pixels), pixels)
            both = model.encode_video(frames, found)
            assert torch.allclose(both, alone, atol=1e-5) != counts


def test_windows_without_a_face_score_equally_at_all_offsets():
    model = create_model("face_sync").eval()
    frames = torch.rand(1, 3, FRAMES, 256, 256, generator=torch.Generator().manual_seed(1))
    found = meshes(0)
    found.presence[:, 10:16] = 0.0
    with torch.no_grad():
        weight = model.encode_video(frames, found).norm(dim=-1)[0]
    # Windows of 5 frames that hold one of the six.
    assert (weight[6:16] == 0).all()
    assert (weight[:6] > 0).all() and (weight[16:] > 0).all()
