import json

import pytest
import torch
from convert.test_face_mesh import published as published_face_mesh
from golden.recipe import upstream_keys

from avsync.encoders.pretrained.face_mesh import load_face_mesh
from avsync.pipelines.convert_weights import CONVERTERS, convert_file
from avsync.tasks.registry import MODELS, create_model
from avsync.weights import load


def state_of(name):
    """Return random tensors with the published keys and shapes."""
    g = torch.Generator().manual_seed(0)
    return {
        key: torch.tensor(0) if key.endswith("tracked") else torch.rand(shape, generator=g)
        for key, shape in upstream_keys(name).items()
    }


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "pure_MTDVocaLiST.pth"
    torch.save({"state_dict": state_of("mtdvocalist"), "global_step": 3}, path)
    return path


@pytest.fixture
def foreign(tmp_path):
    """Return a function that writes a checkpoint of one tensor."""

    def write(key, *shape):
        torch.save({key: torch.zeros(shape)}, tmp_path / "foreign.pth")
        return tmp_path / "foreign.pth"

    return write


def test_every_name_is_a_model_that_can_be_created():
    assert set(CONVERTERS) < set(MODELS)


@pytest.mark.parametrize("name", CONVERTERS)
def test_models_load_the_output_of_their_converters(name):
    published = {key: torch.zeros(shape) for key, shape in upstream_keys(name).items()}
    counts = {key: t.long() for key, t in published.items() if key.endswith("num_batches_tracked")}
    with torch.device("meta"):
        model = create_model(name)
    model.load_state_dict(CONVERTERS[name](published | counts), strict=True, assign=True)


def test_a_published_checkpoint_becomes_weights_that_the_model_loads(published, tmp_path):
    messages = []
    output = tmp_path / "made" / "my mtd.safetensors"
    assert convert_file("mtdvocalist", published, output, 25, say=messages.append) == output
    model = create_model("mtdvocalist", weights=output)
    assert not model.training
    assert model.spec.window_frames == 25
    assert torch.equal(model.state_dict()["fc.weight"], state_of("mtdvocalist")["fc.weight"])
    assert messages == [
        f"mtdvocalist: 13,280,961 parameters are in '{output}'; next: avsync check VIDEO "
        f"--model mtdvocalist --weights '{output}'"
    ]
    # Existing files are kept unless they may be overwritten.
    before = load(output)
    for existing in (output, output.with_suffix(".json")):
        with pytest.raises(FileExistsError, match="is already there"):
            convert_file("mtdvocalist", published, output)
        existing.unlink()
    assert before.config == {"window_frames": 25}
    convert_file("mtdvocalist", published, output)
    convert_file("mtdvocalist", published, output, overwrite=True)
    assert json.loads(output.with_suffix(".json").read_text()) == {"window_frames": 5}


def test_for_a_separator_the_next_command_is_separate(tmp_path):
    messages, output = [], tmp_path / "unet.safetensors"
    torch.save(state_of("unet"), tmp_path / "unet.pth")
    convert_file("unet", tmp_path / "unet.pth", output, say=messages.append)
    following = f"avsync separate VIDEO -o FOLDER --model unet --weights {output}"
    assert messages == [f"unet: 8,099,394 parameters are in {output}; next: {following}"]


@pytest.mark.parametrize(
    ("key", "shape", "guess"),
    [
        ("module.vid_prenet.0.conv_block.0.bias", (32,), "vocalist"),
        ("netcnnlip.0.weight", (2,), "syncnet"),
        ("face_encoder.0.conv_block.0.weight", (2,), "lip_expert"),
        ("face_encoder_blocks.0.0.conv_block.0.weight", (2,), "Wav2Lip's generator"),
        ("graph_net.A", (3, 68, 68), "ynet_g"),
        ("motion_net.stem.0.weight", (2,), "ynet_m"),
        ("final_conv.bias", (2,), "unet"),
    ],
)
def test_the_checkpoint_of_another_model_is_recognised(foreign, tmp_path, key, shape, guess):
    file = foreign(key, *shape)
    output = tmp_path / "x.safetensors"
    with pytest.raises(RuntimeError, match=r"is no checkpoint of mtdvocalist: .* missing") as error:
        convert_file("mtdvocalist", file, output)
    assert f"; it looks like {guess}" in str(error.value)
    assert not output.exists()


