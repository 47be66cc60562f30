"""What is published is what is loaded again, and its card says what the catalog says."""

import json

import pytest
import torch
from local_hub import COMMIT, local_hub

from avsync import create_model, push_to_hub
from avsync.atomic import write_text
from avsync.hub import LAYOUT
from avsync.tasks.publish import model_page
from avsync.tasks.registry import list_models, model_card
from avsync.weights import save, sha256_of

RELEASED = [card.name for card in list_models() if card.file is not None]
OWN = {"licence": "CC BY 4.0", "trained_on": "my clips"}


@pytest.fixture
def own(tmp_path):
    """Return fresh weights of dense_sync, saved as a user would."""
    torch.manual_seed(0)
    model = create_model("dense_sync")
    save(tmp_path / "own.safetensors", model.state_dict(), {})
    return tmp_path / "own.safetensors"


def outputs(model):
    """Return embeddings of one second of noise: frames `(1, 3, 25, H, W)`, audio `(1, 16000)`."""
    torch.manual_seed(0)
    frames = torch.rand(1, 3, 25, model.spec.height, model.spec.width)
    wav = torch.randn(1, 16000)
    with torch.inference_mode():
        return model.encode_video(frames), model.encode_audio(wav, torch.tensor([0.0, 0.2]))


def test_a_model_from_a_folder_as_hub_gives_equal_outputs(tmp_path):
    address = push_to_hub("dense_sync", "me/dense", folder=tmp_path)
    assert address == str(tmp_path / "me" / "dense")
    assert sorted(path.name for path in (tmp_path / "me/dense").iterdir()) == sorted(LAYOUT)
    loaded = create_model("dense_sync", weights=address)
    released = create_model("dense_sync", pretrained=True)
    torch.testing.assert_close(outputs(loaded), outputs(released), rtol=0, atol=0)


@pytest.mark.parametrize("name", RELEASED)
def test_released_weights_are_published_unchanged_with_what_the_catalog_says(name, tmp_path):
    card = model_card(name)
    folder = tmp_path / "me" / "x"
    push_to_hub(name, "me/x", folder=tmp_path)
    assert sha256_of(folder / "model.safetensors") == card.sha256
    record = json.loads((folder / "config.json").read_text())
    assert record == {
        "library_name": "avsync",
        "model": name,
        "sha256": card.sha256,
        "config_sha256": card.config_sha256,
    }
    page = (folder / "README.md").read_text()
    for fact in (card.summary, card.licence, card.trained_on, card.measured, card.sha256):
        assert fact in page


def test_only_weights_under_mit_alone_are_tagged_so():
    assert 'license: "mit"' in model_page(model_card("dense_sync"), "x", "y")
    research = model_page(model_card("face_sync-research"), "x", "y")
    assert 'license: "other"' in research and "research only" in research
    assert "docs/models/face_sync.md" in research


def test_the_card_is_valid_yaml_and_markdown_whatever_a_user_states(tmp_path, own):
    yaml = pytest.importorskip("yaml")
    licence = 'a\n---\nlicense: "mit"\n# b'
    push_to_hub("dense_sync", "me/x", own, licence=licence, trained_on="t", folder=tmp_path)
    _, metadata, body = (tmp_path / "me/x/README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(metadata)["license"] == "other"
    assert '- **Licence**: a --- license: "mit" # b\n' in body


def test_own_weights_have_no_figures_of_the_released_ones(tmp_path, own):
    push_to_hub("dense_sync", "me/x", own, **OWN, folder=tmp_path)
    page = (tmp_path / "me/x/README.md").read_text()
    card = model_card("dense_sync")
    assert "CC BY 4.0" in page and "my clips" in page and "not stated" in page
    assert card.measured not in page and card.trained_on not in page and "docs/" not in page


def test_own_weights_need_licence_and_training_data(tmp_path, own):
    with pytest.raises(ValueError, match="need their licence and trained_on"):
        push_to_hub("dense_sync", "me/x", own, licence="MIT", folder=tmp_path)
    with pytest.raises(ValueError, match="of released weights are in the catalog"):
        push_to_hub("dense_sync", "me/x", licence="MIT", folder=tmp_path)


def test_a_model_without_weights_says_where_they_come_from(tmp_path):
    with pytest.raises(RuntimeError, match="avsync ships no weights for vocalist"):
        push_to_hub("vocalist", "me/x", folder=tmp_path)


def test_weights_of_another_model_are_not_published(tmp_path, own):
    with pytest.raises(RuntimeError, match="model lip_mask"):
        push_to_hub("lip_mask", "me/x", own, **OWN, folder=tmp_path)
    assert not (tmp_path / "me").exists()


def test_a_folder_is_replaced_only_if_it_holds_published_weights(tmp_path, own):
    push_to_hub("dense_sync", "me/x", folder=tmp_path)
    push_to_hub("dense_sync", "me/x", own, **OWN, folder=tmp_path)
    assert sha256_of(tmp_path / "me/x/model.safetensors") == sha256_of(own)
    write_text(tmp_path / "me/y/notes.txt", "mine")
    with pytest.raises(FileExistsError, match="holds no published weights"):
        push_to_hub("dense_sync", "me/y", folder=tmp_path)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    with local_hub({}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield server


def test_the_client_of_the_hub_uploads_what_it_loads_again(hub):
    address = push_to_hub("dense_sync", "me/x", token="hf_test")
    assert address == f"hf-hub:me/x@{COMMIT}"
    assert sorted(hub.files) == sorted(LAYOUT)
    assert set(hub.tokens) == {"Bearer hf_test"}
    loaded = create_model("dense_sync", weights=address)
    released = create_model("dense_sync", pretrained=True)
    torch.testing.assert_close(outputs(loaded), outputs(released), rtol=0, atol=0)


def test_a_hub_that_refuses_is_named_without_the_token(hub):
    hub.down = True
    with pytest.raises(RuntimeError, match="could not publish me/x: ") as refusal:
        push_to_hub("dense_sync", "me/x", token="hf_test")
    assert "hf_test" not in str(refusal.value)
