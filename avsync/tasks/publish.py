"""Publish weights with a model card, to a hub or to a folder in the layout of one."""

import json
import shutil
import tempfile
from pathlib import Path

from avsync.atomic import replacing, write_text
from avsync.extras import require_extra
from avsync.hub import (
    CONFIG_FILE,
    HUB,
    PAGE_FILE,
    RECORD_FILE,
    WEIGHTS_FILE,
    check_repo,
    hub_cause,
    hub_endpoint,
    weights_path,
)
from avsync.json_files import read_json
from avsync.tasks.card import Job, ModelCard
from avsync.tasks.registry import create_model, load_checkpoint, model_card
from avsync.weights import PRETRAINED, sha256_of, sha256_of_config

LIBRARY = "avsync"
# What a reader of a model card does with the model.
USES: dict[Job, str] = {
    "sync": 'avsync.check("video.mp4", model={name!r}, weights={address!r})',
    "separation": 'avsync.separate("video.mp4", "voices", model={name!r}, weights={address!r})',
    "reading": "avsync.create_model({name!r}, weights={address!r})",
    "talking": "avsync.create_model({name!r}, weights={address!r})",
}


def push_to_hub(
    name: str,
    repo: str,
    weights: str | Path | None = None,
    *,
    licence: str | None = None,
    trained_on: str | None = None,
    measured: str | None = None,
    folder: str | Path | None = None,
    token: str | None = None,
    private: bool = False,
) -> str:
    """Publish weights of a model, their config, hashes and a model card.

    Args:
        name: the model, one of `list_models()`.
        repo: the repository, `OWNER/REPO`. It is created if it does not exist.
        weights: your own weights instead of the released ones, in any form that `create_model`
            takes. The model must load them.
        licence: of your own weights; those of released weights are in the catalog, as are the next
            two.
        trained_on: training data of your own weights.
        measured: figures of your own weights, with how they were measured.
        folder: write to the folder `folder/OWNER/REPO` instead of a hub. It is replaced if it holds
            what this function wrote.
        token: access token of the hub; by default the one that huggingface_hub finds. The hub is
            huggingface.co, or the address in `HF_ENDPOINT`.
        private: make a new repository private.

    Returns:
        What `create_model` and `check` take as `weights`: the folder, or
        `hf-hub:OWNER/REPO@COMMIT`.

    Raises:
        ValueError: a name is wrong, or own weights have no licence or training data.
        FileExistsError: the folder holds something else.
        RuntimeError: the weights do not fit the model, huggingface_hub is not installed, or the hub
            refused.
    """
    check_repo(repo)
    card = model_card(name)
    stated = (licence, trained_on, measured)
    if weights is None and any(stated):
        raise ValueError("licence, trained_on and measured of released weights are in the catalog")
    if weights is not None:
        if not licence or not trained_on:
            raise ValueError("your own weights need their licence and trained_on for the card")
        card = card._replace(
            licence=licence, trained_on=trained_on, measured=measured or "not stated"
        )
    if folder is None:
        require_extra("hub", "push_to_hub")
    source = _loaded_weights(card, weights)
    if folder is not None:
        target = Path(folder) / repo
        _check_folder(target)
        _write(target, card, source, str(target), own=weights is not None)
        return str(target)
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch)
        _write(target, card, source, HUB + repo, own=weights is not None)
        commit = _upload(target, repo, token, private)
    return f"{HUB}{repo}@{commit}"


def _loaded_weights(card: ModelCard, weights: str | Path | None) -> Path:
    """Return the path of weights that the model has loaded."""
    path = None if weights is None else weights_path(weights)
    if path is None and card.file is None:
        load_checkpoint(card.name)  # Raises, and says where weights of this model come from.
    create_model(card.name, pretrained=path is None, weights=path)
    return path or PRETRAINED / str(card.file)


def _check_folder(target: Path) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        record = read_json(target / RECORD_FILE)
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or record.get("library_name") != LIBRARY:
        raise FileExistsError(f"{target} exists and holds no published weights of avsync")


def _write(target: Path, card: ModelCard, source: Path, address: str, own: bool) -> None:
    # The record last: without it, a folder that was cut short is not taken for weights.
    target.mkdir(parents=True, exist_ok=True)
    (target / RECORD_FILE).unlink(missing_ok=True)
    for origin, name in ((source, WEIGHTS_FILE), (source.with_suffix(".json"), CONFIG_FILE)):
        with replacing(target / name) as beside:
            shutil.copyfile(origin, beside)
    record = {
        "library_name": LIBRARY,
        "model": card.name,
        "sha256": sha256_of(target / WEIGHTS_FILE),
        "config_sha256": sha256_of_config(target / CONFIG_FILE),
    }
    write_text(target / PAGE_FILE, model_page(card, address, record["sha256"], own=own))
    write_text(target / RECORD_FILE, json.dumps(record, indent=2) + "\n")


def model_page(card: ModelCard, address: str, sha256: str, own: bool = False) -> str:
    """Return the model card of published weights as Markdown, with its metadata as YAML.

    Args:
        card: the model, with licence, training data and figures of these weights.
        address: what `create_model` takes as `weights`.
        sha256: hash of the weights.
        own: whether they are the weights of a user; the documentation describes the released ones.
    """
    mit = card.licence == "MIT"
    # A JSON string is a YAML string, whatever is in it.
    metadata = {
        "library_name": json.dumps(LIBRARY),
        "license": json.dumps("mit" if mit else "other"),
        **({} if mit else {"license_name": json.dumps("see-model-card")}),
        "tags": json.dumps(["lip-sync", "audio-visual", card.job]),
    }
    use = USES[card.job].format(name=card.name, address=address)
    page = f"docs/models/{card.name.partition('-')[0]}.md of avsync"
    facts = {
        "Model": f"`{card.name}`: {card.summary}",
        "Licence": card.licence,
        "Trained on": card.trained_on,
        "Measured": card.measured,
        **({} if own else {"Documentation": page}),
        "sha256": f"`{sha256}` ({WEIGHTS_FILE})",
    }
    lines = ["---", *(f"{key}: {value}" for key, value in metadata.items()), "---", ""]
    lines += [f"# {card.name}", ""]
    lines += [f"- **{key}**: {' '.join(value.split())}" for key, value in facts.items()]
    lines += ["", "```python", "import avsync", "", use, "```", ""]
    return "\n".join(lines)


def _upload(folder: Path, repo: str, token: str | None, private: bool) -> str:
    """Upload a folder in one commit and return its hash."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    hub = HfApi(endpoint=hub_endpoint(), token=token, library_name=LIBRARY)
    try:
        hub.create_repo(repo, private=private, exist_ok=True)
        done = hub.upload_folder(repo_id=repo, folder_path=folder, commit_message="Add weights")
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise RuntimeError(f"could not publish {repo}: {hub_cause(error)}") from error
    return str(done.oid)