@pytest.mark.parametrize(("key", "shape"), [("vid_prenet.0.conv_block.0.bias", 16), ("w", 1)])
def test_no_other_model_is_named_if_none_is_recognised(foreign, tmp_path, key, shape):
    with pytest.raises(RuntimeError, match="is no checkpoint of mtdvocalist") as error:
        convert_file("mtdvocalist", foreign(key, shape), tmp_path / "x.safetensors")
    assert "looks like" not in str(error.value)


def test_wrong_arguments_are_named(tmp_path):
    file, output = tmp_path / "x.pth", tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=r"one of vocalist, .*, ynet_g, whisper, face_mesh, got"):
        convert_file("dense_sync", file, output)
    with pytest.raises(ValueError, match=r"must end in \.safetensors, got .*x\.pt"):
        convert_file("syncnet", file, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="for vocalist and mtdvocalist only, not for syncnet"):
        convert_file("syncnet", file, output, window_frames=5)
    with pytest.raises(ValueError, match="window_frames must be at least 1, got 0"):
        convert_file("vocalist", file, output, window_frames=0)


def test_a_folder_or_the_input_is_never_the_output(tmp_path):
    source = tmp_path / "x.safetensors"
    source.write_bytes(b"theirs")
    (tmp_path / "folder.safetensors").mkdir()
    for output in (source, tmp_path / "folder.safetensors"):
        with pytest.raises(ValueError, match="is a folder or the input"):
            convert_file("syncnet", source, output, overwrite=True)
    assert source.read_bytes() == b"theirs"


def test_nothing_is_written_that_the_model_does_not_load(foreign, tmp_path, monkeypatch):
    monkeypatch.setitem(CONVERTERS, "syncnet", dict)  # a converter that renames nothing
    with pytest.raises(RuntimeError, match="is no checkpoint of syncnet: Error"):
        convert_file("syncnet", foreign("w", 1), tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_file_that_cannot_be_read_leaves_the_old_weights_alone(tmp_path):
    page, output = tmp_path / "page.pth", tmp_path / "x.safetensors"
    page.write_text("<html>")
    output.write_bytes(b"old")
    with pytest.raises(RuntimeError, match=r"page\.pth is not a checkpoint but a web page"):
        convert_file("syncnet", page, output, overwrite=True)
    assert output.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["face_mesh", "face-mesh"])
def test_the_face_mesh_becomes_weights_that_its_loader_takes(tmp_path, name):
    shipped = load_face_mesh().state_dict()
    half = {key: tensor.half() for key, tensor in shipped.items()}
    (tmp_path / "face.tflite").write_bytes(published_face_mesh(half))
    messages, output = [], tmp_path / "mesh.safetensors"
    convert_file(name, tmp_path / "face.tflite", output, say=messages.append)
    state = load_face_mesh(output).state_dict()
    assert all(torch.equal(tensor, shipped[key]) for key, tensor in state.items())
    following = f"avsync.encoders.load_face_mesh('{output}')"
    assert messages == [f"face_mesh: 1,198,683 parameters are in {output}; next: {following}"]


def test_a_file_without_the_face_mesh_is_refused_and_nothing_is_written(published, tmp_path):
    with pytest.raises(RuntimeError, match="is no face mesh of MediaPipe: it has more than"):
        convert_file("face_mesh", published, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="only, not for face_mesh"):
        convert_file("face_mesh", published, tmp_path / "x.safetensors", window_frames=5)
    assert not (tmp_path / "x.safetensors").exists()
