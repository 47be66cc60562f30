"""Augmentation changes how a face looks and moves, not when it moves."""

import pytest
import torch

from avsync.data.augment_video import NOISE, augment_face, augment_landmarks
from avsync.faces.face_frame import MIRRORED_MOUTH, MOUTH_POINTS, STABLE_POINTS

FRAMES = 200


def test_every_point_has_a_mirror_image_and_mirroring_twice_changes_nothing():
    assert sorted(MIRRORED_MOUTH) == list(range(len(MOUTH_POINTS)))
    assert all(MIRRORED_MOUTH[other] == k for k, other in enumerate(MIRRORED_MOUTH))
    pairs = {MOUTH_POINTS[k]: MOUTH_POINTS[other] for k, other in enumerate(MIRRORED_MOUTH)}
    # Corners of the mouth, cheeks, jaw; the middle of the lips and the chin are their own.
    assert (pairs[61], pairs[78], pairs[205], pairs[136]) == (291, 308, 425, 365)
    assert all(pairs[point] == point for point in (0, 17, 13, 14, 152, 199, 2, 4))
    assert len(set(STABLE_POINTS) & set(MOUTH_POINTS)) == 2  # Below the nose, and its tip.


def test_the_time_of_a_motion_is_kept_and_clips_differ():
    generator = torch.Generator().manual_seed(0)
    opening = torch.sin(torch.arange(FRAMES) / 5.0)
    motion = torch.zeros(6, FRAMES, 62, 3)
    motion[..., 1] = 0.1 * opening[None, :, None]
    moved = augment_landmarks(motion, generator)
    assert moved.shape == motion.shape
    down = moved[..., 1].mean(2)
    for clip in down:
        assert torch.corrcoef(torch.stack([clip, opening]))[0, 1] > 0.99
    sizes = down.std(1)
    assert sizes.max() / sizes.min() > 1.15


def test_noise_is_all_that_still_lips_get():
    still = augment_landmarks(torch.zeros(8, FRAMES, 62, 3), torch.Generator().manual_seed(1))
    spread = still.std((1, 2, 3))
    assert spread.min() > 0.9 * NOISE[0] and spread.max() < 1.1 * NOISE[1]


def test_draws_come_from_the_generator():
    motion = torch.randn(2, 10, 62, 3, generator=torch.Generator().manual_seed(2))
    one, same, other = (
        augment_landmarks(motion, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize("heavy", [False, True])
def test_landmarks_and_mouths_of_a_clip_are_mirrored_together(heavy):
    # The left corner of the mouth moves down, and the left half of the mouth is bright.
    landmarks = torch.zeros(16, 40, 62, 3)
    landmarks[:, 20:, MOUTH_POINTS.index(61), 1] = 0.2
    mouths = torch.zeros(16, 40, 64, 64)
    mouths[..., :32] = 0.8
    generator = torch.Generator().manual_seed(0)
    moved, grey = augment_face(landmarks, mouths, 48, generator, heavy)
    down = (moved[:, 20:] - moved[:, :20]).mean(1)[..., 1]
    left_moves = down[:, MOUTH_POINTS.index(61)] > down[:, MOUTH_POINTS.index(291)]
    left_is_bright = grey[..., :16].mean((1, 2, 3)) > grey[..., 32:].mean((1, 2, 3))
    assert grey.shape == (16, 40, 48, 48)
    # Heavy changes invert a few mouths.
    assert (left_moves != left_is_bright).sum() <= (3 if heavy else 0)
    assert 0 < left_moves.sum() < 16
