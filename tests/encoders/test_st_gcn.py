import pytest
import torch

from avsync.encoders.st_gcn import StGcnEncoder, face_adjacency


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return StGcnEncoder((2, 2, 4)).eval()


def test_bonds_are_counted_as_in_the_public_code():
    itself, near, outwards = face_adjacency()
    assert [int((kind != 0).sum()) for kind in (itself, near, outwards)] == [68, 116, 2]
    # 59 bonds both ways, of which two are called steps outwards.
    assert outwards[0, 1] == outwards[1, 2] == pytest.approx(1 / 3)


def test_the_bonds_of_a_point_add_up_to_one():
    torch.testing.assert_close(face_adjacency().sum((0, 1)), torch.ones(68))


def test_jaw_and_mouth_are_not_joined_and_the_mouth_is_not_closed():
    bonds = face_adjacency().sum(0)
    assert bonds[16, 17] == bonds[48, 59] == bonds[59, 60] == 0
    assert bonds[48, 49] == 1 / 3 and bonds[49, 48] == 1 / 2


def test_it_has_as_many_parameters_as_published():
    with torch.device("meta"):
        assert sum(p.numel() for p in StGcnEncoder().parameters()) == 1_424_016


@torch.no_grad()
def test_eight_frames_are_a_token_at_its_published_widths():
    torch.manual_seed(0)
    tokens = StGcnEncoder().eval()(torch.randn(1, 2, 100, 68))
    assert tokens.shape == (1, 13, 256)
    assert tokens.min() >= 0


@torch.no_grad()
def test_a_block_that_is_wider_halves_time(tiny):
    assert tiny(torch.randn(2, 2, 9, 68)).shape == (2, 5, 4)


@torch.no_grad()
def test_the_scale_of_the_points_is_learnt_in_training(tiny):
    points = 48 + 30 * torch.rand(4, 2, 8, 68)
    other = StGcnEncoder((2, 2, 4))
    other.load_state_dict(tiny.state_dict())
    torch.testing.assert_close(other.train()(points), other(2 * points + 7), atol=1e-3, rtol=1e-3)


def test_a_face_of_another_number_of_points_is_named(tiny):
    with pytest.raises(ValueError, match=r"landmarks must be \(B, 2, T, 68\), got \(1, 2, 9, 478"):
        tiny(torch.zeros(1, 2, 9, 478))


def test_no_width_is_refused():
    with pytest.raises(ValueError, match="channels must be at least one width"):
        StGcnEncoder(())
