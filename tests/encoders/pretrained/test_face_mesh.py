"""The face mesh network against the reference interpreter of MediaPipe's file."""

import numpy as np
import pytest
import torch
from golden.face_mesh import drawn_face, stripes
from golden.face_mesh_frames import OUTPUT as FRAMES
from golden.face_mesh_frames import POINTS, crops
from golden.recipe import numbers

from avsync.encoders.pretrained import face_mesh
from avsync.encoders.pretrained.face_mesh import NUM_POINTS, FaceMesh, load_face_mesh
from avsync.faces.mesh_tracking import mesh_of_crops
from avsync.weights import PRETRAINED, save

GOLDEN = numbers("golden_face_mesh")
# Both compute in float32, in another order of sums; the golden numbers have 3 decimals.
ATOL_PX = 0.01
CROPS = {"face": drawn_face(), "stripes": stripes()}


@pytest.fixture(scope="module")
def mesh():
    return load_face_mesh()


def as_batch(*crops):
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)


@pytest.mark.arithmetic
@pytest.mark.parametrize("name", CROPS)
def test_points_and_presence_are_those_of_the_reference_interpreter(mesh, name):
    with torch.inference_mode():
        found = mesh(as_batch(CROPS[name]))
    expected = torch.tensor(GOLDEN[name]["points"]).reshape(1, NUM_POINTS, 3)
    torch.testing.assert_close(found.points, expected, atol=ATOL_PX, rtol=0)
    logit = torch.tensor(GOLDEN[name]["presence_logit"])
    torch.testing.assert_close(found.presence, logit.sigmoid(), atol=1e-4, rtol=0)


@pytest.mark.real_data
def test_points_in_real_frames_are_those_of_the_reference_interpreter(mesh, shared):
    with np.load(FRAMES) as arrays:
        regions, points, logits = (arrays[k] for k in ("region", "points", "presence_logit"))
    assert len(regions) == 200 and np.median(logits) > 10
    found = mesh_of_crops(mesh, list(crops(shared, regions)))
    differences = np.abs(found.points[:, POINTS] - points / 100)
    # Half a hundredth is the rounding of the file; another decoder may change pixels by one.
    assert np.median(differences) < 0.01 and differences.max() < 0.1
    np.testing.assert_allclose(found.presence, 1 / (1 + np.exp(-logits)), atol=0.01)


def test_only_the_crop_with_a_face_holds_one(mesh):
    with torch.inference_mode():
        face, none = mesh(as_batch(*CROPS.values())).presence
    assert face > 0.9 and none < 0.1


def test_the_points_lie_on_the_drawn_features(mesh):
    with torch.inference_mode():
        points = mesh(as_batch(drawn_face())).points[0, :, :2]
    # Irises at the pupils and the corners of the lips, as they are drawn, within a few pixels.
    for index, drawn in {468: (95, 110), 473: (161, 110), 61: (98, 188), 291: (158, 188)}.items():
        assert torch.dist(points[index], torch.tensor(drawn, dtype=torch.float32)) < 8


def test_a_batch_gives_what_its_crops_give_alone(mesh):
    crops = as_batch(*CROPS.values()).repeat(5, 1, 1, 1)
    with torch.inference_mode():
        together = mesh(crops)
        alone = [mesh(crop[None]) for crop in crops]
    points, presence = (torch.cat(parts) for parts in zip(*alone, strict=True))
    torch.testing.assert_close(together.points, points, atol=1e-3, rtol=0)
    torch.testing.assert_close(together.presence, presence, atol=1e-5, rtol=0)


def test_the_memory_format_of_the_crops_does_not_matter(mesh):
    crops = as_batch(drawn_face())
    with torch.inference_mode():
        first, second = mesh(crops), mesh(crops.contiguous())
    torch.testing.assert_close(first.points, second.points, atol=1e-3, rtol=0)


def test_bytes_give_what_their_shares_of_255_give(mesh):
    crops = (255 * as_batch(*CROPS.values())).round().byte()
    with torch.inference_mode():
        found, expected = mesh(crops), mesh(crops / 255)
    torch.testing.assert_close(found.points, expected.points, atol=1e-3, rtol=0)
    assert found.presence[0] > 0.9


def test_gradients_reach_the_crop(mesh):
    crops = as_batch(drawn_face()).clone().requires_grad_()
    mesh(crops).points.sum().backward()
    assert crops.grad.abs().sum() > 0


def test_crops_of_another_shape_are_refused():
    with torch.device("meta"), pytest.raises(ValueError, match=r"crops must be \(B, 3, 256, 256\)"):
        FaceMesh()(torch.zeros(1, 3, 192, 192))


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    data = bytearray((PRETRAINED / face_mesh.FACE_MESH_FILE).read_bytes())
    data[-1] ^= 1
    (tmp_path / face_mesh.FACE_MESH_FILE).write_bytes(data)
    monkeypatch.setattr(face_mesh, "PRETRAINED", tmp_path)
    with pytest.raises(RuntimeError, match="is not the expected file: sha256"):
        load_face_mesh()


def test_the_licence_and_source_are_beside_the_weights():
    text = (PRETRAINED / face_mesh.FACE_MESH_FILE).with_suffix(".LICENSE").read_text("utf-8")
    for part in (
        "The MediaPipe Authors",
        face_mesh.FACE_MESH_SHA256,
        "Apache License",
        "1907.06724",
    ):
        assert part in text


def test_no_crops_give_no_points(mesh):
    with torch.inference_mode():
        found = mesh(torch.zeros(0, 3, 256, 256))
    assert found.points.shape == (0, NUM_POINTS, 3) and found.presence.shape == (0,)


def test_weights_of_another_network_are_refused(tmp_path):
    save(tmp_path / "x.safetensors", {"stem.weight": torch.zeros(2)}, {})
    with pytest.raises(RuntimeError, match=r"x\.safetensors are not of the face mesh network"):
        load_face_mesh(tmp_path / "x.safetensors")
