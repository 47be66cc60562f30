"""Pose is taken out of landmarks, and gaps in them are filled."""

import math

import pytest
import torch

from avsync.faces.face_frame import (
    MOUTH_POINTS,
    STABLE_POINTS,
    fill_gaps,
    head_yaw,
    mouth_motion,
    running_mean,
    to_face_frame,
)

TEMPLATE = torch.tensor(list(STABLE_POINTS.values()))


def face(frames: int = 1, seed: int = 0) -> torch.Tensor:
    """Return meshes `(T, 478, 3)` with the stable points of the template and others at random."""
    points = torch.randn(478, 3, generator=torch.Generator().manual_seed(seed))
    points[list(STABLE_POINTS)] = TEMPLATE
    return points.repeat(frames, 1, 1)


def rotation(yaw: float, pitch: float, roll: float) -> torch.Tensor:
    matrices = []
    for axes, angle in (((0, 2), yaw), ((1, 2), pitch), ((0, 1), roll)):
        matrix = torch.eye(3)
        i, j = axes
        matrix[i, i] = matrix[j, j] = math.cos(angle)
        matrix[i, j], matrix[j, i] = math.sin(angle), -math.sin(angle)
        matrices.append(matrix)
    return matrices[0] @ matrices[1] @ matrices[2]


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.6, 0, 0), (0.3, -0.4, 0.5), (-0.9, 0.2, -1.2)])
def test_the_pose_size_and_position_of_the_head_do_not_matter(angles):
    points = face()
    moved = 85 * points @ rotation(*angles) + torch.tensor([120.0, 90.0, -10.0])
    torch.testing.assert_close(to_face_frame(moved), to_face_frame(points), atol=2e-5, rtol=0)


def test_stable_points_lie_on_the_template():
    found = to_face_frame(30 * face())[:, list(STABLE_POINTS)]
    torch.testing.assert_close(found[0], TEMPLATE - TEMPLATE.mean(0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("degrees", [-60, -20, 35, 75])
def test_the_yaw_is_the_angle_to_the_viewers_right(degrees):
    turned = face() @ rotation(math.radians(degrees), 0.1, 0.0)
    nose, bridge = turned[0, 4, 0], turned[0, 168, 0]
    assert (nose > bridge) == bool(head_yaw(turned) > 0)
    assert abs(float(head_yaw(turned))) == pytest.approx(abs(degrees), abs=1)


def test_a_mirrored_face_is_turned_and_never_mirrored_back():
    mirrored = face() * torch.tensor([1.0, 1.0, -1.0])
    found = to_face_frame(mirrored)[0, list(STABLE_POINTS)]
    assert (found - (TEMPLATE - TEMPLATE.mean(0))).abs().max() > 0.1


def test_a_mouth_that_opens_moves_and_a_head_that_turns_does_not():
    points = face(40)
    turning = torch.stack(
        [frame @ rotation(0.02 * t, -0.01 * t, 0.0) for t, frame in enumerate(points)]
    )
    still = mouth_motion(turning[None], 12)
    assert still.shape == (1, 40, len(MOUTH_POINTS), 3)
    assert still.abs().max() < 1e-4
    chin = MOUTH_POINTS.index(152)
    opening = points.clone()
    opening[20:, 152, 1] += 0.1
    moved = mouth_motion(opening[None], 12)[0, :, chin, 1]
    # Half of the frames around the opening are on either side of it.
    torch.testing.assert_close(
        moved[20] - moved[19], torch.tensor(0.1 - 0.1 / 25), atol=1e-4, rtol=0
    )
    assert moved[:8].abs().max() < 1e-4


def test_the_running_mean_uses_fewer_frames_at_the_ends():
    x = torch.arange(6.0)[None, :, None]
    expected = torch.tensor([0.5, 1.0, 2.0, 3.0, 4.0, 4.5])
    torch.testing.assert_close(running_mean(x, 1)[0, :, 0], expected)


def test_gaps_of_three_frames_are_interpolated_and_longer_ones_stay():
    present = torch.tensor([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]).bool()
    points = torch.arange(12.0)[:, None, None].repeat(1, 2, 3) ** 2
    points[~present] = torch.nan
    both = torch.stack([points, points.nan_to_num(7.0)])
    filled, known = fill_gaps(both, torch.stack([present, torch.zeros_like(present)]))
    # Without any mesh there is nothing to fill from.
    assert not known[1].any() and torch.equal(filled[1], both[1])
    filled, known = filled[0], known[0]
    assert known.tolist() == [False, *[True] * 5, *[False] * 4, True, False]
    torch.testing.assert_close(filled[1:6, 0, 0], torch.tensor([1.0, 7.0, 13.0, 19.0, 25.0]))
    assert filled.isfinite().all()


def test_a_single_missing_frame_lies_on_the_cubic_through_four_others():
    # A cubic motion, of which every second frame is known: linear between would be wrong.
    t = torch.arange(13.0, dtype=torch.float64)
    motion = (t - 4) ** 3 / 50 - t**2 + 3
    points = motion[:, None, None].repeat(1, 2, 3)
    present = torch.arange(13) % 2 == 0
    filled, known = fill_gaps(
        points.masked_fill(~present[:, None, None], 99.0)[None], present[None]
    )
    assert known.all()
    torch.testing.assert_close(filled[0, 3:-3], points[3:-3])
    # Nothing is known three frames before the first gap: there it is linear.
    assert filled[0, 1, 0, 0] == (motion[0] + motion[2]) / 2


def test_points_of_another_mesh_are_refused():
    with pytest.raises(ValueError, match=r"points must be \(..., 478, 3\), got \(2, 468, 3\)"):
        to_face_frame(torch.zeros(2, 468, 3))
