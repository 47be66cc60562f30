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


def test_a_patch_hides_the_same_place_in_every_frame(grey):
    out = augment.occlude(grey, torch.ones(B, 1), generator(1))
    hidden = (out != grey).float()
    assert 0 < hidden.mean() < 0.5
    torch.testing.assert_close(hidden[:, 0], hidden[:, -1])


def test_warping_the_bands_keeps_time():
    mel = torch.zeros(2, 32, 50)
    mel[:, :, 20] = 1.0
    out = augment.warp_bands(mel, torch.ones(2, 1), generator())
    assert (out.sum(1).argmax(-1) == 20).all()


def test_reverberation_only_adds_what_comes_later():
    mel = torch.full((8, 16, 60), -10.0)
    mel[:, :, 30] = 0.0
    out = augment.reverberate(mel, torch.ones(8, 1), generator())
    torch.testing.assert_close(out[:, :, :31], mel[:, :, :31], atol=0.2, rtol=0)
    assert (out[:, :, 31] > mel[:, :, 31] + 1).any()


def test_noise_is_never_below_the_sound():
    mel = torch.randn(4, 32, 50, generator=generator())
    assert (augment.add_noise_floor(mel, torch.ones(4, 1), generator()) >= mel).all()


def test_no_strength_leaves_a_mouth_as_it_is_but_for_the_mirror(grey):
    none = torch.zeros(B, 1)
    out = augment.warp(grey, S, none, generator(2))
    out = augment.soften(augment.relight(out, none, generator()), none, generator())
    for clip, original in zip(augment.occlude(out, none, generator()), grey, strict=True):
        error = min((clip - original).abs().max(), (clip.flip(-1) - original).abs().max())
        assert error < 1e-4
