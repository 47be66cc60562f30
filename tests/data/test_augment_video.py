import pytest
import torch

from avsync.data import augment_video as augment

B, T, S = 3, 16, 40


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def grey():
    still = torch.rand(B, 1, S, S, generator=generator())
    return torch.nn.functional.avg_pool2d(still, 5, 1, 2).expand(B, T, S, S).contiguous()


def test_the_same_seed_gives_the_same_clip_and_another_seed_another(grey):
    first, again = (augment.augment_mouth(grey, 32, generator(5)) for _ in range(2))
    torch.testing.assert_close(first, again)
    assert (first - augment.augment_mouth(grey, 32, generator(6))).abs().mean() > 0.02


def test_a_still_clip_stays_almost_still(grey):
    # What moves in a clip must be the mouth, not the augmentation.
    out = augment.relight(
        augment.warp(grey, 32, torch.ones(B, 1), generator()), torch.ones(B, 1), generator()
    )
    between_clips = out.std(0).mean()
    between_frames = (out[:, 1:] - out[:, :-1]).abs().mean()
    assert between_frames < 0.2 * between_clips


def test_a_patch_hides_the_same_pixels_in_every_frame(grey):
    out = augment.occlude(grey, torch.ones(B, 1), generator(1))
    hidden = (out != grey).float()
    assert 0 < hidden.mean() < 0.5
    torch.testing.assert_close(hidden[:, 0], hidden[:, -1])


def test_no_strength_only_mirrors_a_mouth(grey):
    none = torch.zeros(B, 1)
    out = augment.warp(grey, S, none, generator(2))
    out = augment.soften(augment.relight(out, none, generator()), none, generator())
    for clip, original in zip(augment.occlude(out, none, generator()), grey, strict=True):
        error = min((clip - original).abs().max(), (clip.flip(-1) - original).abs().max())
        assert error < 1e-4
