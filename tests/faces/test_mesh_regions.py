import cv2
import numpy as np
import pytest

from avsync.faces.mesh_regions import (
    LEFT_EYE,
    RIGHT_EYE,
    MeshRegion,
    cut_region,
    mesh_in_image,
    region_affine,
    region_from_mesh,
    region_from_points,
    shift_between,
    shifted,
)

POINTS = np.array([[80.0, 90], [140, 92], [112, 125], [88, 160], [134, 161]])
REGION = MeshRegion(np.array([120.0, 90]), 170.0, 0.3)


def moved(points, degrees=35.0, scale=1.7, move=(300.0, -20.0)):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + move


def assert_regions_equal(first, second):
    np.testing.assert_allclose(first.centre, second.centre, atol=1e-6)
    np.testing.assert_allclose([first.side, first.roll], [second.side, second.roll], atol=1e-6)


def textured(height=200, width=260):
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 4)


def test_the_region_moves_turns_and_grows_with_the_points():
    before, after = region_from_points(POINTS), region_from_points(moved(POINTS))
    expected = MeshRegion(
        moved(before.centre[None])[0], 1.7 * before.side, before.roll + np.radians(35)
    )
    assert_regions_equal(after, expected)


def test_the_region_goes_away_from_the_nose():
    turned = POINTS + np.array([[0, 0]] * 2 + [[10, 0]] + [[0, 0]] * 2)
    assert region_from_points(turned).centre[0] < region_from_points(POINTS).centre[0] - 5


def test_the_region_of_a_mesh_is_the_box_around_it_half_as_large_again():
    mesh = np.full((478, 3), 50.0)
    mesh[0], mesh[1] = (20, 40, 0), (100, 60, 0)
    mesh[LEFT_EYE], mesh[RIGHT_EYE] = (30, 50, 5), (90, 50, 5)
    assert_regions_equal(region_from_mesh(mesh), MeshRegion(np.array([60, 50]), 120.0, 0.0))
    mesh[RIGHT_EYE] = (60, 80, 5)
    assert region_from_mesh(mesh).roll == pytest.approx(np.pi / 4)


def test_the_affine_maps_the_centre_and_the_corners_of_the_crop():
    corners = np.array([[128.0, 128, 1], [0, 0, 1], [256, 0, 1]]) @ region_affine(REGION).T
    np.testing.assert_allclose(corners[0], REGION.centre)
    across = corners[2] - corners[1]
    assert np.hypot(*across) == pytest.approx(REGION.side)
    assert np.arctan2(*across[::-1]) == pytest.approx(REGION.roll)


@pytest.mark.parametrize("side", [90.0, 170.0, 700.0])
def test_a_crop_holds_the_image_where_the_affine_says(side):
    image = cv2.resize(textured(), (1040, 800))
    region = MeshRegion(np.array([520.0, 400]), side, 0.3)
    crop, affine = cut_region(image, region), region_affine(region)
    for x, y in ((128, 128), (60, 200), (190, 70)):
        column, row = np.rint(affine @ (x, y, 1)).astype(int)
        np.testing.assert_allclose(crop[y, x], image[row, column], atol=12)
    assert crop.shape == (256, 256, 3) and crop.dtype == np.uint8


def test_an_upright_region_of_256_pixels_is_the_image_itself():
    image = textured(300, 300)
    region = MeshRegion(np.array([140.0, 150]), 256.0, 0.0)
    np.testing.assert_array_equal(cut_region(image, region), image[22:278, 12:268])


def test_a_crop_that_shrinks_the_image_averages_fine_stripes():
    image = np.zeros((1024, 1024, 3), np.uint8)
    image[:, ::2] = 200
    crop = cut_region(image, MeshRegion(np.array([512.0, 512]), 1024.0, 0.0))
    np.testing.assert_allclose(crop[8:-8, 8:-8], 100, atol=1)


@pytest.mark.parametrize("centre", [(400.0, 300.0), (30.0, 590.0), (-300.0, 300.0)])
def test_a_crop_that_shrinks_the_image_shows_what_fine_samples_show(centre):
    image = textured(600, 800)
    region = MeshRegion(np.array(centre), 620.0, 0.3)
    # Nine samples for each pixel of the crop, and their mean.
    affine, fine = region_affine(region), 3
    affine[:, 2] += affine[:, :2].sum(1) * ((1 - fine) / (2 * fine))
    affine[:, :2] /= fine
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(
        image, affine, (768, 768), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    expected = cv2.resize(sampled, (256, 256), interpolation=cv2.INTER_AREA)
    difference = np.abs(cut_region(image, region).astype(int) - expected)
    assert difference.mean() < 0.7
    # Half a pixel beside it, the texture differs by more.
    beside = np.abs(cut_region(image, region._replace(centre=region.centre + 1.2)) - expected)
    assert centre[0] < 0 or beside.mean() > 1.4


def test_edges_of_the_image_are_repeated():
    crop = cut_region(np.full((20, 20, 3), 70, np.uint8), REGION)
    assert (crop == 70).all()


def test_the_mesh_lands_where_the_crop_was_taken():
    points = np.random.default_rng(0).uniform(0, 256, (478, 3))
    placed = mesh_in_image(points, REGION)
    homogeneous = np.column_stack([points[:, :2], np.ones(478)])
    np.testing.assert_allclose(placed[:, :2], homogeneous @ region_affine(REGION).T)
    np.testing.assert_allclose(placed[:, 2], points[:, 2] * 170 / 256)


def test_a_shift_leads_from_one_region_to_the_other_and_turns_with_it():
    other = MeshRegion(np.array([131.0, 84]), 150.0, -3.1)
    shift = shift_between(REGION, other)
    back = shifted(REGION, shift)
    assert_regions_equal(back._replace(roll=np.cos(back.roll)), other._replace(roll=np.cos(-3.1)))
    turned = REGION._replace(roll=REGION.roll + np.pi)
    np.testing.assert_allclose(shifted(turned, shift).centre, 2 * REGION.centre - other.centre)


def test_points_that_coincide_give_a_region_of_a_pixel():
    assert region_from_points(np.zeros((5, 2))).side == 1
    assert region_from_mesh(np.zeros((478, 3))).side == 1
