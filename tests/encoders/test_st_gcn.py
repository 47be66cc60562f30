import pytest
import torch

from avsync.encoders.st_gcn import StGcnEncoder, face_adjacency

pytestmark = pytest.mark.arithmetic


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return StGcnEncoder((2, 2, 4)).eval()


def test_partitions_have_the_edges_of_the_public_code():
    itself, neighbours, outward = face_adjacency()
    assert [int((part != 0).sum()) for part in (itself, neighbours, outward)] == [68, 116, 2]
    # 59 edges both ways, two of which are in the outward partition.
    assert outward[0, 1] == outward[1, 2] == pytest.approx(1 / 3)


def test_the_edges_of_a_point_sum_to_one():
    torch.testing.assert_close(face_adjacency().sum((0, 1)), torch.ones(68))


def test_jaw_and_lips_are_not_connected_and_lips_are_open_chains():
    edges = face_adjacency().sum(0)
    assert edges[16, 17] == edges[48, 59] == edges[59, 60] == 0
    assert edges[48, 49] == 1 / 3 and edges[49, 48] == 1 / 2


def test_the_number_of_parameters_is_the_published_one():
    with torch.device("meta"):
        assert sum(p.numel() for p in StGcnEncoder().parameters()) == 1_424_016


@torch.no_grad()
def test_the_published_widths_give_one_token_per_eight_frames():
    torch.manual_seed(0)
    tokens = StGcnEncoder().eval()(torch.randn(1, 2, 100, 68))
    assert tokens.shape == (1, 13, 256)
    assert tokens.min() >= 0


@torch.no_grad()
def test_a_wider_block_halves_time(tiny):
    assert tiny(torch.randn(2, 2, 9, 68)).shape == (2, 5, 4)


@torch.no_grad()
def test_the_scale_of_the_points_does_not_matter_in_training(tiny):
    points = 48 + 30 * torch.rand(4, 2, 8, 68)
    other = StGcnEncoder((2, 2, 4))
    other.load_state_dict(tiny.state_dict())
    torch.testing.assert_close(other.train()(points), other(2 * points + 7), atol=1e-3, rtol=1e-3)


def test_a_wrong_number_of_landmarks_is_named(tiny):
    with pytest.raises(ValueError, match=r"landmarks must be \(B, 2, T, 68\), got \(1, 2, 9, 478"):
        tiny(torch.zeros(1, 2, 9, 478))


def test_empty_channels_are_rejected():
    with pytest.raises(ValueError, match="channels must be at least one width"):
        StGcnEncoder(())
