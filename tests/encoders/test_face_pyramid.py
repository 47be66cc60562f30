import pytest
import torch

from avsync.encoders.face_pyramid import FacePyramid

pytestmark = pytest.mark.arithmetic

TINY = (2, 3, 4, 5, 6, 7)


@torch.no_grad()
def test_maps_have_the_published_sizes():
    maps = FacePyramid().eval()(torch.rand(1, 6, 96, 96))
    assert [tuple(feature_map.shape[1:]) for feature_map in maps] == [
        (16, 96, 96),
        (32, 48, 48),
        (64, 24, 24),
        (128, 12, 12),
        (256, 6, 6),
        (512, 3, 3),
        (512, 1, 1),
    ]


def test_the_number_of_parameters_is_the_published_one():
    assert sum(p.numel() for p in FacePyramid().parameters()) == 8_171_056


@torch.no_grad()
def test_faces_of_a_batch_do_not_mix():
    torch.manual_seed(0)
    pyramid, faces = FacePyramid(TINY).eval(), torch.rand(3, 6, 96, 96)
    for together, alone in zip(pyramid(faces), pyramid(faces[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone)


@pytest.mark.parametrize("shape", [(1, 3, 96, 96), (1, 6, 88, 88), (6, 96, 96)])
def test_faces_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"faces must be \(B, 6, 96, 96\), got"):
        FacePyramid(TINY)(torch.zeros(shape))
    with pytest.raises(ValueError, match="channels must be 6 widths"):
        FacePyramid((2, 3))
